"""The issuer's public keys: fetched, checked one by one, and kept for a bounded time."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from jwt import PyJWK

FRESH_S = 300.0
"""A key set younger than this is used as it is."""
STALE_S = 3600.0
"""While the issuer is down a key set is used until it is this old; then nobody is let in by it."""
RETRY_S = 30.0
"""An unknown `kid`, or an issuer that is down, causes at most one fetch in this time."""
MAX_KEYS = 64
MIN_RSA_BITS = 2048

_FAMILIES = {
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
    "PS256": ("RSA", ""),
    "PS384": ("RSA", ""),
    "PS512": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""RFC 7518 and 8037: signatures by a public key only. HMAC isn't among them: a published key would be the secret."""


class KeySourceError(Exception):
    """The key set can't be fetched or read."""


class KeySource(Protocol):
    """Where the key set comes from; an adapter fetches it."""

    def fetch(self) -> bytes:
        """Give the JWKS document's bytes. Raises `KeySourceError`."""


class KeySet:
    """One issuer's signing keys by `kid` and algorithm (RFC 7517)."""

    def __init__(self, source: KeySource, monotonic: Callable[[], float]) -> None:
        self._source = source
        self._monotonic = monotonic
        self._keys: Mapping[str, Mapping[str, Any]] = {}
        self._made: dict[tuple[str, str], PyJWK] = {}
        self._fetched_s = float("-inf")
        self._tried_s = float("-inf")

    def key_for(self, kid: str, algorithm: str) -> "PyJWK | None":
        """Give the key with exactly this `kid`, fit for this algorithm; None if there is none.

        Raises `KeySourceError` if no key set young enough can be had.
        """
        self._refresh(kid)
        jwk = self._keys.get(kid)
        if jwk is None or not _fits(jwk, algorithm):
            return None
        return self._make(kid, algorithm, jwk)

    def _refresh(self, kid: str) -> None:
        now_s = self._monotonic()
        age_s = now_s - self._fetched_s
        if (age_s >= FRESH_S or kid not in self._keys) and now_s - self._tried_s >= RETRY_S:
            self._tried_s = now_s
            try:
                self._keys = read_key_set(self._source.fetch())
            except KeySourceError:
                if age_s >= STALE_S:
                    raise
                return
            self._made.clear()
            self._fetched_s = now_s
        elif age_s >= STALE_S:
            raise KeySourceError("the issuer's keys could not be fetched")

    def _make(self, kid: str, algorithm: str, jwk: Mapping[str, Any]) -> "PyJWK | None":
        from jwt import PyJWK  # noqa: PLC0415 - brings in cryptography; only a JWT's caller pays for it
        from jwt.exceptions import PyJWTError  # noqa: PLC0415

        made = self._made.get((kid, algorithm))
        if made is None:
            try:
                made = PyJWK(dict(jwk), algorithm)
            except (PyJWTError, ValueError):
                return None
            if getattr(made.key, "key_size", MIN_RSA_BITS) < MIN_RSA_BITS and jwk["kty"] == "RSA":
                return None
            self._made[kid, algorithm] = made
        return made


def read_key_set(document: bytes) -> dict[str, Mapping[str, Any]]:
    """Read a JWKS document into its usable keys by `kid`; one unusable key doesn't spoil the others.

    A `kid` that stands twice is refused altogether: which of the two was meant can't be known.
    Raises `KeySourceError` if the document isn't a key set.
    """
    try:
        keys = json.loads(document)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeySourceError("not a key set") from error
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise KeySourceError("not a key set, or too many keys")
    kids = [key.get("kid") for key in keys if isinstance(key, dict)]
    return {
        key["kid"]: key
        for key in keys
        if isinstance(key, dict) and isinstance(key.get("kid"), str) and kids.count(key["kid"]) == 1 and _usable(key)
    }


def _usable(jwk: Mapping[str, Any]) -> bool:
    """Public, asymmetric, and meant for checking signatures (RFC 7517, sections 4.2 and 4.3)."""
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("kty") in ("RSA", "EC", "OKP")
        and "d" not in jwk
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _fits(jwk: Mapping[str, Any], algorithm: str) -> bool:
    kind, curve = _FAMILIES[algorithm]
    return jwk["kty"] == kind and (not curve or jwk.get("crv") == curve) and jwk.get("alg", algorithm) == algorithm
