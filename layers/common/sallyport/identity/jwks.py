"""The issuer's public keys: fetched, checked one by one, and kept for a bounded time."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from sallyport.identity.jwk import Jwk, fits, is_for_checking, make_key
from sallyport.identity.strict_json import read_json_without_doubtful_objects
from sallyport.identity.verification_keys import AlgorithmKey, KeySourceError, NoTimeLeftError

FRESH_S = 300.0
"""A key set younger than this is used as it is."""
STALE_S = 3600.0
"""While the issuer is down a key set is used until it is this old; then nobody is let in by it."""
RETRY_S = 30.0
"""An unknown `kid`, or an issuer that is down, causes at most one fetch in this time."""
RETRY_WITHOUT_S = 5.0
"""Without keys that may be used nobody gets in, so a fetch is tried again sooner."""
MAX_KEYS = 64
MAX_DOCUMENT_BYTES = 262_144
"""A larger key set, or one of more keys, is refused as a whole: no part of it can be known to be the meant one."""


class KeySource(Protocol):
    """Where the key set comes from; an adapter fetches it."""

    def fetch(self) -> bytes:
        """Give the JWKS document's bytes. Raises `KeySourceError`."""


class KeySet:
    """One issuer's signing keys by `kid` and algorithm (RFC 7517).

    Ages are measured on the wall clock, which runs on while a Lambda process is frozen. Where it has gone backwards no
    age is known, and the keys count as too old.
    """

    def __init__(self, source: KeySource, now: Callable[[], float] = time.time) -> None:
        self._source = source
        self._now = now
        self._keys: Mapping[str, Jwk] = {}
        self._made: dict[tuple[str, str], AlgorithmKey | None] = {}
        self._fetched_s = float("-inf")
        self._tried_s = float("-inf")

    def key_for(self, kid: str | None, algorithm: str) -> AlgorithmKey | None:
        """Give the key with exactly this `kid`, fit for this algorithm; None if there is none.

        A key that is still there after a refresh, unchanged, is the same object. Raises `KeySourceError` if no key set
        young enough can be had.
        """
        self._refresh(kid)
        jwk = None if kid is None else self._keys.get(kid)
        if kid is None or jwk is None or not fits(jwk, algorithm):
            return None
        if (kid, algorithm) not in self._made:
            self._made[kid, algorithm] = make_key(jwk, algorithm)
        return self._made[kid, algorithm]

    def _refresh(self, kid: str | None) -> None:
        now_s = self._now()
        age_s = _age_s(self._fetched_s, now_s)
        wait_s = RETRY_S if age_s < STALE_S else RETRY_WITHOUT_S
        if (age_s >= FRESH_S or kid not in self._keys) and _age_s(self._tried_s, now_s) >= wait_s:
            try:
                self._replace(read_key_set(self._source.fetch()))
            except NoTimeLeftError:
                raise
            except KeySourceError:
                self._tried_s = self._now()  # after the wait, or an issuer that hangs would be waited for all the time
                if age_s >= STALE_S:
                    raise
                return
            self._tried_s = self._fetched_s = now_s
        elif age_s >= STALE_S:
            raise KeySourceError("the issuer's keys could not be fetched")

    def _replace(self, keys: Mapping[str, Jwk]) -> None:
        self._made = {name: key for name, key in self._made.items() if keys.get(name[0]) == self._keys.get(name[0])}
        self._keys = keys


def read_key_set(document: bytes) -> dict[str, Jwk]:
    """Read a JWKS document into its usable keys by `kid`; one unusable key doesn't spoil the others.

    A `kid` that stands twice is refused altogether: which of the two was meant can't be known. So is a key in which a
    member stands twice. Raises `KeySourceError` if the document isn't a key set, or a larger one than may be.
    """
    keys = _read_keys(document)
    kids = [key.get("kid") for key in keys]
    return {
        kid: key
        for kid, key in zip(kids, keys, strict=True)
        if isinstance(kid, str) and kids.count(kid) == 1 and is_for_checking(key)
    }


def _read_keys(document: bytes) -> list[Jwk]:
    if len(document) > MAX_DOCUMENT_BYTES:
        raise KeySourceError("the key set is too large")
    try:
        value = read_json_without_doubtful_objects(document)
    except ValueError as error:
        raise KeySourceError("the key set isn't JSON") from error
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise KeySourceError("not a key set, or too many keys")
    return [key for key in keys if isinstance(key, dict)]


def _age_s(since_s: float, now_s: float) -> float:
    """Give the seconds since; for ever where the clock has gone backwards."""
    age_s = now_s - since_s
    return age_s if age_s >= 0 else float("inf")
