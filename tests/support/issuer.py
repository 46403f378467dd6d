"""An issuer of JWTs: keys of every kind, tokens good and bad, its JWKS document."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example.com/"
AUDIENCE = "https://ai.example.com"

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHORT_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - short on purpose
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()

PRIVATE_KEYS: dict[str, Any] = {"rsa-1": RSA_KEY, "ec-1": EC_KEY, "ed-1": ED_KEY, "short-1": SHORT_RSA_KEY}


def claims(**changes: Any) -> dict[str, Any]:
    """Give the claims of a good token; a change to None takes a claim away."""
    now_s = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "tenant": "acme", "exp": now_s + 600, "iat": now_s}
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(
    payload: dict[str, Any] | None = None,
    *,
    key: Any = RSA_KEY,
    algorithm: str = "RS256",
    kid: str | None = "rsa-1",
    **header: Any,
) -> str:
    """Sign a token."""
    named = {} if kid is None else {"kid": kid}
    return jwt.encode(
        payload if payload is not None else claims(), key, algorithm=algorithm, headers={**named, **header}
    )


def jwk(key: Any, name: str, **changes: Any) -> dict[str, Any]:
    """Give a private key's public half as a JWK."""
    public = key.public_key()
    algorithm: Any = ECAlgorithm
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm = RSAAlgorithm
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = OKPAlgorithm
    return {**algorithm.to_jwk(public, as_dict=True), "kid": name, "use": "sig", **changes}


def document(*keys: dict[str, Any]) -> bytes:
    """Give a JWKS document; without arguments, of all the issuer's keys."""
    return json.dumps({"keys": keys or [jwk(key, kid) for kid, key in PRIVATE_KEYS.items()]}).encode()
