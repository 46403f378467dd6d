"""An issuer that shares a secret with us: HMAC, only where the configuration says so, never from a JWKS."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from sallyport.errors import SecretUnavailableError
from sallyport.identity.verification_keys import AlgorithmKey, KeySourceError

RETRY_S = 5.0
"""A secret that can't be read is asked for at most once in this time, however many tokens come."""
_HASH_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}


class SharedSecret(Protocol):
    """Where the secret is; an adapter reads it, and keeps it for a bounded time."""

    def read(self) -> str:
        """Give the secret. Raises `SecretUnavailableError`."""


class HmacKeys:
    """The `VerificationKeys` of an issuer with a secret; a token's `kid` has no say, since there is one key."""

    def __init__(self, secret: SharedSecret, algorithms: Sequence[str], now: Callable[[], float] = time.time) -> None:
        """Take the secret, whose UTF-8 bytes are the key, and all algorithms that the issuer may use."""
        self._secret = secret
        self._algorithms = frozenset(algorithms)
        self._now = now
        self._failed_s = float("-inf")
        self._text = ""
        self._made: dict[str, AlgorithmKey] = {}

    def key_for(self, kid: str | None, algorithm: str) -> AlgorithmKey | None:
        """Give the secret as a key, None for an algorithm that isn't this issuer's.

        Raises `KeySourceError` if the secret can't be read, or is shorter than the longest hash of the issuer's
        algorithms (RFC 7518, section 3.2), whichever of them the token names: a caller can't choose to have a failure.
        """
        del kid
        if algorithm not in self._algorithms or algorithm not in _HASH_BYTES:
            return None
        text = self._read()
        if text != self._text:
            self._made, self._text = self._make_all(text.encode()), text
        return self._made[algorithm]

    def _read(self) -> str:
        now_s = self._now()
        if 0 <= now_s - self._failed_s < RETRY_S:
            raise KeySourceError("the issuer's secret could not be read")
        try:
            return self._secret.read()
        except SecretUnavailableError as error:
            self._failed_s = self._now()
            raise KeySourceError(error.detail or "the issuer's secret can't be read") from error

    def _make_all(self, secret: bytes) -> dict[str, AlgorithmKey]:
        names = self._algorithms & _HASH_BYTES.keys()
        if len(secret) < max(_HASH_BYTES[name] for name in names):
            raise KeySourceError("the issuer's secret is shorter than its algorithm's hash")
        return {name: hmac_key(secret, name) for name in names}


def hmac_key(secret: bytes, algorithm: str) -> AlgorithmKey:
    """Make a key of a secret. Raises `KeySourceError` for a public key in PEM, say: whoever reads that could sign."""
    import jwt  # noqa: PLC0415 - brings in cryptography; only a JWT's caller pays for it

    hmac = jwt.get_algorithm_by_name(algorithm)
    try:
        return AlgorithmKey(hmac, hmac.prepare_key(secret))
    except jwt.PyJWTError as error:
        raise KeySourceError("the issuer's secret is no secret but a key of another kind") from error
