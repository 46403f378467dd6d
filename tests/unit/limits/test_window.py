"""The window's arithmetic, held to what it promises."""

from hypothesis import given
from hypothesis import strategies as st

from sallyport.limits.window import Counters, Moment, reset_ms, roll, roll_room, room, used, wait_ms

LENGTH_MS = 60_000
TIMES_MS = st.integers(0, 10 * LENGTH_MS)
COUNTS = st.integers(0, 500)
LIMITS = st.integers(1, 500)


def advance(counters: Counters, from_ms: int, by_ms: int) -> tuple[Counters, Moment]:
    moment = Moment.at(from_ms + by_ms, LENGTH_MS)
    return roll(counters, moment), moment


@given(TIMES_MS, COUNTS, COUNTS, LIMITS)
def test_room_is_what_keeps_the_use_within_the_limit(now_ms: int, current: int, previous: int, limit: int) -> None:
    moment = Moment.at(now_ms, LENGTH_MS)
    counters = Counters(moment.window, current, previous)
    fits = used(counters, moment) + 1 <= limit
    assert (current <= room(limit, 1, previous, moment)) is fits


@given(TIMES_MS, COUNTS, LIMITS)
def test_room_at_a_roll_is_what_keeps_the_use_within_the_limit(now_ms: int, current: int, limit: int) -> None:
    moment = Moment.at(now_ms, LENGTH_MS)
    rolled = roll(Counters(moment.window - 1, current, 7), moment)
    fits = used(rolled, moment) + 1 <= limit
    assert (current <= roll_room(limit, 1, moment)) is fits


@given(TIMES_MS, COUNTS, COUNTS, LIMITS)
def test_after_the_wait_it_fits_and_a_moment_before_it_does_not(
    now_ms: int, current: int, previous: int, limit: int
) -> None:
    moment = Moment.at(now_ms, LENGTH_MS)
    counters = Counters(moment.window, current, previous)
    if used(counters, moment) + 1 <= limit:
        return
    wait = wait_ms(counters, moment, limit, 1)
    assert wait > 0
    after, then = advance(counters, now_ms, wait)
    assert used(after, then) + 1 <= limit
    before, then = advance(counters, now_ms, wait - 1)
    assert used(before, then) + 1 > limit


@given(TIMES_MS, COUNTS, COUNTS)
def test_after_the_reset_nothing_is_used(now_ms: int, current: int, previous: int) -> None:
    moment = Moment.at(now_ms, LENGTH_MS)
    counters = Counters(moment.window, current, previous)
    after, then = advance(counters, now_ms, reset_ms(counters, moment))
    assert used(after, then) == 0


def test_a_window_seen_in_the_store_beats_a_slow_clock() -> None:
    moment = Moment.at(59_999, LENGTH_MS).not_before(3)
    assert moment == Moment(3, LENGTH_MS, LENGTH_MS)


def test_older_counters_are_forgotten() -> None:
    assert roll(Counters(1, 9, 9), Moment.at(5 * LENGTH_MS, LENGTH_MS)) == Counters(5, 0, 0)
