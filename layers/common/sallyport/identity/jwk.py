"""One JSON Web Key (RFC 7517): is it for checking signatures, is it public and strong enough, and what algorithm fits?

PyJWT ignores `use` and `key_ops`, and takes short RSA keys and symmetric ones.
"""

from collections.abc import Mapping
from typing import Any

from sallyport.identity import base64url
from sallyport.identity.verification_keys import AlgorithmKey

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MAX_RSA_EXPONENT_BITS = 64
"""More make every check slower and no key stronger; a caller shouldn't be able to have us compute for long."""

type Jwk = Mapping[str, Any]

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
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def is_for_checking(jwk: Jwk) -> bool:
    """Say whether a key is public, asymmetric, and meant for checking signatures (RFC 7517, sections 4.2 and 4.3)."""
    return (
        jwk.get("kty") in ("RSA", "EC", "OKP")
        and _SECRET_MEMBERS.isdisjoint(jwk)
        and jwk.get("use", "sig") == "sig"
        and _may_verify(jwk.get("key_ops", ["verify"]))
    )


def fits(jwk: Jwk, algorithm: str) -> bool:
    """Say whether type, curve and, where the key names one, `alg` are this algorithm's."""
    kind, curve = _FAMILIES.get(algorithm, ("", ""))
    return jwk["kty"] == kind and (not curve or jwk.get("crv") == curve) and jwk.get("alg", algorithm) == algorithm


def make_key(jwk: Jwk, algorithm: str) -> AlgorithmKey | None:
    """Make the key of a JWK that fits the algorithm; None if its numbers aren't a sound key's.

    That a point lies on its curve is checked by `cryptography` when it makes the key.
    """
    import jwt  # noqa: PLC0415 - brings in cryptography; only a JWT's caller pays for it

    try:
        _check_numbers(jwk)
        made = jwt.PyJWK(dict(jwk), algorithm)
    except (jwt.PyJWTError, ValueError):
        return None
    return AlgorithmKey(made.Algorithm, made.key)


def _may_verify(operations: object) -> bool:
    return (
        isinstance(operations, list)
        and all(isinstance(operation, str) for operation in operations)
        and len(set(operations)) == len(operations)
        and "verify" in operations
    )


def _check_numbers(jwk: Jwk) -> None:
    """Raises `ValueError` unless each number is canonical base64url, and an RSA key's are neither weak nor huge."""
    numbers = {name: _bytes(jwk[name]) for name in ("n", "e", "x", "y") if name in jwk}
    if jwk["kty"] != "RSA":
        return
    modulus, exponent = (int.from_bytes(numbers.get(name, b"")) for name in ("n", "e"))
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or modulus % 2 == 0:
        raise ValueError("the modulus is too short, too long or even")
    if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > MAX_RSA_EXPONENT_BITS:  # noqa: PLR2004 - RSA's least
        raise ValueError("the exponent is too small, too long or even")


def _bytes(number: object) -> bytes:
    if not isinstance(number, str):
        raise ValueError("a number must be text")  # noqa: TRY004 - of a document, not of a caller
    return base64url.decode(number)
