"""API keys: `sp_<key id>_<secret><check digits>`.

The key id is public and names the stored item; of the secret only the SHA-256 is stored. A secret is 43 base62
characters (256 bits), so a plain hash can't be searched. The check digits (CRC-32 of all that precedes them, in base62,
as GitHub's tokens have) refuse a typo without a read and let secret scanners tell a leaked key from noise.
"""

import hashlib
import hmac
import re
from binascii import crc32
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.principal import Identity, is_subject, is_tenant, parse_regions, parse_words
from sallyport.policy.limit_rules import LimitRule
from sallyport.policy.limit_texts import check_key_limits, parse_limits, per_minute
from sallyport.policy.rules import SCOPES

PREFIX = "sp_"
KEY_PATTERN = r"sp_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}"
"""What secret scanners look for; the last six characters are the check digits. Published in docs/api-keys.md."""
MAX_MODELS_LENGTH = 2000
MAX_RESIDENCY_LENGTH = 1000
"""Characters of a stored list: with the rest of a principal they fit into the authorizer's context of 8 KB."""
MAX_HELD = 1000
"""Records held in memory, and again as many ids that are held to be unknown."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_ID_LENGTH, _SECRET_LENGTH, _CHECK_LENGTH = 16, 43, 6
_KEY = re.compile(KEY_PATTERN)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_SECRET_SHA256 = "0" * 64

type KeyItem = Mapping[str, str | int | None]
"""A key's stored attributes. None: one of a type that no attribute of a key has."""


class KeyParts(NamedTuple):
    """A well-formed key, taken apart. `secret_sha256` is hex."""

    key_id: str
    secret_sha256: str


class NewKey(NamedTuple):
    """A key just minted: `text` is shown once, `secret_sha256` is stored."""

    key_id: str
    text: str
    secret_sha256: str


class KeyRecord(NamedTuple):
    """What a key's item says. Times are epoch seconds: refused from `not_after` on, and once `revoked_at` is set."""

    identity: Identity
    not_after: int | None
    revoked_at: int | None


class KeyStore(Protocol):
    """Where key records are; an adapter reads them."""

    def read_key(self, key_id: str) -> KeyItem | None:
        """Give the stored attributes of one key, None if there is none. Raises an error of its own on failure."""


def mint() -> NewKey:
    """Make a key from the operating system's randomness."""
    import secrets  # noqa: PLC0415 - only the operator's command mints; the doors needn't load it

    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(_KEY_ID_LENGTH))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    body = f"{PREFIX}{key_id}_{secret}"
    return NewKey(key_id, body + _check_digits(body), _sha256(secret))


def parse(text: str) -> KeyParts | None:
    """Take a presented key apart; None if its form or its check digits are wrong."""
    if _KEY.fullmatch(text) is None:
        return None
    body, check = text[:-_CHECK_LENGTH], text[-_CHECK_LENGTH:]
    if _check_digits(body) != check:
        return None
    key_id, secret = body[len(PREFIX) :].split("_")
    return KeyParts(key_id, _sha256(secret))


def accept_networks(networks: tuple[str, ...]) -> None:
    """Take any text for a network: the default of a verifier that isn't told how networks are read."""


def read_record(key_id: str, item: KeyItem, check_networks: Callable[[tuple[str, ...]], object]) -> KeyRecord:
    """Read a stored item. Raises `ValueError` where anything about it is broken: such a record lets nobody in.

    `check_networks` raises `ValueError` for a list of networks that can't be read.
    """
    tenant, subject = _text(item, "tenant"), _text(item, "subject")
    if not is_tenant(tenant) or not is_subject(subject):
        raise ValueError("not the name of a tenant or a subject")
    allow = _items(item, "allow") or ()
    check_networks(allow)
    residency = _items(item, "residency", MAX_RESIDENCY_LENGTH)
    identity = Identity(
        method="api_key",
        tenant=tenant,
        subject=subject,
        scopes=tuple(scope for scope in parse_words(_text(item, "scopes")) if scope in SCOPES),
        key_id=key_id,
        key_family=_text(item, "family") if "family" in item else "",
        models=_items(item, "models", MAX_MODELS_LENGTH),
        residency=None if residency is None else parse_regions(",".join(residency)),
        limits=_limits(item),
        allow=allow,
    )
    return KeyRecord(identity, _optional_int(item, "not_after"), _optional_int(item, "revoked_at"))


class ApiKeyVerifier:
    """Checks presented keys against the store.

    Unknown, revoked and expired keys take one path: one lookup (in memory, or one read), one constant-time compare, one
    answer. What was read is used for less than `fresh_s` seconds (0: read every time), so a revocation is in force by
    then, whatever the store does meanwhile. Ids held to be unknown are kept apart, so that a flood of them evicts no
    record. A clock that went backwards empties the memory: the age of what is in it can't be told any more.

    `check_networks` raises `ValueError` for a key's own networks that can't be read. `compare` takes constant time.
    """

    def __init__(
        self,
        store: KeyStore,
        fresh_s: float,
        *,
        check_networks: Callable[[tuple[str, ...]], object] = accept_networks,
        compare: Callable[[bytes, bytes], bool] = hmac.compare_digest,
    ) -> None:
        self._store = store
        self._fresh_s = fresh_s
        self._check_networks = check_networks
        self._compare = compare
        self._known: OrderedDict[str, _Finding] = OrderedDict()
        self._unknown: OrderedDict[str, _Finding] = OrderedDict()
        self._latest_s = 0.0

    def verify(self, text: str, now_s: float) -> Identity:
        """Say who holds a key. Raises `CredentialRefusedError`, and the store's error if it can't be read."""
        parts = parse(text)
        if parts is None:
            raise CredentialRefusedError("key_malformed")
        finding = self._held(parts.key_id, now_s) or self._read(parts.key_id, now_s)
        return self._admit(parts, finding, now_s)

    def verify_known(self, text: str, now_s: float) -> Identity | None:
        """Say who holds a key that memory knows to be genuine, reading its record again when it is due.

        None for anything else, at no cost: only who has the secret of a key in memory can cause a read. Raises as
        `verify` does where that read says otherwise.
        """
        parts = parse(text)
        fresh = None if parts is None else self._held(parts.key_id, now_s)
        finding = fresh or (None if parts is None else self._known.get(parts.key_id))
        if parts is None or finding is None:
            return None
        try:
            identity = self._admit(parts, finding, now_s)
        except CredentialRefusedError:
            return None
        return identity if fresh else self.verify(text, now_s)

    def _held(self, key_id: str, now_s: float) -> "_Finding | None":
        if now_s < self._latest_s:
            self._known.clear()
            self._unknown.clear()
        self._latest_s = now_s
        for held in (self._known, self._unknown):
            finding = held.get(key_id)
            if finding is not None and now_s - finding.read_at_s < self._fresh_s:
                held.move_to_end(key_id)
                return finding
        return None

    def _read(self, key_id: str, now_s: float) -> "_Finding":
        """Read the store and remember what it said. The age counts from before the read."""
        item = self._store.read_key(key_id)
        finding = _judge(key_id, item, now_s, self._check_networks)
        self._known.pop(key_id, None)
        self._unknown.pop(key_id, None)
        held = self._unknown if item is None else self._known
        held[key_id] = finding
        if len(held) > MAX_HELD:
            held.popitem(last=False)
        return finding

    def _admit(self, parts: KeyParts, finding: "_Finding", now_s: float) -> Identity:
        genuine = self._compare(finding.secret_sha256.encode(), parts.secret_sha256.encode())
        refusal = _refusal(finding.record, now_s) if genuine else finding.unless_genuine
        if refusal or finding.record is None:
            raise CredentialRefusedError(refusal, key_id=parts.key_id)
        return finding.record.identity


class _Finding:
    """What a read found: the hash to compare with (a dummy where there is none), the refusal unless it matches."""

    __slots__ = ("read_at_s", "record", "secret_sha256", "unless_genuine")

    def __init__(self, read_at_s: float, secret_sha256: str, unless_genuine: str, record: KeyRecord | None) -> None:
        self.read_at_s = read_at_s
        self.secret_sha256 = secret_sha256
        self.unless_genuine = unless_genuine
        self.record = record


def _judge(
    key_id: str, item: KeyItem | None, now_s: float, check_networks: Callable[[tuple[str, ...]], object]
) -> _Finding:
    if item is None:
        return _Finding(now_s, _NO_SECRET_SHA256, "key_unknown", None)
    stored_sha256 = item.get("secret_sha256")
    if not isinstance(stored_sha256, str) or _SHA256.fullmatch(stored_sha256) is None:
        return _Finding(now_s, _NO_SECRET_SHA256, "key_record_broken", None)
    try:
        record = read_record(key_id, item, check_networks)
    except ValueError:
        record = None
    return _Finding(now_s, stored_sha256, "key_secret_wrong", record)


def _refusal(record: KeyRecord | None, now_s: float) -> str:
    """Give why a genuine key is refused; empty: it isn't."""
    if record is None:
        return "key_record_broken"
    if record.revoked_at is not None:
        return "key_revoked"
    return "key_expired" if record.not_after is not None and now_s >= record.not_after else ""


def _check_digits(body: str) -> str:
    """CRC-32 in base62, six digits: 62^6 exceeds 2^32."""
    value, digits = crc32(body.encode()), ""
    for _ in range(_CHECK_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _text(item: KeyItem, name: str) -> str:
    text = item.get(name)
    if not isinstance(text, str):
        raise ValueError(f"{name}: not a text")  # noqa: TRY004 - a broken record is one kind of error
    return text


def _optional_int(item: KeyItem, name: str) -> int | None:
    if name not in item:
        return None
    number = item[name]
    if not isinstance(number, int):
        raise ValueError(f"{name}: not a whole number")  # noqa: TRY004 - the same
    return number


def _limits(item: KeyItem) -> tuple[LimitRule, ...]:
    """Read a key's own limits; requests per minute have an attribute of their own, older than that of the others."""
    rate = _optional_int(item, "requests_per_minute")
    rates = () if rate is None else (per_minute(rate),)
    return check_key_limits((*rates, *(parse_limits(_text(item, "limits")) if "limits" in item else ())))


def _items(item: KeyItem, name: str, maximum_length: int = 10_000) -> tuple[str, ...] | None:
    """Read a comma-separated list; None if it isn't there. One that is there but empty, or too long, is broken."""
    if name not in item:
        return None
    text = _text(item, name)
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts) or len(text) > maximum_length or not (text.isascii() and text.isprintable()):
        raise ValueError(f"{name}: not a list")
    return parts
