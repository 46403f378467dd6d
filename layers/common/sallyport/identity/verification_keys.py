"""The keys that check signatures, as `tokens` asks for them."""

from typing import Any, Protocol


class KeySourceError(Exception):
    """An issuer's keys can't be had, or must not be used. It says nothing about the token: nobody is let in.

    The message is for the log: it holds nothing of a token or a secret.
    """

    @property
    def detail(self) -> str:
        """What the operator should know."""
        return str(self)


class NoTimeLeftError(KeySourceError):
    """The invocation has no time left to ask for keys; nobody was asked."""


class VerificationKey(Protocol):
    """One key with the one algorithm it is used with."""

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Say whether the signature is of these bytes, by this key."""


class VerificationKeys(Protocol):
    """One issuer's keys: `jwks.KeySet` or `hmac_keys.HmacKeys`."""

    def key_for(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        """Give the key with exactly this id, fit for this algorithm; None if there is none.

        The same object stands for the same key for as long as the issuer has it. Raises `KeySourceError`.
        """


class AlgorithmKey:
    """A `VerificationKey` of PyJWT's: `algorithm` is one of its algorithm objects, `key` was prepared by it."""

    __slots__ = ("_algorithm", "_key")

    def __init__(self, algorithm: Any, key: Any) -> None:
        self._algorithm = algorithm
        self._key = key

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Say whether the signature is of these bytes, by this key."""
        return bool(self._algorithm.verify(signed, self._key, signature))
