"""The arithmetic of one sliding window: current count plus the share of the previous one that is still in view.

The estimate is exact where the previous window's requests came evenly. Everything is in whole milliseconds and whole
requests, rounded up, so rounding never admits.
"""

from typing import NamedTuple


class Counters(NamedTuple):
    """What the store holds of one rule: the window's number since the epoch, its count, the count before it."""

    window: int
    current: int
    previous: int


class Moment(NamedTuple):
    """A point in time as a window of `length_ms` sees it."""

    window: int
    left_ms: int
    length_ms: int

    @classmethod
    def at(cls, now_ms: int, length_ms: int) -> "Moment":
        """Place a time in its window."""
        return cls(now_ms // length_ms, length_ms - now_ms % length_ms, length_ms)

    def not_before(self, window: int) -> "Moment":
        """Give this moment, or the start of a later window that the store has seen already: a slow clock gives way."""
        return self if window <= self.window else Moment(window, self.length_ms, self.length_ms)

    def share(self, previous: int) -> int:
        """Give how much of the previous window's count is still in view."""
        return -(-previous * self.left_ms // self.length_ms)


def roll(counters: Counters | None, moment: Moment) -> Counters:
    """Give the counters as they count at `moment`: carried over by one window, or started anew."""
    if counters is None or counters.window < moment.window - 1:
        return Counters(moment.window, 0, 0)
    if counters.window == moment.window - 1:
        return Counters(moment.window, 0, counters.current)
    return counters


def used(counters: Counters, moment: Moment) -> int:
    """Give how much is used, from counters rolled to `moment`."""
    return counters.current + moment.share(counters.previous)


def room(limit: int, cost: int, previous: int, moment: Moment) -> int:
    """Give the largest current count at which `cost` more still fits."""
    return limit - cost - moment.share(previous)


def roll_room(limit: int, cost: int, moment: Moment) -> int:
    """Give the largest count of the window before at which `cost` is the first of the new one."""
    return (limit - cost) * moment.length_ms // moment.left_ms


def wait_ms(counters: Counters, moment: Moment, limit: int, cost: int) -> int:
    """Give the shortest time after which `cost` fits if nothing else comes; for `cost` over `limit`, two windows."""
    if cost > limit:
        return 2 * moment.length_ms
    if counters.current + cost <= limit:
        fits_at_ms = (limit - cost - counters.current) * moment.length_ms // max(counters.previous, 1)
        return max(moment.left_ms - fits_at_ms, 0)
    fits_at_ms = (limit - cost) * moment.length_ms // counters.current
    return moment.left_ms + max(moment.length_ms - fits_at_ms, 0)


def reset_ms(counters: Counters, moment: Moment) -> int:
    """Give the time until nothing is left in view."""
    if counters.current:
        return moment.left_ms + moment.length_ms
    return moment.left_ms if counters.previous else 0
