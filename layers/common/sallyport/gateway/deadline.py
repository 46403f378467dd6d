"""The time that is left of an invocation, for whatever waits on its behalf.

Several calls of bounded time each can take longer than the function may: Lambda would then end it without a log line or
a metric, and no alarm would tell.
"""

import time
from collections.abc import Callable

RESERVE_S = 1.0
"""Kept back for the answer and the log line."""


class Deadline:
    """When waiting ends. Before the first `begin` it never does."""

    __slots__ = ("_ends_s", "_monotonic")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ends_s = float("inf")

    def begin(self, remaining_s: float, reserve_s: float = RESERVE_S) -> None:
        """Have all waiting end so many seconds from now, less the reserve."""
        self._ends_s = self._monotonic() + remaining_s - reserve_s

    def left_s(self) -> float:
        """Give the seconds left, none or fewer when it is over."""
        return self._ends_s - self._monotonic()
