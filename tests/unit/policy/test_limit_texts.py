"""A key's limits as text: what is read, what is refused, and that writing is the reverse of reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.policy.limit_rules import NO_WINDOW, LimitRule, Window
from sallyport.policy.limit_texts import (
    MAX_NANODOLLARS,
    amount_text,
    check_key_limits,
    key_rule,
    limit_text,
    parse_limit,
    parse_limits,
    parse_usd,
    per_minute,
)

WINDOWS = st.one_of(
    st.integers(1, 31 * 86_400).map(Window), st.sampled_from([Window(calendar="day"), Window(calendar="month")])
)


@st.composite
def rules(draw: st.DrawFn) -> LimitRule:
    """A limit that a key may have."""
    unit = draw(st.sampled_from(["requests", "tokens", "input_tokens", "output_tokens", "usd", "concurrent"]))
    most = {"usd": MAX_NANODOLLARS, "concurrent": 50}.get(unit, 10**15)
    return key_rule(unit, draw(st.integers(1, most)), NO_WINDOW if unit == "concurrent" else draw(WINDOWS))


@given(rules())
def test_what_is_written_is_read_as_it_was(rule: LimitRule) -> None:
    assert parse_limit(limit_text(rule)) == rule


@given(st.text(max_size=40))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    try:
        limits = parse_limits(text)
    except ValueError:
        return
    assert all(rule.limit >= 1 for rule in limits)


def test_limits_of_a_key() -> None:
    tokens, budget, calls = parse_limits("tokens=50000/60s, usd=0.25/month,concurrent=4")
    assert tokens == LimitRule("key-tokens-1m", ("key",), "tokens", 50_000, Window(60))
    assert (budget.name, budget.limit, budget.on_store_failure) == ("key-usd-month", 250_000_000, "deny")
    assert (calls.name, calls.window) == ("key-concurrent", NO_WINDOW)
    assert per_minute(7) == parse_limit("requests=7/1m")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "isn't like"),
        ("tokens", "isn't like"),
        ("calls=1/1m", "isn't like"),
        ("tokens=1", "isn't like"),
        ("concurrent=4/1m", "isn't like"),
        ("concurrent=51", "at most 50"),
        ("tokens=/1m", "whole number"),
        ("tokens=01/1m", "whole number"),
        ("tokens=1.5/1m", "whole number"),
        ("tokens=-1/1m", "whole number"),
        ("tokens=٣/1m", "whole number"),
        ("tokens=0/1m", "more than 0"),
        ("tokens=1000000000000001/1m", "at most 1000000000000000"),
        ("tokens=99999999999999999999/1m", "whole number"),
        ("usd=0/month", "more than 0"),
        ("usd=.5/month", "at most nine decimals"),
        ("usd=1e3/month", "at most nine decimals"),
        ("usd=0.0000000001/month", "at most nine decimals"),
        ("usd=1000000000.000000001/month", "at most 1000000000"),
        ("tokens=1/32d", "from 1s to 31d"),
        ("tokens=1/week", "number with s, m, h or d"),
        ("tokens=1/1m,tokens=2/60s", "two limits of the same unit and window"),
        (",".join(f"requests=1/{seconds}s" for seconds in range(61, 72)), "at most 10"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_limits(text)


def test_two_limits_may_not_share_a_counter() -> None:
    one, other = colliding()
    with pytest.raises(ValueError, match="share a counter"):
        check_key_limits((one, other))


def colliding() -> tuple[LimitRule, LimitRule]:
    """Find two windows whose counters have the same five digits."""
    seen: dict[str, LimitRule] = {}
    for seconds in range(1, 100_000):
        rule = key_rule("tokens", 1, Window(seconds))
        if rule.counter in seen:
            return seen[rule.counter], rule
        seen[rule.counter] = rule
    raise AssertionError("no collision")


@pytest.mark.parametrize(
    ("text", "nanodollars"),
    [("20", 20_000_000_000), ("0.25", 250_000_000), ("0.000000001", 1), ("12.340", 12_340_000_000)],
)
def test_dollars_are_read_exactly(text: str, nanodollars: int) -> None:
    assert parse_usd(text) == nanodollars


def test_dollars_are_written_with_no_more_decimals_than_they_have() -> None:
    texts = [amount_text("usd", nanodollars) for nanodollars in (20_000_000_000, 250_000_000, 1, 10_100_000_000)]
    assert texts == ["20", "0.25", "0.000000001", "10.1"]
