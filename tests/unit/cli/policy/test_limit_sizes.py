"""How large an item can become: never less than DynamoDB would count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.policy.limit_rules import NO_WINDOW, LimitRule, Window
from sallyport_cli.policy.limit_sizes import MAX_ITEM_BYTES, item_bytes, rule_bytes

YEAR_2100_MS = 4_102_444_800_000
TENANT = ("tenant",)


def rule(limit: int, window: Window, unit: str = "tokens") -> LimitRule:
    return LimitRule("name", TENANT, unit, limit, window)


def counted_bytes(number: int) -> int:
    """Give a number's size as AWS documents it: a byte for each two significant digits, and one."""
    significant = len(str(number).rstrip("0") or "0")
    return (significant + 1) // 2 + 1


@given(st.integers(1, 10**18), st.integers(1, 31 * 86_400), st.integers(0, 9))
def test_a_rule_never_takes_more_than_was_reckoned(limit: int, length_s: int, overshoot: int) -> None:
    counts = [limit * overshoot, limit, YEAR_2100_MS // (length_s * 1000)]
    assert rule_bytes(rule(limit, Window(length_s))) >= sum(6 + counted_bytes(number) for number in counts)


@pytest.mark.parametrize("calendar", ["day", "month"])
def test_a_calendar_s_window_is_a_short_number(calendar: str) -> None:
    assert rule_bytes(rule(1, Window(calendar=calendar))) <= rule_bytes(rule(1, Window(1)))


def test_leases_are_reckoned_as_if_all_were_taken() -> None:
    assert rule_bytes(rule(50, NO_WINDOW, "concurrent")) == 609


def test_twenty_limits_of_a_tenant_fit() -> None:
    rules = [rule(10**9, Window(minutes * 60)) for minutes in range(1, 21)]
    assert item_bytes(TENANT, rules) < MAX_ITEM_BYTES
    assert item_bytes(("key", "tenant", "model"), [rule(10**18, Window(1))] * 20) > MAX_ITEM_BYTES


def test_a_member_s_name_counts() -> None:
    assert item_bytes(("tenant", "model"), []) - item_bytes(TENANT, []) == len("+model#") - 1 + 65
