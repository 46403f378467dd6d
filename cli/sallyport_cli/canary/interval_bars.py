"""A rate with its interval, as a bar: how little is known shows as well as what is."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from sallyport_cli.limits.bars import Look

WIDTH: Final = 40
_NICE: Final = (1, 2, 5, 10)
_LEAST_TOP: Final = 0.01


class Interval(NamedTuple):
    """A rate, and between which rates it lies; shares of 1."""

    low: float
    rate: float
    high: float


def top_of(*intervals: Interval) -> float:
    """Give the rate at which bars that stand below each other end: 1, 2 or 5 of some power of ten, at most 1."""
    most = min(max((_LEAST_TOP, *(interval.high for interval in intervals))), 1.0)
    power = 10.0 ** math.floor(math.log10(most))
    nice = next((nice for nice in _NICE if nice * power >= most * (1 - 1e-9)), _NICE[-1])
    return min(nice * power, 1.0)


def interval_bar(interval: Interval, top: float, look: Look) -> str:
    """Draw an interval with its rate on a line from 0 to `top`, in brackets."""
    empty, line, point = ("·", "━", "●") if look.blocks else (".", "-", "o")
    first, middle, last = (_cell(rate, top) for rate in interval)
    cells = [line if first <= cell <= last else empty for cell in range(WIDTH)]
    cells[middle] = point
    return f"[{''.join(cells)}]"


def _cell(rate: float, top: float) -> int:
    return min(max(int(rate / top * WIDTH), 0), WIDTH - 1)
