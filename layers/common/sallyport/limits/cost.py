"""What a request costs, in every unit that a rule may count: what is reserved for it, and what it turned out to use.

Money is rounded up, so that no request with a price is free.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sallyport.limits.rules import Cost
from sallyport.policy.limit_rules import Price

_PICODOLLARS = 1000
"""In a nanodollar."""


class Usage(NamedTuple):
    """Tokens that one request used, as its upstream says. `cached_input_tokens` are among `input_tokens`."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0


def reserved_cost(prompt_tokens: int, output_tokens: int, price: Price | None) -> Cost:
    """Give what is charged before the answer is known: the estimated prompt, uncached, and the longest answer.

    `output_tokens` are those of all choices together. Without a price there is no usd in it.
    """
    usage = Usage(prompt_tokens, output_tokens)
    return _cost(usage, None if price is None else price._replace(input=max(price.input, price.cached_input)))


def actual_cost(usage: Usage, price: Price | None) -> Cost:
    """Give what a request cost by its usage, in the units of `reserved_cost`."""
    return _cost(usage, price)


def nanodollars(usage: Usage, price: Price) -> int:
    """Give the price of a request in whole nanodollars, rounded up."""
    cached = min(max(usage.cached_input_tokens, 0), max(usage.input_tokens, 0))
    uncached = max(usage.input_tokens, 0) - cached
    picodollars = uncached * price.input + cached * price.cached_input + max(usage.output_tokens, 0) * price.output
    return -(-picodollars // _PICODOLLARS)


def unit_cost(cost: Cost, unit: str) -> int:
    """Give a request's cost in one unit; of a concurrency limit it takes one place whatever it costs."""
    return 1 if unit == "concurrent" else cost.get(unit, 0)


def dearest(prices: Iterable[Price]) -> Price:
    """Give a price that is nowhere below any of these. Raises `ValueError` for none at all."""
    listed = list(prices)
    if not listed:
        raise ValueError("no prices")
    return Price(*(max(column) for column in zip(*listed, strict=True)))


def _cost(usage: Usage, price: Price | None) -> Cost:
    input_tokens, output_tokens = max(usage.input_tokens, 0), max(usage.output_tokens, 0)
    cost = {
        "requests": 1,
        "tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
    }
    if price is not None:
        cost["usd"] = nanodollars(usage, price)
    return cost
