"""Thousands of texts, headers, claims and changed characters: each is refused, and nothing else ever happens."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.identity.credentials import CredentialRefusedError
from tests.support import issuer
from tests.support.issuer import AUDIENCE, EC_KEY, RULES, Desk, token

FUZZED = Desk()
GOOD = token(FUZZED.claims(exp=FUZZED.now_s + 10**8))

nested: Any = []
for _ in range(40):
    nested = [nested]
json_values = st.one_of(
    st.sampled_from(
        [None, True, [], {}, "", [""], [AUDIENCE], [[AUDIENCE]], AUDIENCE, {"a": 1}, 10**30, 1e308, nested]
    ),
    st.floats(),
    st.integers(),
    st.text(max_size=8),
    st.lists(st.text(max_size=4), max_size=3),
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["RS256", "ES256", "none", "HS256"]) | json_values,
        "kid": st.sampled_from(["rsa-1", "ec-1"]) | json_values,
        "typ": json_values,
        "crit": json_values,
        "b64": json_values,
        "jwk": json_values,
    },
)
changes = st.dictionaries(
    st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "tenant", "scope"]), json_values, max_size=3
)


def never_let_in(text: str) -> str:
    """Give the reason; anything but a refusal fails the test."""
    try:
        FUZZED.verify(text)
    except CredentialRefusedError as refused:
        return refused.reason
    raise AssertionError("let in")


@settings(max_examples=1200, deadline=None)
@given(st.text(max_size=200) | st.text(alphabet="ABCabc019._-=", max_size=200))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    assert never_let_in(text) == "token_malformed"


@settings(max_examples=1200, deadline=None)
@given(headers, changes, st.binary(max_size=80))
def test_any_header_and_payload_without_a_good_signature_are_refused(
    header: dict[str, Any], payload: dict[str, Any], signature: bytes
) -> None:
    text = f"{issuer.encode(header)}.{issuer.encode(FUZZED.claims() | payload)}.{issuer.encode(signature)}"
    assert never_let_in(text).startswith("token_")


@settings(max_examples=1200, deadline=None)
@given(changes)
def test_any_claims_in_a_signed_token_are_refused_or_name_their_holder(changed: dict[str, Any]) -> None:
    claims = FUZZED.claims() | changed
    try:
        identity = FUZZED.verify(token(claims, key=EC_KEY, algorithm="ES256", kid="ec-1"))
    except CredentialRefusedError:
        return
    assert claims["aud"] == AUDIENCE or AUDIENCE in claims["aud"]
    assert FUZZED.now_s - RULES.leeway_s < claims["exp"] < 1e12
    assert (identity.tenant, identity.subject) == (claims["tenant"], claims["sub"])


@settings(max_examples=1200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.characters(codec="utf-8") | st.sampled_from("ABab01-_.=") | st.just(""))
def test_a_good_token_with_any_character_changed_is_refused(index: int, character: str) -> None:
    changed = GOOD[:index] + character + GOOD[index + 1 :]
    if changed == GOOD:
        assert FUZZED.verify(GOOD).tenant == "acme"
    else:
        assert never_let_in(changed).startswith("token_")


def test_the_unchanged_token_is_good() -> None:
    assert FUZZED.verify(GOOD).tenant == "acme"
