"""The arithmetic of one window: current count plus, if it slides, the share of the previous one still in view.

The estimate is exact where the previous window's requests came evenly. Everything is in whole milliseconds and whole
units, rounded up, so rounding never admits. A calendar day or month (UTC) starts anew and has no previous share.
"""

import time
from typing import NamedTuple

from sallyport.policy.limit_rules import Window

DAY_MS = 86_400_000
_MONTHS = 12


class Counters(NamedTuple):
    """What the store holds of one rule: the window's number, its count, the count of the window before it."""

    window: int
    current: int
    previous: int


class Moment(NamedTuple):
    """A point in time as a window of `length_ms` sees it: its number, and what is left of it."""

    window: int
    left_ms: int
    length_ms: int
    slides: bool = True

    @classmethod
    def at(cls, now_ms: int, window: Window, seen: int = 0) -> "Moment":
        """Place a time in its window.

        Where the store has `seen` a later one, it is that one's start: a slow clock gives way.
        """
        if not window.calendar:
            length_ms = window.length_s * 1000
            number = now_ms // length_ms
            if seen > number:
                return cls(seen, length_ms, length_ms)
            return cls(number, length_ms - now_ms % length_ms, length_ms)
        number = max(window_number(now_ms, window), seen)
        start_ms, end_ms = window_start_ms(number, window), window_start_ms(number + 1, window)
        return cls(number, end_ms - max(now_ms, start_ms), end_ms - start_ms, slides=False)

    def share(self, previous: int) -> int:
        """Give how much of the previous window's count is still in view."""
        return -(-previous * self.left_ms // self.length_ms) if self.slides else 0


def window_number(now_ms: int, window: Window) -> int:
    """Give the number of the window at a time: lengths since the epoch, days since it, or year * 12 + month - 1."""
    if window.calendar == "month":
        then = time.gmtime(now_ms // 1000)
        return then.tm_year * _MONTHS + then.tm_mon - 1
    return now_ms // (DAY_MS if window.calendar else window.length_s * 1000)


def window_start_ms(number: int, window: Window) -> int:
    """Give when a window begins, in milliseconds since the epoch."""
    if window.calendar == "month":
        return _days_before_month(number) * DAY_MS
    return number * (DAY_MS if window.calendar else window.length_s * 1000)


def longest_s(window: Window) -> int:
    """Give how long such a window is at most, in seconds."""
    return window.length_s or (31 if window.calendar == "month" else 1) * DAY_MS // 1000


def _days_before_month(number: int) -> int:
    """Count the days from the epoch to a month's first; with years from March, a leap day is a year's last one."""
    year, month = divmod(number - 2, _MONTHS)  # month 0 is March
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 - 719_468


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
    """Give the largest count of the window before at which `cost` is the first of the new, sliding one."""
    return (limit - cost) * moment.length_ms // moment.left_ms


def wait_ms(counters: Counters, moment: Moment, limit: int, cost: int) -> int | None:
    """Give the shortest time after which `cost` fits if nothing else comes: 0 if it does now, None if it never will."""
    if cost > limit:
        return None
    if used(counters, moment) + cost <= limit:
        return 0
    if not moment.slides:
        return moment.left_ms
    if counters.current + cost <= limit:
        fits_at_ms = (limit - cost - counters.current) * moment.length_ms // max(counters.previous, 1)
        return max(moment.left_ms - fits_at_ms, 0)
    fits_at_ms = (limit - cost) * moment.length_ms // counters.current
    return moment.left_ms + max(moment.length_ms - fits_at_ms, 0)


def reset_ms(counters: Counters, moment: Moment) -> int:
    """Give the time until nothing is left in view."""
    if counters.current:
        return moment.left_ms + (moment.length_ms if moment.slides else 0)
    return moment.left_ms if moment.share(counters.previous) else 0
