"""Where a credential may stand, and what makes it ambiguous."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.identity.credentials import HEADERS, MAX_CREDENTIAL_LENGTH, CredentialRefusedError, find_credential

KEY = "sp_abc"
JWT = "eyJ.e30.c2ln"


def reason(headers: dict[str, Any]) -> str:
    with pytest.raises(CredentialRefusedError) as caught:
        find_credential(headers)
    return caught.value.reason


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": [f"Bearer {KEY}"]},
        {"authorization": [f"bEaReR  {KEY}"]},
        {"x-api-key": [KEY]},
        {"api-key": [KEY]},
        {"authorization": [f"Bearer {KEY}"], "x-api-key": [KEY]},
    ],
)
def test_a_key_is_found_where_sdks_put_it(headers: dict[str, list[str]]) -> None:
    assert find_credential(headers) == ("api_key", KEY)


def test_what_is_no_key_of_ours_is_taken_for_a_jwt() -> None:
    assert find_credential({"authorization": [f"Bearer {JWT}"]}) == ("jwt", JWT)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "no_credential"),
        ({"authorization": []}, "no_credential"),
        ({"x-tenant": ["acme"]}, "no_credential"),
        ({"authorization": ["Bearer"]}, "authorization_malformed"),
        ({"authorization": ["Bearer "]}, "authorization_malformed"),
        ({"authorization": [KEY]}, "authorization_malformed"),
        ({"authorization": ["Basic dXNlcjpwYXNz"]}, "authorization_malformed"),
        ({"authorization": ["Bearer a b"]}, "authorization_malformed"),
        ({"authorization": ["Bearer a,b"]}, "credential_malformed"),
        ({"authorization": ["Bearer \tx"]}, "credential_malformed"),
        ({"x-api-key": [""]}, "credential_malformed"),
        ({"x-api-key": ["a\r\nb"]}, "credential_malformed"),
        ({"x-api-key": ["ключ"]}, "credential_malformed"),
        ({"x-api-key": ["a" * 8193]}, "credential_malformed"),
        ({"authorization": ["Bearer " + "a" * 8193]}, "credential_malformed"),
        ({"authorization": ["Bearer " + "a" * 10_000_000]}, "credential_malformed"),
        ({"authorization": ["Bearer" + " " * 10_000_000 + "a"]}, "credential_malformed"),
        ({"authorization": ["Bearer" + " " * 1000]}, "authorization_malformed"),
        ({"authorization": ["a" * 10_000_000]}, "credential_malformed"),
        ({"authorization": [f"Bearer {KEY}\ufffd"]}, "credential_malformed"),
        ({"authorization": [f"Bearer \udcff{KEY}"]}, "credential_malformed"),
        ({"authorization": ["Bearer sp_\u00e4bc"]}, "credential_malformed"),
        ({"authorization": ["Bearer \uff53p_abc"]}, "credential_malformed"),
        ({"authorization": [f"\ufeffBearer {KEY}"]}, "authorization_malformed"),
        ({"authorization": [f"Bearer\u00a0{KEY}"]}, "authorization_malformed"),
        ({"authorization": [f"Bearer\t{KEY}"]}, "authorization_malformed"),
        ({"authorization": [f" Bearer {KEY}"]}, "authorization_malformed"),
        ({"authorization": [f"Bearer {KEY} "]}, "authorization_malformed"),
        ({"authorization": [f"Bearer {KEY}\n"]}, "credential_malformed"),
        ({"authorization": [f"Bearer {KEY}\x00"]}, "credential_malformed"),
        ({"authorization": [f"Bearer {KEY}, Bearer {JWT}"]}, "authorization_malformed"),
        ({"authorization": [f"Bearer {KEY},Bearer {JWT}"]}, "authorization_malformed"),
        ({"authorization": [f"Bearer {KEY}", ""]}, "authorization_malformed"),
        ({"authorization": [f"Bearer {KEY}"], "x-api-key": [""]}, "credential_malformed"),
        ({"authorization": ["Bearer \u017fp_abc"]}, "credential_malformed"),
        ({"authorization": [f"Bearer {KEY}", f"Bearer {JWT}"]}, "several_credentials"),
        ({"authorization": [f"Bearer {KEY}"], "x-api-key": ["sp_other"]}, "several_credentials"),
        ({"x-api-key": [KEY], "api-key": [JWT]}, "several_credentials"),
    ],
)
def test_anything_ambiguous_is_no_credential(headers: dict[str, list[str]], expected: str) -> None:
    assert reason(headers) == expected


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    "values", [[None], [7], [True], [b"sp_abc"], [["sp_abc"]], [{"sp_abc": 1}], None, "sp_abc", "a", 7, {"sp_abc": 1}]
)
def test_a_header_that_is_no_text_is_no_credential(name: str, values: Any) -> None:
    assert reason({name: values}) == "credential_malformed"
    assert reason({"api-key": [KEY], name: values}) == "credential_malformed"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEARER"])
def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    assert find_credential({"authorization": [f"{scheme} {KEY}"]}).text == KEY


def test_names_of_headers_are_given_in_lower_case() -> None:
    assert reason({"Authorization": [f"Bearer {KEY}"], "X-Api-Key": [KEY]}) == "no_credential"


def test_the_longest_credential_is_read() -> None:
    longest = "a" * MAX_CREDENTIAL_LENGTH
    assert find_credential({"authorization": [f"Bearer {longest}"]}) == ("jwt", longest)
    assert find_credential({"x-api-key": [longest]}) == ("jwt", longest)


values = st.one_of(
    st.text(max_size=20),
    st.text(alphabet="Beare bBAR sp_.-=~+/,\t\n\x00\ufffd\udcff", max_size=20),
    st.builds(
        "{}{}{}".format, st.sampled_from(["Bearer ", "bearer  ", "Basic ", ""]), st.text(max_size=3), st.just(KEY)
    ),
    st.sampled_from([KEY, JWT, f"Bearer {KEY}", f"Bearer {JWT}", "", "Bearer", None, 7, b"sp_", ["sp_"]]),
)


@settings(max_examples=1200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*HEADERS, "Authorization", "cookie"]), st.lists(values, max_size=2) | st.none(), max_size=3
    )
)
def test_any_headers_hold_one_credential_or_are_refused(headers: dict[str, Any]) -> None:
    try:
        method, text = find_credential(headers)
    except CredentialRefusedError:
        return
    assert re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", text)
    assert method == ("api_key" if text.startswith("sp_") else "jwt")
    found = {name: headers[name] for name in HEADERS if headers.get(name)}
    assert found
    for name, presented in found.items():
        wanted = r"(?i:bearer) +" + re.escape(text) if name == "authorization" else re.escape(text)
        assert all(re.fullmatch(wanted, value) for value in presented)


def test_a_credential_does_not_show_itself() -> None:
    assert KEY not in repr(find_credential({"api-key": [KEY]}))
