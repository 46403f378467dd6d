"""What the authorizer's decisions cost: credentials here, networks in `bench.networks`."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from bench import networks
from bench.cpu import Case, Figures, figure, measure
from bench.emulator import BenchmarkError
from bench.stage import Stage
from bench.tables import print_table
from sallyport.adapters.dynamodb_keys import read_attributes
from sallyport.identity.api_keys import ApiKeyVerifier, KeyItem, NewKey, mint
from sallyport.identity.base64url import decode
from sallyport.identity.jwks import KeySet
from sallyport.identity.tokens import TokenVerifier
from sallyport.policy.rules import IssuerRules
from sallyport_cli.key_items import KeyGrant, key_item

BATCHES = 15
CHEAP_CALLS = 3000
TOKENS = 100
HELD_S = 15.0
ISSUER = "https://issuer.example.com/"
AUDIENCE = "https://ai.example.com"
DICT_LOOKUP, SHA256 = "one dict lookup", "SHA-256 of the key"


class Row(NamedTuple):
    """A figure to print, and the one that it can't get below."""

    name: str
    floor: str


ROWS = (
    Row(DICT_LOOKUP, ""),
    Row(SHA256, ""),
    Row("key, record held", SHA256),
    Row("key, record read from a store in memory", SHA256),
    Row("JWT, checked a moment ago", DICT_LOOKUP),
    Row("RS256 signature alone", ""),
    Row("RS256 JWT, fresh", "RS256 signature alone"),
    Row("ES256 signature alone", ""),
    Row("ES256 JWT, fresh", "ES256 signature alone"),
    Row("EdDSA signature alone", ""),
    Row("EdDSA JWT, fresh", "EdDSA signature alone"),
)


def run(stage: Stage) -> None:
    """Measure and print."""
    del stage
    figures = measure(credential_cases(), BATCHES)
    print(f"Microseconds of CPU per call in this process, user and kernel: median of {BATCHES} batches, each of")
    print(
        f"{CHEAP_CALLS} calls, or of {TOKENS} where a signature is checked. A fresh JWT is one that its verifier sees"
    )
    print("for the first time; it has the issuer's keys. A signature alone is checked by `cryptography`, on the same")
    print("tokens.\n")
    print_table(["", "median us", "range", "ratio", "to"], [_cells(row, figures) for row in ROWS])
    print()
    networks.run()


def _cells(row: Row, figures: Mapping[str, Figures]) -> list[str]:
    found = figures[row.name]
    ratio = figure(found.median_us / figures[row.floor].median_us) if row.floor else ""
    return [row.name, figure(found.median_us), found.range(), ratio, row.floor]


def credential_cases(calls: int = CHEAP_CALLS, tokens: int = TOKENS) -> list[Case]:
    """Give what is measured. Raises `BenchmarkError` unless each credential lets its holder in."""
    now_s = time.time()
    issuer = _Issuer(now_s, tokens)
    return [
        *_floor_cases(calls),
        *_key_cases(calls, now_s),
        _cached_case(issuer, calls),
        *(case for name in issuer.keys for case in _signature_cases(issuer, name)),
    ]


def _floor_cases(calls: int) -> list[Case]:
    members = {f"member-{number}": number for number in range(1000)}
    secret = mint().text.encode()
    return [
        _repeated(DICT_LOOKUP, calls, lambda: members["member-500"]),
        _repeated(SHA256, calls, lambda: hashlib.sha256(secret).digest()),
    ]


def _key_cases(calls: int, now_s: float) -> list[Case]:
    key = mint()
    store = _KeyStore(key)
    held, read = ApiKeyVerifier(store, HELD_S), ApiKeyVerifier(store, 0.0)
    _check(held.verify(key.text, now_s).key_id == key.key_id and store.reads == 1)
    _check(held.verify_known(key.text, now_s) is not None and store.reads == 1)
    _check(read.verify(key.text, now_s).key_id == key.key_id and store.reads == 2)  # noqa: PLR2004 - one read each
    return [
        _repeated("key, record held", calls, lambda: held.verify(key.text, now_s)),
        _repeated("key, record read from a store in memory", calls, lambda: read.verify(key.text, now_s)),
    ]


class _KeyStore:
    """A `KeyStore` with one key, which it reads from DynamoDB's form as the real one does."""

    def __init__(self, key: NewKey) -> None:
        self._item = key_item(key.key_id, key.secret_sha256, KeyGrant(tenant="acme", name="bench"), 0)
        self.reads = 0

    def read_key(self, key_id: str) -> KeyItem | None:
        """Give the key's attributes."""
        del key_id
        self.reads += 1
        return read_attributes(self._item)


class _Issuer:
    """An issuer with a key for each algorithm, the tokens that it signed, and its JWKS."""

    def __init__(self, now_s: float, tokens: int) -> None:
        self.now_s = now_s
        self.keys: dict[str, Any] = {
            "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        self.tokens = {name: [self._sign(name, number) for number in range(tokens)] for name in self.keys}
        self._key_set = KeySet(self, lambda: now_s)

    def fetch(self) -> bytes:
        """Give the JWKS."""
        kinds: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
        keys = [
            {**kinds[name].to_jwk(key.public_key(), as_dict=True), "kid": name, "alg": name, "use": "sig"}
            for name, key in self.keys.items()
        ]
        return json.dumps({"keys": keys}).encode()

    def verifier(self) -> TokenVerifier:
        """Give a verifier that knows the keys and has seen no token."""
        rules = IssuerRules(
            ISSUER, (AUDIENCE,), tuple(self.keys), jwks_url=f"{ISSUER}jwks.json", default_scopes=("chat",)
        )
        return TokenVerifier([rules], lambda _: self._key_set, {})

    def _sign(self, name: str, number: int) -> str:
        issued_s = int(self.now_s)
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"user-{number}", "tenant": "acme", "scope": "chat models"}
        return jwt.encode(
            {**claims, "iat": issued_s, "nbf": issued_s, "exp": issued_s + 3600}, self.keys[name], name, {"kid": name}
        )


def _cached_case(issuer: _Issuer, calls: int) -> Case:
    verifier, token = issuer.verifier(), issuer.tokens["RS256"][0]
    verifier.verify(token, issuer.now_s)
    _check(verifier.verify_known(token, issuer.now_s) is not None)
    return _repeated("JWT, checked a moment ago", calls, lambda: verifier.verify(token, issuer.now_s))


def _signature_cases(issuer: _Issuer, name: str) -> list[Case]:
    tokens = issuer.tokens[name]
    _check(issuer.verifier().verify(tokens[0], issuer.now_s).subject == "user-0")

    def fresh() -> Callable[[], object]:
        verifier = issuer.verifier()
        return lambda: [verifier.verify(token, issuer.now_s) for token in tokens]

    verify = _signature_check(issuer.keys[name].public_key())
    signed = [_signed(token, name) for token in tokens]
    return [
        Case(f"{name} signature alone", len(tokens), lambda: lambda: [verify(*parts) for parts in signed]),
        Case(f"{name} JWT, fresh", len(tokens), fresh),
    ]


def _signature_check(key: Any) -> Callable[[bytes, bytes], None]:
    """Give what checks (signature, signed bytes); it raises for a wrong one."""
    if isinstance(key, rsa.RSAPublicKey):
        return lambda signature, signed: key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePublicKey):
        return lambda signature, signed: key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    return key.verify  # type: ignore[no-any-return]


def _signed(token: str, name: str) -> tuple[bytes, bytes]:
    """Give a token's signature, as `cryptography` takes it, and what is signed."""
    signed, _, signature = token.rpartition(".")
    raw = decode(signature)
    if name == "ES256":  # RFC 7518 has the two numbers side by side, X.509 and so `cryptography` has them in DER
        raw = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    return raw, signed.encode()


def _repeated(name: str, calls: int, call: Callable[[], object]) -> Case:
    numbers: Sequence[None] = [None] * calls

    def batch() -> None:
        for _ in numbers:
            call()

    return Case(name, calls, lambda: batch)


def _check(holds: bool) -> None:
    if not holds:
        raise BenchmarkError("a credential wasn't taken as it should be")
