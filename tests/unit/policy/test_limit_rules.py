"""What names a rule's counters."""

import re

from hypothesis import given
from hypothesis import strategies as st

from sallyport.policy.limit_rules import LimitRule, Window, counter_id

MINUTE = Window(60)


@given(st.text(max_size=64))
def test_counter_begins_with_a_digit_so_that_it_is_no_reserved_word(name: str) -> None:
    assert re.fullmatch(r"[0-9][0-9A-Za-z]{4}", counter_id(name, "tokens", MINUTE))


def test_counter_stays_whatever_the_limit_is() -> None:
    rule = LimitRule("key-tokens-1m", ("key",), "tokens", 10, MINUTE)
    assert rule.counter == rule._replace(limit=20, on_store_failure="deny").counter


def test_counters_of_other_names_units_and_windows_are_others() -> None:
    names = [f"rule-{number}" for number in range(1000)]
    ids = {
        counter_id(name, unit, window) for name in names for unit in ("usd", "tokens") for window in (MINUTE, Window(1))
    }
    assert len(ids) == 4000
