"""JWTs: the good way, and the attacks that have names."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.jwks import KeySet, KeySourceError
from sallyport.identity.tokens import LEEWAY_S, TokenVerifier
from sallyport.policy.parameters import JwtSettings
from tests.support import issuer
from tests.support.issuer import AUDIENCE, EC_KEY, ED_KEY, ISSUER, OTHER_RSA_KEY, RSA_KEY, SHORT_RSA_KEY, claims, token

RULES = JwtSettings(
    issuer=ISSUER,
    audiences=(AUDIENCE,),
    algorithms=("RS256", "PS256", "ES256", "EdDSA"),
    jwks_url="https://issuer.example.com/jwks.json",
    tenant_claim="tenant",
    subject_claim="sub",
    scopes_claim="scope",
)


class FixedSource:
    def __init__(self, document: bytes) -> None:
        self.document = document
        self.fetches = 0

    def fetch(self) -> bytes:
        self.fetches += 1
        return self.document


def verifier(rules: JwtSettings = RULES, document: bytes | None = None) -> TokenVerifier:
    source = FixedSource(document if document is not None else issuer.document())
    keys = KeySet(source, time.monotonic)
    return TokenVerifier(rules, keys, default_scopes=("chat",), residency=("eu-central-1",))


def refusal(text: str, **options: Any) -> str:
    with pytest.raises(CredentialRefusedError) as caught:
        verifier(**options).verify(text)
    return caught.value.reason


def encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(RSA_KEY, "RS256", "rsa-1"), (RSA_KEY, "PS256", "rsa-1"), (EC_KEY, "ES256", "ec-1"), (ED_KEY, "EdDSA", "ed-1")],
)
def test_a_good_token_gives_its_principal(key: Any, algorithm: str, kid: str) -> None:
    principal = verifier().verify(token(key=key, algorithm=algorithm, kid=kid))
    assert (principal.method, principal.tenant, principal.subject) == ("jwt", "acme", "alice")
    assert principal.residency == ("eu-central-1",)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (None, ("chat",)),
        ("", ()),
        ("chat models", ("chat", "models")),
        (["models"], ("models",)),
        ("openid", ("openid",)),
    ],
)
def test_scopes_come_from_the_claim_or_by_default(scope: Any, expected: tuple[str, ...]) -> None:
    assert verifier().verify(token(claims(scope=scope))).scopes == expected


def test_without_a_scopes_claim_configured_every_token_has_the_default() -> None:
    assert verifier(RULES._replace(scopes_claim="")).verify(token(claims(scope="other"))).scopes == ("chat",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "token_MissingRequiredClaimError"),
        ({"iss": None}, "token_MissingRequiredClaimError"),
        ({"aud": None}, "token_MissingRequiredClaimError"),
        ({"iss": "https://evil.example.com/"}, "token_InvalidIssuerError"),
        ({"iss": ISSUER.rstrip("/")}, "token_InvalidIssuerError"),
        ({"aud": "https://other.example.com"}, "token_InvalidAudienceError"),
        ({"aud": []}, "token_MissingRequiredClaimError"),
        ({"aud": [7]}, "token_InvalidAudienceError"),
        ({"exp": int(time.time()) - LEEWAY_S - 5}, "token_expired"),
        ({"exp": "tomorrow"}, "token_DecodeError"),
        ({"nbf": int(time.time()) + LEEWAY_S + 3600}, "token_ImmatureSignatureError"),
        ({"iat": int(time.time()) + LEEWAY_S + 3600}, "token_ImmatureSignatureError"),
        ({"tenant": None}, "token_tenant_missing"),
        ({"tenant": ["acme"]}, "token_tenant_missing"),
        ({"tenant": "a/../b"}, "token_tenant_missing"),
        ({"sub": None}, "token_subject_missing"),
        ({"sub": 7}, "token_subject_missing"),
        ({"scope": 7}, "token_scopes_malformed"),
        ({"scope": "a\nb\x00"}, "token_scopes_malformed"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert refusal(token(claims(**changes))) == reason


def test_an_audience_list_needs_one_that_is_ours() -> None:
    assert verifier().verify(token(claims(aud=["x", AUDIENCE]))).tenant == "acme"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "RS384", "", 5, None, ["RS256"]])
def test_the_token_has_no_say_in_the_algorithm(algorithm: Any) -> None:
    good = token()
    header = encode({"alg": algorithm, "kid": "rsa-1", "typ": "JWT"})
    assert refusal(f"{header}.{good.split('.', 1)[1]}") == "token_algorithm_refused"


def test_an_unsigned_token_is_refused() -> None:
    assert refusal(f"{encode({'alg': 'none', 'kid': 'rsa-1'})}.{encode(claims())}.") == "token_algorithm_refused"


def test_a_key_of_another_kind_is_not_tried() -> None:
    assert refusal(token(key=RSA_KEY, kid="ec-1")) == "token_key_unknown"


def test_a_stranger_s_signature_is_refused() -> None:
    assert refusal(token(key=OTHER_RSA_KEY)) == "token_InvalidSignatureError"


def test_changed_claims_are_refused() -> None:
    head, _, signature = token().split(".")
    assert refusal(f"{head}.{encode(claims(tenant='evil'))}.{signature}") == "token_InvalidSignatureError"


def test_a_short_rsa_key_is_no_key() -> None:
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        text = token(key=SHORT_RSA_KEY, kid="short-1")
    assert refusal(text) == "token_key_unknown"


@pytest.mark.parametrize("kid", [None, "unknown", "../../etc/passwd", "https://evil.example.com/jwks", "' OR 1=1 --"])
def test_a_kid_chooses_a_known_key_exactly_or_none(kid: str | None) -> None:
    assert refusal(token(kid=kid)) in {"token_key_unknown", "token_header_refused"}


def test_keys_in_the_token_s_own_header_are_never_read() -> None:
    embedded = issuer.jwk(OTHER_RSA_KEY, "rsa-1")
    assert refusal(token(key=OTHER_RSA_KEY, jwk=embedded)) == "token_InvalidSignatureError"
    assert refusal(token(key=OTHER_RSA_KEY, jku="http://127.0.0.1:1/")) == "token_InvalidSignatureError"


def test_an_extension_that_must_be_understood_is_refused() -> None:
    assert refusal(token(crit=["b64"], b64=True)) == "token_header_refused"


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "a.b.c.d", "..", "!.b.c", "e30.e30.e30", "bnVsbA.e30.x", "A" * 5000 + ".b.c"]
)
def test_what_is_no_jwt_is_refused(text: str) -> None:
    assert refusal(text).startswith("token_")


@given(st.text(alphabet="ABCabc019._-=", max_size=120))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    assert refusal(text).startswith("token_")


def test_no_key_set_lets_nobody_in() -> None:
    with pytest.raises(KeySourceError):
        verifier(document=b"<html>").verify(token())
