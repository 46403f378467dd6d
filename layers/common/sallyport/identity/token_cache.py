"""Tokens found good a moment ago, so that the next request with one needs no signature check."""

import hashlib

from sallyport.identity.principal import Identity
from sallyport.identity.registered_claims import Lifetime
from sallyport.identity.verification_keys import VerificationKey, VerificationKeys

MAX_AGE_S = 300.0
MAX_TOKENS = 1000


class CheckedToken:
    """What a check has found, and what it rests on: the token's lifetime, and that its key is the issuer's."""

    __slots__ = ("_algorithm", "_checked_s", "_key", "_keys", "_kid", "_lifetime", "identity")

    def __init__(
        self,
        identity: Identity,
        lifetime: Lifetime,
        keys: VerificationKeys,
        key: VerificationKey,
        *,
        kid: str | None,
        algorithm: str,
        checked_s: float,
    ) -> None:
        self.identity = identity
        self._lifetime = lifetime
        self._keys = keys
        self._key = key
        self._kid = kid
        self._algorithm = algorithm
        self._checked_s = checked_s

    def holds(self, now_s: float) -> bool:
        """Say whether it still does; not where the clock has gone backwards. Raises what the issuer's keys raise."""
        return (
            0 <= now_s - self._checked_s < MAX_AGE_S
            and self._lifetime.includes(now_s)
            and self._keys.key_for(self._kid, self._algorithm) is self._key
        )


class TokenCache:
    """Checked tokens by the SHA-256 of the whole token; those used least recently leave first."""

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self._max_tokens = max_tokens
        self._tokens: dict[bytes, CheckedToken] = {}

    def __len__(self) -> int:
        """Give the number of tokens kept."""
        return len(self._tokens)

    def knows(self, digest: bytes) -> bool:
        """Say whether this token was found good, whether or not that still holds."""
        return digest in self._tokens

    def find(self, digest: bytes, now_s: float) -> Identity | None:
        """Give whose token it is if its check still holds, None if it must be made again. Raises as the keys do."""
        checked = self._tokens.get(digest)
        if checked is None or not checked.holds(now_s):
            return None
        self._tokens[digest] = self._tokens.pop(digest)  # at the end: the one used last
        return checked.identity

    def forget(self, digest: bytes) -> None:
        """Forget a token that was refused; one whose issuer is down isn't."""
        self._tokens.pop(digest, None)

    def keep(self, digest: bytes, checked: CheckedToken) -> None:
        """Keep what a check has found."""
        self._tokens.pop(digest, None)
        if len(self._tokens) >= self._max_tokens:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[digest] = checked


def digest_of(token: str) -> bytes:
    """Give a token's name in the cache: of all of it, since tokens of one issuer begin alike."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
