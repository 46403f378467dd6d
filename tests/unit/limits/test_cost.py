"""Costs: whole numbers, never rounded down, never more after the answer than what a price and a usage say."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.limits.cost import Usage, actual_cost, dearest, nanodollars, reserved_cost, unit_cost
from sallyport.policy.limit_rules import Price

GPT = Price(input=2_500_000, output=10_000_000, cached_input=1_250_000)
COUNTS = st.integers(0, 10_000_000)
PRICES = st.builds(Price, *[st.integers(0, 10**9)] * 3)


def test_reserved_cost_has_every_unit() -> None:
    assert reserved_cost(1000, 200, GPT) == {
        "requests": 1,
        "tokens": 1200,
        "input_tokens": 1000,
        "output_tokens": 200,
        "usd": 4_500_000,  # $0.0045
    }


def test_reserved_cost_without_a_price_has_no_money() -> None:
    assert "usd" not in reserved_cost(1000, 200, None)
    assert "usd" not in actual_cost(Usage(1, 1), None)


def test_actual_cost_takes_cached_input_at_its_own_price() -> None:
    cost = actual_cost(Usage(1000, 200, cached_input_tokens=400), GPT)
    assert cost["usd"] == 600 * 2500 + 400 * 1250 + 200 * 10_000
    assert cost["tokens"] == 1200


@pytest.mark.parametrize(
    ("usage", "same_as"),
    [(Usage(10, 5, 99), Usage(10, 5, 10)), (Usage(10, 5, -3), Usage(10, 5)), (Usage(-4, -1), Usage(0, 0))],
)
def test_cost_of_a_usage_that_cannot_be_is_that_of_the_nearest(usage: Usage, same_as: Usage) -> None:
    assert actual_cost(usage, GPT) == actual_cost(same_as, GPT)


@given(COUNTS, COUNTS, COUNTS, PRICES)
def test_money_is_rounded_up_to_whole_nanodollars(prompt: int, output: int, cached: int, price: Price) -> None:
    cached = min(cached, prompt)
    exact = Fraction((prompt - cached) * price.input + cached * price.cached_input + output * price.output, 1000)
    assert nanodollars(Usage(prompt, output, cached), price) == ceil(exact)


@given(COUNTS, COUNTS, COUNTS, PRICES)
def test_reserved_cost_covers_the_usage_it_was_made_for(prompt: int, output: int, cached: int, price: Price) -> None:
    reserved = reserved_cost(prompt, output, price)
    actual = actual_cost(Usage(prompt, output, cached), price)
    assert all(actual[unit] <= reserved[unit] for unit in actual)


@given(st.lists(PRICES, min_size=1, max_size=5), COUNTS, COUNTS, COUNTS)
def test_dearest_price_is_below_none(prices: list[Price], prompt: int, output: int, cached: int) -> None:
    usage = Usage(prompt, output, cached)
    assert all(nanodollars(usage, dearest(prices)) >= nanodollars(usage, price) for price in prices)


def test_dearest_of_no_prices_is_refused() -> None:
    with pytest.raises(ValueError, match="no prices"):
        dearest([])


def test_unit_cost_of_a_place_is_one() -> None:
    assert unit_cost({"tokens": 7}, "tokens") == 7
    assert unit_cost({"tokens": 7}, "concurrent") == 1
    assert unit_cost({"tokens": 7}, "usd") == 0
