"""Limits as headers: the tightest of each unit, in three dialects, within API Gateway's bounds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.limits.headers import MAX_SHOWN_RULES, limit_headers, retry_headers
from sallyport.limits.rules import RuleState
from sallyport.policy.limit_rules import LIMIT_SCOPES, NO_WINDOW, UNITS, LimitRule, Window

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
NOW_S = 1_800_000_000.25  # 2027-01-15T08:00:00.25Z


def state(
    unit: str = "requests", remaining: int = 7, limit: int = 10, reset_ms: int = 90_500, **fields: object
) -> RuleState:
    scope = tuple(str(fields.get("scope", "key")).split("+"))
    window = fields.get("window", NO_WINDOW if unit == "concurrent" else Window(60))
    assert isinstance(window, Window)
    retry_ms = fields.get("retry_ms", 0)
    assert retry_ms is None or isinstance(retry_ms, int)
    rule = LimitRule(str(fields.get("name", f"{scope[0]}-{unit}")), scope, unit, limit, window)
    return RuleState(rule, remaining, reset_ms, retry_ms)


def headers(*states: RuleState, refused_by: RuleState | None = None, path: str = CHAT) -> dict[str, str]:
    return limit_headers(states, refused_by, path, NOW_S)


def test_headers_of_no_rule_are_none() -> None:
    assert headers() == {}


def test_headers_say_openais_and_the_ietfs() -> None:
    assert headers(state(), state("tokens", 900, 1000, 400)) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "1m31s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "900",
        "x-ratelimit-reset-tokens": "400ms",
        "ratelimit-policy": '"key-requests";q=10;w=60, "key-tokens";q=1000;w=60;qu="tokens"',
        "ratelimit": '"key-requests";r=7;t=91, "key-tokens";r=900;t=1',
    }


def test_headers_show_the_rule_with_the_least_left() -> None:
    shown = headers(state(remaining=30, limit=50), state(remaining=20, limit=1000, scope="tenant"))
    assert shown["x-ratelimit-limit-requests"] == "1000"
    assert shown["x-ratelimit-remaining-requests"] == "20"


def test_headers_show_input_or_output_tokens_where_none_counts_both() -> None:
    apart = (state("input_tokens", 50, 100), state("output_tokens", 40, 200))
    assert headers(*apart)["x-ratelimit-limit-tokens"] == "200"
    assert headers(*apart, state("tokens", 70, 300))["x-ratelimit-limit-tokens"] == "300"


def test_headers_on_messages_are_anthropics() -> None:
    states = [state(unit, 6, 10) for unit in ("requests", "tokens", "input_tokens", "output_tokens")]
    shown = headers(*states, path=MESSAGES)
    assert not any(name.startswith("x-ratelimit") for name in shown)
    for unit in ("requests", "tokens", "input-tokens", "output-tokens"):
        assert shown[f"anthropic-ratelimit-{unit}-limit"] == "10"
        assert shown[f"anthropic-ratelimit-{unit}-remaining"] == "6"
        assert shown[f"anthropic-ratelimit-{unit}-reset"] == "2027-01-15T08:01:31Z"
    assert "ratelimit" in shown
    assert headers(state(), path="/v1/messages/count_tokens").keys() == headers(state(), path=MESSAGES).keys()


@pytest.mark.parametrize(
    ("unit", "window", "policy"),
    [
        ("output_tokens", Window(3600), 'q=10;w=3600;qu="output-tokens"'),
        ("concurrent", NO_WINDOW, 'q=10;qu="concurrent-requests"'),
        ("usd", Window(calendar="month"), 'q=10;qu="nanodollars"'),
        ("requests", Window(calendar="day"), "q=10;w=86400"),
    ],
)
def test_policy_header_has_unit_and_window(unit: str, window: Window, policy: str) -> None:
    assert headers(state(unit, window=window, name="n"))["ratelimit-policy"] == f'"n";{policy}'


@pytest.mark.parametrize(
    ("reset_ms", "text"),
    [(0, "0ms"), (999, "999ms"), (1000, "1s"), (59_001, "1m0s"), (3_600_000, "1h0m0s"), (90_061_000, "25h1m1s")],
)
def test_reset_is_written_as_go_writes_durations(reset_ms: int, text: str) -> None:
    assert headers(state(reset_ms=reset_ms))["x-ratelimit-reset-requests"] == text


@pytest.mark.parametrize("scope", ["global", "model", "route", "model+route"])
def test_shared_limits_are_shown_only_where_they_refused(scope: str) -> None:
    shared = state(remaining=0, retry_ms=100, scope=scope, name="shared")
    assert "shared" not in str(headers(state(), shared))
    assert headers(shared) == {}
    shown = headers(state(), shared, refused_by=shared)
    assert shown["ratelimit"].startswith('"shared";r=0')
    assert shown["x-ratelimit-remaining-requests"] == "0"


@pytest.mark.parametrize("scope", ["key+model", "ip", "subject", "tenant+route"])
def test_limits_of_a_caller_are_shown(scope: str) -> None:
    assert "mine" in headers(state(scope=scope, name="mine"))["ratelimit"]


def test_refusal_says_which_rule_and_when_to_come_back() -> None:
    refused = state("tokens", 40, 1000, retry_ms=1_234, name="key-tokens-1m")
    shown = headers(state(), refused, refused_by=refused)
    assert shown["x-sallyport-limit"] == "key-tokens-1m"
    assert shown["retry-after"] == "2"
    assert shown["retry-after-ms"] == "1234"
    assert shown["ratelimit"].startswith('"key-tokens-1m"')


def test_refusal_that_waiting_can_not_help_has_the_rule_alone() -> None:
    refused = state("tokens", 0, retry_ms=None)
    assert headers(refused, refused_by=refused) == {
        "ratelimit-policy": '"key-tokens";q=10;w=60;qu="tokens"',
        "x-sallyport-limit": "key-tokens",
    }


def test_refusal_by_a_rule_that_is_not_among_the_states_is_shown() -> None:
    refused = state(remaining=0, retry_ms=5, name="other")
    assert headers(state(), refused_by=refused)["ratelimit"].startswith('"other"')


@pytest.mark.parametrize(
    ("retry_ms", "expected"),
    [(0, ("1", "1")), (1, ("1", "1")), (1000, ("1", "1000")), (1001, ("2", "1001")), (60_000, ("60", "60000"))],
)
def test_retry_after_is_whole_seconds_and_never_too_early(retry_ms: int, expected: tuple[str, str]) -> None:
    assert tuple(retry_headers(retry_ms).values()) == expected


def test_name_is_escaped_as_a_structured_field() -> None:
    refused = state(name='a"b\\c\r\né' + "x" * 100, retry_ms=1)
    shown = headers(refused, refused_by=refused)
    assert shown["ratelimit"].startswith('"a\\"b\\\\c???xxx')
    assert shown["x-sallyport-limit"] == 'a"b\\c???' + "x" * 56


NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
STATES = st.builds(
    RuleState,
    st.builds(
        LimitRule,
        NAMES,
        st.lists(st.sampled_from(LIMIT_SCOPES), min_size=1, max_size=3).map(tuple),
        st.sampled_from(UNITS),
        st.integers(1, 10**16),
        st.one_of(st.builds(Window, st.integers(1, 2_678_400)), st.just(Window(calendar="month"))),
    ),
    st.integers(0, 10**16),
    st.integers(0, 10**10),
)
ITEM = re.compile(r'"(?:[^"\\]|\\.)*"(?:;[a-z]+=(?:\d{1,15}|"[a-z-]+"))+')


@given(st.lists(STATES, max_size=40), st.sampled_from([CHAT, MESSAGES]), st.booleans())
def test_headers_are_bounded_and_well_formed(states: list[RuleState], path: str, is_refused: bool) -> None:
    refused_by = states[0]._replace(retry_ms=1) if states and is_refused else None
    shown = limit_headers(states, refused_by, path, NOW_S)
    assert sum(len(name) + len(value) + 4 for name, value in shown.items()) < 5_000
    assert all(value.isascii() and value.isprintable() for value in shown.values())
    for field in ("ratelimit", "ratelimit-policy"):
        items = ITEM.findall(shown.get(field, ""))
        assert ", ".join(items) == shown.get(field, "")
        assert len(items) <= MAX_SHOWN_RULES
