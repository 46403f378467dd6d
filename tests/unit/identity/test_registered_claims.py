"""When a token is in force, and for whom: to the second, and on the given clock alone."""

from typing import Any

import pytest

from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.registered_claims import check_audience, check_issued, read_lifetime

NOW_S = 1_700_000_000
LEEWAY_S = 30


def check_times(said: dict[str, Any], leeway_s: float = LEEWAY_S) -> None:
    read_lifetime(said, leeway_s).check(NOW_S)
    check_issued(said, NOW_S, leeway_s)


@pytest.mark.parametrize(
    "said",
    [
        {"exp": NOW_S + 1},
        {"exp": NOW_S - LEEWAY_S + 1},
        {"exp": NOW_S - LEEWAY_S + 0.001},
        {"exp": 1.7000006e9},
        {"exp": 9_999_999_999},
        {"exp": NOW_S + 1, "nbf": NOW_S + LEEWAY_S, "iat": NOW_S + LEEWAY_S},
        {"exp": NOW_S + 1, "nbf": 0, "iat": -1},
        {"exp": NOW_S + 1, "nbf": NOW_S + 29.5, "iat": NOW_S + 29.5},
    ],
)
def test_a_token_in_force_is_let_pass(said: dict[str, Any]) -> None:
    check_times(said)
    assert read_lifetime(said, LEEWAY_S).includes(NOW_S)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"exp": NOW_S - LEEWAY_S}, "token_expired"),
        ({"exp": NOW_S - LEEWAY_S - 0.001}, "token_expired"),
        ({"exp": 0}, "token_expired"),
        ({"exp": -1}, "token_expired"),
        ({"exp": NOW_S + 1, "nbf": NOW_S + LEEWAY_S + 1}, "token_not_yet_valid"),
        ({"exp": NOW_S + 1, "nbf": NOW_S + LEEWAY_S + 0.001}, "token_not_yet_valid"),
        ({"exp": NOW_S + 1, "iat": NOW_S + LEEWAY_S + 1}, "token_issued_in_future"),
    ],
)
def test_a_token_out_of_force_is_refused(said: dict[str, Any], reason: str) -> None:
    with pytest.raises(CredentialRefusedError, match=reason):
        check_times(said)


def test_without_leeway_a_token_ends_with_the_second_it_names() -> None:
    check_times({"exp": NOW_S + 1, "nbf": NOW_S, "iat": NOW_S}, leeway_s=0)
    with pytest.raises(CredentialRefusedError, match="token_expired"):
        check_times({"exp": NOW_S}, leeway_s=0)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    ["1700000600", "", None, True, False, [], {}, float("nan"), float("inf"), float("-inf"), 10**30, -(10**400), 1e300],
)
def test_a_time_that_is_no_number_of_seconds_is_refused(name: str, value: Any) -> None:
    with pytest.raises(CredentialRefusedError, match=f"token_{name}_malformed"):
        check_times({"exp": NOW_S + 1, name: value})


def test_a_token_without_an_end_is_refused() -> None:
    with pytest.raises(CredentialRefusedError, match="token_exp_missing"):
        check_times({"nbf": 0, "iat": 0})


@pytest.mark.parametrize("audience", ["ours", ["ours"], ["x", "ours"], ["ours", "ours"], ["also ours"]])
def test_one_audience_of_ours_is_enough(audience: Any) -> None:
    check_audience({"aud": audience}, ("ours", "also ours"))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "token_audience_missing"),
        ({"audience": "ours"}, "token_audience_missing"),
        ({"aud": None}, "token_audience_malformed"),
        ({"aud": []}, "token_audience_malformed"),
        ({"aud": [["ours"]]}, "token_audience_malformed"),
        ({"aud": ["ours", None]}, "token_audience_malformed"),
        ({"aud": {"ours": 1}}, "token_audience_malformed"),
        ({"aud": ""}, "token_audience_wrong"),
        ({"aud": "our"}, "token_audience_wrong"),
        ({"aud": "ours/"}, "token_audience_wrong"),
        ({"aud": "OURS"}, "token_audience_wrong"),
        ({"aud": "ours also ours"}, "token_audience_wrong"),
        ({"aud": ["x", "y"]}, "token_audience_wrong"),
    ],
)
def test_another_audience_is_refused(said: dict[str, Any], reason: str) -> None:
    with pytest.raises(CredentialRefusedError, match=reason):
        check_audience(said, ("ours", "also ours"))
