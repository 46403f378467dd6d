"""API keys: `sp_<key id>_<secret><check digits>`.

The key id is public and names the stored item; of the secret only the SHA-256 is stored. A secret is 43 base62
characters (256 bits), so a plain hash can't be searched. The check digits (CRC-32 of all that precedes them, in base62,
as GitHub's tokens have) refuse a typo without a read and let secret scanners tell a leaked key from noise.
"""

import hashlib
import hmac
import re
from binascii import crc32
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.principal import Principal, parse_regions, parse_words

PREFIX = "sp_"
KEY_PATTERN = r"sp_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}"
"""What secret scanners look for; the last six characters are the check digits."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_ID_LENGTH, _SECRET_LENGTH, _CHECK_LENGTH = 16, 43, 6
_KEY = re.compile(KEY_PATTERN)
_NO_SECRET_SHA256 = "0" * 64


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
    """What the `config` table holds of a key. Times are epoch seconds; None: not set."""

    secret_sha256: str
    tenant: str
    subject: str
    scopes: tuple[str, ...]
    models: tuple[str, ...]
    residency: tuple[str, ...]
    requests_per_minute: int | None
    not_after: int | None
    revoked_at: int | None


class KeyStore(Protocol):
    """Where key records are; an adapter reads them."""

    def read_key(self, key_id: str) -> Mapping[str, str | int] | None:
        """Give the stored attributes of one key, None if there is none. Raises `StoreError`."""


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


def read_record(item: Mapping[str, str | int]) -> KeyRecord:
    """Read a stored item. Raises `ValueError` or `KeyError` where it is broken: a broken record lets nobody in."""
    return KeyRecord(
        secret_sha256=str(item["secret_sha256"]),
        tenant=str(item["tenant"]),
        subject=str(item["subject"]),
        scopes=parse_words(str(item["scopes"])),
        models=tuple(model for model in str(item.get("models", "")).split(",") if model),
        residency=parse_regions(str(item.get("residency", ""))),
        requests_per_minute=_optional_int(item, "requests_per_minute"),
        not_after=_optional_int(item, "not_after"),
        revoked_at=_optional_int(item, "revoked_at"),
    )


class ApiKeyVerifier:
    """Checks a presented key against the store.

    Unknown, revoked and expired keys take one path: one read, one constant-time compare, one answer.
    """

    def __init__(self, store: KeyStore, default_residency: tuple[str, ...]) -> None:
        self._store = store
        self._default_residency = default_residency

    def verify(self, text: str, now_s: float) -> Principal:
        """Give the key's principal. Raises `CredentialRefusedError`, and the store's error if it can't be read."""
        parts = parse(text)
        if parts is None:
            raise CredentialRefusedError("key_malformed")
        item = self._store.read_key(parts.key_id)
        stored_sha256 = _NO_SECRET_SHA256 if item is None else str(item.get("secret_sha256", _NO_SECRET_SHA256))
        genuine = hmac.compare_digest(stored_sha256.encode(), parts.secret_sha256.encode())
        if item is None or not genuine:
            raise CredentialRefusedError("key_unknown" if item is None else "key_secret_wrong", key_id=parts.key_id)
        return self._admit(parts.key_id, read_record(item), now_s)

    def _admit(self, key_id: str, record: KeyRecord, now_s: float) -> Principal:
        if record.revoked_at is not None:
            raise CredentialRefusedError("key_revoked", key_id=key_id)
        if record.not_after is not None and now_s >= record.not_after:
            raise CredentialRefusedError("key_expired", key_id=key_id)
        return Principal(
            method="api_key",
            tenant=record.tenant,
            subject=record.subject,
            key_id=key_id,
            scopes=record.scopes,
            models=record.models,
            residency=record.residency or self._default_residency,
            requests_per_minute=record.requests_per_minute,
        )


def _check_digits(body: str) -> str:
    """CRC-32 in base62, six digits: 62^6 exceeds 2^32."""
    value, digits = crc32(body.encode()), ""
    for _ in range(_CHECK_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _optional_int(item: Mapping[str, str | int], name: str) -> int | None:
    return int(item[name]) if name in item else None
