"""The window's arithmetic, held to what it promises."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.limits.window import (
    Counters,
    Moment,
    longest_s,
    reset_ms,
    roll,
    roll_room,
    room,
    used,
    wait_ms,
    window_number,
    window_start_ms,
)
from sallyport.policy.limit_rules import Window

LENGTH_MS = 60_000
MINUTE, DAY, MONTH = Window(60), Window(calendar="day"), Window(calendar="month")
SLIDING_TIMES_MS = st.integers(0, 10 * LENGTH_MS)
EVER_MS = st.integers(0, 4_102_444_800_000)
COUNTS = st.integers(0, 500)
COSTS = st.integers(1, 60)
LIMITS = st.integers(1, 500)
WINDOWS = st.sampled_from([MINUTE, Window(1), Window(31 * 86_400), DAY, MONTH])


def advance(counters: Counters, at_ms: int, window: Window) -> tuple[Counters, Moment]:
    moment = Moment.at(at_ms, window)
    return roll(counters, moment), moment


@given(SLIDING_TIMES_MS, COUNTS, COUNTS, LIMITS, COSTS, WINDOWS)
def test_room_is_what_keeps_the_use_within_the_limit(
    now_ms: int, current: int, previous: int, limit: int, cost: int, window: Window
) -> None:
    moment = Moment.at(now_ms, window)
    fits = used(Counters(moment.window, current, previous), moment) + cost <= limit
    assert (current <= room(limit, cost, previous, moment)) is fits


@given(SLIDING_TIMES_MS, COUNTS, LIMITS, COSTS)
def test_room_at_a_roll_is_what_keeps_the_use_within_the_limit(
    now_ms: int, current: int, limit: int, cost: int
) -> None:
    moment = Moment.at(now_ms, MINUTE)
    rolled = roll(Counters(moment.window - 1, current, 7), moment)
    fits = used(rolled, moment) + cost <= limit
    assert (current <= roll_room(limit, cost, moment)) is fits


@given(EVER_MS, COUNTS, COUNTS, LIMITS, COSTS, WINDOWS)
def test_after_the_wait_it_fits_and_a_moment_before_it_does_not(
    now_ms: int, current: int, previous: int, limit: int, cost: int, window: Window
) -> None:
    moment = Moment.at(now_ms, window)
    counters = Counters(moment.window, current, previous)
    wait = wait_ms(counters, moment, limit, cost)
    assert (wait is None) is (cost > limit)
    if wait is None:
        return
    after, then = advance(counters, now_ms + wait, window)
    assert used(after, then) + cost <= limit
    if wait:
        before, then = advance(counters, now_ms + wait - 1, window)
        assert used(before, then) + cost > limit


@given(EVER_MS, COUNTS, COUNTS, WINDOWS)
def test_after_the_reset_nothing_is_used(now_ms: int, current: int, previous: int, window: Window) -> None:
    moment = Moment.at(now_ms, window)
    counters = Counters(moment.window, current, previous)
    after, then = advance(counters, now_ms + reset_ms(counters, moment), window)
    assert used(after, then) == 0


@given(EVER_MS, WINDOWS)
def test_a_time_lies_in_its_window(now_ms: int, window: Window) -> None:
    moment = Moment.at(now_ms, window)
    starts_ms = window_start_ms(moment.window, window)
    assert starts_ms <= now_ms < starts_ms + moment.length_ms == now_ms + moment.left_ms
    assert moment.length_ms <= longest_s(window) * 1000
    assert window_number(starts_ms, window) == moment.window == window_number(starts_ms - 1, window) + 1


@given(EVER_MS)
def test_a_calendar_window_is_the_day_or_month_in_utc(now_ms: int) -> None:
    then = datetime.fromtimestamp(now_ms / 1000, UTC)
    assert window_number(now_ms, MONTH) == then.year * 12 + then.month - 1
    assert (
        window_start_ms(window_number(now_ms, MONTH), MONTH)
        == datetime(then.year, then.month, 1, tzinfo=UTC).timestamp() * 1000
    )
    assert window_start_ms(window_number(now_ms, DAY), DAY) == now_ms // 86_400_000 * 86_400_000


@pytest.mark.parametrize("window", [DAY, MONTH])
def test_a_calendar_window_has_nothing_of_the_one_before(window: Window) -> None:
    moment = Moment.at(1_800_000_000_000, window)
    assert used(roll(Counters(moment.window - 1, 9, 9), moment), moment) == 0


@pytest.mark.parametrize(("window", "length_ms"), [(MINUTE, LENGTH_MS), (DAY, 86_400_000), (MONTH, 28 * 86_400_000)])
def test_a_window_seen_in_the_store_beats_a_slow_clock(window: Window, length_ms: int) -> None:
    ahead_ms = int(datetime(2027, 2, 1, tzinfo=UTC).timestamp() * 1000)
    seen = window_number(ahead_ms, window)
    moment = Moment.at(ahead_ms - 1, window, seen)
    assert (moment.window, moment.left_ms, moment.length_ms) == (seen, length_ms, length_ms)


def test_older_counters_are_forgotten() -> None:
    assert roll(Counters(1, 9, 9), Moment.at(5 * LENGTH_MS, MINUTE)) == Counters(5, 0, 0)
