"""Percentiles of a histogram: all that is kept of how long single requests took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SHOWN: Final = (0.5, 0.95, 0.99)
"""Shares of the requests, as commands show them."""


def percentile_ms(counts: Sequence[int], bounds_ms: Sequence[float], share: float) -> float | None:
    """Give the duration that `share` of the requests didn't exceed, as if they lay evenly within a class.

    `bounds_ms` are the upper ends of the classes but for the last, which has none. None: nothing was counted; infinity:
    it lies in the last class.
    """
    total = sum(counts)
    if total == 0:
        return None
    wanted, passed, lower = share * total, 0, 0.0
    for count, upper in zip(counts, bounds_ms, strict=False):
        if count and passed + count >= wanted:
            return lower + (upper - lower) * (wanted - passed) / count
        passed, lower = passed + count, upper
    return float("inf")
