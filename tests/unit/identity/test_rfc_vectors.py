"""The published examples: RFC 7515, appendices A.1, A.2, A.3 and A.5, and RFC 8037, appendix A.4."""

import hmac
from typing import Any

import pytest

from sallyport.identity import base64url
from sallyport.identity.compact_token import read_compact
from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.hmac_keys import hmac_key
from sallyport.identity.jwk import fits, is_for_checking, make_key
from sallyport.identity.verification_keys import VerificationKey
from tests.support.issuer import RULES, Desk
from tests.support.token_attacks import refusal

PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
EXPIRES_S = 1_300_819_380

A1_SECRET = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
A1 = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

A2_KEY = {
    "kty": "RSA",
    "n": (
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
        "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
        "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
        "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
    ),
    "e": "AQAB",
}
A2 = (
    f"eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb"
    "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383"
    "LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy"
    "wlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)

A3_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
A3 = (
    f"eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
A5 = f"eyJhbGciOiJub25lIn0.{PAYLOAD}."

RFC_8037_KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC_8037 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


class OneKey:
    """The keys of an issuer that has one, whatever it is called."""

    def __init__(self, key: VerificationKey) -> None:
        self.key = key

    def key_for(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        return self.key


def a1_key() -> VerificationKey:
    return hmac_key(base64url.decode(A1_SECRET), "HS256")


def published_key(jwk: dict[str, Any], algorithm: str) -> VerificationKey:
    assert is_for_checking(jwk)
    assert fits(jwk, algorithm)
    key = make_key(jwk, algorithm)
    assert key is not None
    return key


def verifies(key: VerificationKey, token: str) -> bool:
    signed, _, signature = token.rpartition(".")
    return key.verifies(signed.encode(), base64url.decode(signature))


def tampered(token: str) -> str:
    return token.replace(".eyJpc3Mi", ".eyJpc3Mj").replace(".RXhh", ".RXhi")


@pytest.mark.parametrize(
    ("key", "token"),
    [
        (a1_key(), A1),
        (published_key(A2_KEY, "RS256"), A2),
        (published_key(A3_KEY, "ES256"), A3),
        (published_key(RFC_8037_KEY, "EdDSA"), RFC_8037),
    ],
    ids=["HS256", "RS256", "ES256", "EdDSA"],
)
def test_a_published_signature_is_good_and_of_these_bytes_only(key: VerificationKey, token: str) -> None:
    assert verifies(key, token)
    assert not verifies(key, tampered(token))


@pytest.mark.parametrize("token", [A1, A2, A3])
def test_a_published_token_is_read(token: str) -> None:
    claims = read_compact(token).claims
    assert claims == {"iss": "joe", "exp": EXPIRES_S, "http://example.com/is_root": True}


def test_what_is_signed_and_no_jwt_is_refused() -> None:
    with pytest.raises(CredentialRefusedError, match="token_malformed"):
        read_compact(RFC_8037)


def desk(key: VerificationKey, now_s: float, **changes: Any) -> Desk:
    rules = RULES._replace(issuer="joe", algorithms=("HS256", "RS256", "ES256"), **changes)
    return Desk(rules, key_source=lambda _: OneKey(key), now_s=now_s)


def test_the_hmac_example_passes_its_signature_and_is_refused_for_its_claims_alone() -> None:
    before = desk(a1_key(), EXPIRES_S - 1, hmac_secret="joe")
    assert refusal(before, A1) == "token_audience_missing"
    assert refusal(before, tampered(A1)) in {"token_signature_wrong", "token_malformed"}
    assert refusal(desk(a1_key(), EXPIRES_S + RULES.leeway_s, hmac_secret="joe"), A1) == "token_expired"


@pytest.mark.parametrize(("jwk", "algorithm", "token"), [(A2_KEY, "RS256", A2), (A3_KEY, "ES256", A3)])
def test_the_public_key_examples_name_no_key(jwk: dict[str, Any], algorithm: str, token: str) -> None:
    assert refusal(desk(published_key(jwk, algorithm), EXPIRES_S - 1), token) == "token_kid_missing"


def test_the_unsecured_example_is_refused() -> None:
    assert refusal(desk(a1_key(), EXPIRES_S - 1, hmac_secret="joe"), A5) == "token_algorithm_refused"


def test_the_hmac_secret_is_the_published_one() -> None:
    signed, _, signature = A1.rpartition(".")
    expected = hmac.digest(base64url.decode(A1_SECRET), signed.encode(), "sha256")
    assert base64url.decode(signature) == expected
