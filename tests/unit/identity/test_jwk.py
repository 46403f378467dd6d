"""One key of a set: its numbers sound, neither weak nor huge, its type, curve and `alg` the algorithm's."""

from collections.abc import Iterator
from typing import Any

import pytest

from sallyport.identity import base64url
from sallyport.identity.jwks import KeySet
from tests.support.issuer import (
    EC384_KEY,
    EC521_KEY,
    EC_KEY,
    ED_KEY,
    OTHER_RSA_KEY,
    RSA_KEY,
    SHORT_RSA_KEY,
    FakeSource,
    document,
    encode,
    jwk,
)


def rsa_numbers(bits: int) -> dict[str, str]:
    """Give a modulus of so many bits; nobody need know its factors."""
    modulus = (1 << (bits - 1)) | 0xF00D_FACE_F00D_FACF
    return {"n": encode(modulus.to_bytes((bits + 7) // 8))}


def off_the_curve() -> Iterator[dict[str, str]]:
    """Give coordinates of another point, of no point, and of no number of the field."""
    yield {"y": jwk(EC384_KEY, "x")["y"]}
    yield {"y": jwk(EC_KEY, "x")["x"]}
    yield {"x": encode(bytes(32)), "y": encode(bytes(32))}
    yield {"x": encode(b"\xff" * 32)}


@pytest.mark.parametrize(
    ("key", "algorithm", "changes"),
    [
        (RSA_KEY, "RS256", {"n": "AQAB"}),
        (RSA_KEY, "RS256", {"n": "!"}),
        (RSA_KEY, "RS256", {"n": None}),
        (RSA_KEY, "RS256", {"n": 7}),
        (RSA_KEY, "RS256", {"n": jwk(RSA_KEY, "x")["n"] + "=="}),
        (RSA_KEY, "RS256", rsa_numbers(2047)),
        (RSA_KEY, "RS256", {"n": encode(bytes(1) * 128 + base64url.decode(rsa_numbers(1024)["n"]))}),
        (RSA_KEY, "RS256", rsa_numbers(8193)),
        (RSA_KEY, "RS256", {"n": encode(b"\xff" * 255 + b"\xfe")}),
        (RSA_KEY, "RS256", {"n": jwk(SHORT_RSA_KEY, "x")["n"]}),
        (RSA_KEY, "RS256", {"e": ""}),
        (RSA_KEY, "RS256", {"e": None}),
        (RSA_KEY, "RS256", {"e": "AQ"}),
        (RSA_KEY, "RS256", {"e": "Ag"}),
        (RSA_KEY, "RS256", {"e": "BA"}),
        (RSA_KEY, "RS256", {"e": encode(b"\x01" + bytes(7) + b"\x01")}),
        (RSA_KEY, "RS256", {"alg": "RS384"}),
        (RSA_KEY, "RS256", {"alg": "none"}),
        (RSA_KEY, "RS256", {"alg": ["RS256"]}),
        (RSA_KEY, "RS256", {"kty": "EC"}),
        (RSA_KEY, "ES256", {"kty": "EC"}),
        (EC_KEY, "ES256", {"crv": "P-384"}),
        (EC_KEY, "ES256", {"crv": "secp256k1"}),
        (EC_KEY, "ES256", {"crv": None}),
        (EC_KEY, "ES256", {"y": None}),
        *[(EC_KEY, "ES256", change) for change in off_the_curve()],
        (EC_KEY, "ES384", {}),
        (EC_KEY, "ES384", {"crv": "P-384"}),
        (EC384_KEY, "ES256", {}),
        (EC521_KEY, "ES512", {"crv": "P-256"}),
        (ED_KEY, "EdDSA", {"x": encode(bytes(31))}),
        (ED_KEY, "EdDSA", {"x": None}),
        (ED_KEY, "EdDSA", {"crv": "Ed448"}),
        (ED_KEY, "EdDSA", {"crv": "X25519"}),
        (ED_KEY, "ES256", {"kty": "EC"}),
    ],
)
def test_a_broken_or_unfit_key_is_no_key_and_spoils_no_other(key: Any, algorithm: str, changes: dict[str, Any]) -> None:
    keys = KeySet(FakeSource(document(jwk(key, "spoilt", **changes), jwk(OTHER_RSA_KEY, "good"))))
    for _ in range(2):
        assert keys.key_for("spoilt", algorithm) is None
    assert keys.key_for("good", "RS256") is not None


@pytest.mark.parametrize("bits", [2048, 8192])
def test_rsa_keys_from_the_shortest_to_the_longest_are_taken(bits: int) -> None:
    keys = KeySet(FakeSource(document(jwk(RSA_KEY, "rsa-1", **rsa_numbers(bits)))))
    assert keys.key_for("rsa-1", "RS256") is not None
