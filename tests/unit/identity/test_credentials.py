"""Where a credential may stand, and what makes it ambiguous."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.identity.credentials import CredentialRefusedError, find_credential

KEY = "sp_abc"
JWT = "eyJ.e30.c2ln"


def reason(headers: dict[str, list[str]]) -> str:
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
        ({"authorization": [f"Bearer {KEY}", f"Bearer {JWT}"]}, "several_credentials"),
        ({"authorization": [f"Bearer {KEY}"], "x-api-key": ["sp_other"]}, "several_credentials"),
        ({"x-api-key": [KEY], "api-key": [JWT]}, "several_credentials"),
    ],
)
def test_anything_ambiguous_is_no_credential(headers: dict[str, list[str]], expected: str) -> None:
    assert reason(headers) == expected


@given(st.text())
def test_any_header_value_is_read_or_refused(value: str) -> None:
    try:
        credential = find_credential({"authorization": [value]})
    except CredentialRefusedError:
        return
    assert credential.text in value


def test_a_credential_does_not_show_itself() -> None:
    assert KEY not in repr(find_credential({"api-key": [KEY]}))
