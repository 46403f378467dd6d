"""Issuers of JWTs: keys of every kind, tokens good and bad, JWKS documents, and what a verifier asks them through."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from sallyport.identity.jwks import KeySet
from sallyport.identity.tokens import TokenVerifier
from sallyport.identity.verification_keys import KeySourceError
from sallyport.policy.rules import IssuerRules

ISSUER = "https://issuer.example.com/"
OTHER_ISSUER = "https://other.example.com/"
AUDIENCE = "https://ai.example.com"

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHORT_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - short on purpose
EC_KEY = ec.generate_private_key(ec.SECP256R1())
EC384_KEY = ec.generate_private_key(ec.SECP384R1())
EC521_KEY = ec.generate_private_key(ec.SECP521R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()

PRIVATE_KEYS: dict[str, Any] = {
    "rsa-1": RSA_KEY,
    "ec-1": EC_KEY,
    "ec-384": EC384_KEY,
    "ec-521": EC521_KEY,
    "ed-1": ED_KEY,
    "short-1": SHORT_RSA_KEY,
}

RULES = IssuerRules(
    issuer=ISSUER,
    audiences=(AUDIENCE,),
    algorithms=("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"),
    jwks_url="https://issuer.example.com/jwks.json",
    default_scopes=("chat",),
)


def claims(now_s: float | None = None, **changes: Any) -> dict[str, Any]:
    """Give the claims of a token that is good for ten minutes from now; a change to None takes a claim away."""
    now_s = int(time.time() if now_s is None else now_s)
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
    return signed_token(
        {"alg": algorithm, "typ": "JWT", **named, **header}, claims() if payload is None else payload, key
    )


def signed_token(header: Any, payload: Any, key: Any = RSA_KEY, algorithm: str = "") -> str:
    """Sign whatever header and payload, JSON values or bytes; by the header's algorithm if none is named."""
    algorithm = algorithm or header["alg"]
    text = f"{encode(header)}.{encode(payload)}"
    return f"{text}.{encode(jwt.get_algorithm_by_name(algorithm).sign(text.encode(), key))}"


def encode(value: Any) -> str:
    """Give base64url without padding, of bytes or of a value as JSON."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwk(key: Any, name: str, **changes: Any) -> dict[str, Any]:
    """Give a private key's public half as a JWK; a change to None takes a member away."""
    public = key.public_key()
    algorithm: Any = ECAlgorithm
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm = RSAAlgorithm
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = OKPAlgorithm
    members = {**algorithm.to_jwk(public, as_dict=True), "kid": name, "use": "sig", **changes}
    return {name: value for name, value in members.items() if value is not None}


def document(*keys: dict[str, Any]) -> bytes:
    """Give a JWKS document; without arguments, of all the issuer's keys."""
    return json.dumps({"keys": keys or [jwk(key, kid) for kid, key in PRIVATE_KEYS.items()]}).encode()


class FakeSource:
    """A `KeySource` whose answers the test holds; None: the issuer is down."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.fetches = 0

    def fetch(self) -> bytes:
        """Give the answer."""
        self.fetches += 1
        if self.answer is None:
            raise KeySourceError("down")
        return self.answer


class Desk:
    """A verifier with its issuers' key sources and its clock in the test's hands."""

    def __init__(
        self,
        *rules: IssuerRules,
        documents: Mapping[str, bytes] | None = None,
        zones: Mapping[str, tuple[str, ...]] | None = None,
        key_source: Callable[[IssuerRules], Any] | None = None,
        now_s: float = 1_700_000_000.0,
    ) -> None:
        self.now_s = now_s
        self.sources = {
            rule.issuer: FakeSource((documents or {}).get(rule.issuer, document())) for rule in rules or (RULES,)
        }
        self.verifier = TokenVerifier(rules or (RULES,), key_source or self._keys, zones or {})

    @property
    def fetches(self) -> int:
        """Give how often any issuer was asked for its keys."""
        return sum(source.fetches for source in self.sources.values())

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Give the claims of a good token at this desk's time."""
        return claims(self.now_s, **changes)

    def verify(self, text: str) -> Any:
        """Verify now."""
        return self.verifier.verify(text, self.now_s)

    def _keys(self, rules: IssuerRules) -> KeySet:
        return KeySet(self.sources[rules.issuer], lambda: self.now_s)
