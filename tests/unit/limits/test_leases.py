"""Places of a concurrency limit."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.limits.leases import lease_charge, lease_id, lease_state
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.rules import Lease, Receipt
from sallyport.limits.sliding import SlidingLimiter
from sallyport.limits.store import LeaseCharge
from sallyport.policy.limit_rules import NO_WINDOW, LimitRule

NOW_MS = 1_800_000_000_000
NOW_S = NOW_MS // 1000
RULE = LimitRule("at-once", ("key",), "concurrent", 2, NO_WINDOW)


@given(st.binary(min_size=4, max_size=4))
def test_an_id_is_four_letters_or_digits(random: bytes) -> None:
    assert re.fullmatch("[0-9A-Za-z]{4}", lease_id(random))


def test_the_first_place_makes_the_map() -> None:
    assert lease_charge(RULE, None, NOW_MS, 60, "aaaa") == LeaseCharge(RULE.counter, "aaaa", NOW_S + 61)


def test_expired_places_go_and_make_room() -> None:
    taken = {"gone": NOW_S - 6, "late": NOW_S - 5, "here": NOW_S + 9}
    charge = lease_charge(RULE, taken, NOW_MS, 60, "aaaa")
    assert (charge.below, charge.expired) == (3, (("gone", NOW_S - 6),))


@pytest.mark.parametrize(("limit", "cleared"), [(50, 16), (30, 21), (2, 49)])
def test_a_write_clears_no_more_than_it_needs_or_a_few(limit: int, cleared: int) -> None:
    taken = {f"{number:04}": NOW_S - 60 for number in range(50)}
    charge = lease_charge(RULE._replace(limit=limit), taken, NOW_MS, 60, "aaaa")
    assert (len(charge.expired), charge.below) == (cleared, limit + cleared)


def test_a_lowered_limit_is_kept_while_the_old_places_expire() -> None:
    clock = Clock()
    limiter = SlidingLimiter(MemoryCounterStore(), clock)
    wide = [RULE._replace(limit=50)]
    assert all(limiter.admit("m", wide, {}, lease_s=30).admitted for _ in range(50))
    assert not limiter.admit("m", [RULE], {}).admitted
    clock.now_ms += 40_000
    assert [limiter.admit("m", [RULE], {}).admitted for _ in range(3)] == [True, True, False]


def test_a_full_limit_says_to_come_back_in_a_second() -> None:
    state = lease_state(RULE, {"a": NOW_S + 10, "b": NOW_S + 20}, NOW_MS)
    assert (state.remaining, state.retry_ms, state.reset_ms) == (0, 1000, 25_001)


def test_a_place_about_to_expire_is_worth_a_shorter_wait() -> None:
    taken = {"a": NOW_S - 5, "b": NOW_S + 20}
    state = lease_state(RULE, taken, NOW_MS - 3)
    assert state.retry_ms == 4
    assert lease_state(RULE, taken, NOW_MS - 3 + 4).remaining == 1


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_never_has_a_place(limit: int) -> None:
    assert lease_state(RULE._replace(limit=limit), {}, NOW_MS).retry_ms is None


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


def test_a_place_is_free_again_once_given_back() -> None:
    limiter = SlidingLimiter(MemoryCounterStore(), Clock())
    first, second = (limiter.admit("m", [RULE], {}) for _ in range(2))
    assert not limiter.admit("m", [RULE], {}).admitted
    limiter.settle(second.receipts[0], {})
    assert limiter.admit("m", [RULE], {}).admitted
    limiter.refund(first.receipts[0])
    assert limiter.admit("m", [RULE], {}).admitted


def test_a_place_that_nobody_gives_back_expires() -> None:
    clock = Clock()
    limiter = SlidingLimiter(MemoryCounterStore(), clock)
    receipts = [limiter.admit("m", [RULE], {}, lease_s=30).receipts[0] for _ in range(2)]
    clock.now_ms += 36_000
    assert not limiter.admit("m", [RULE], {}).admitted
    clock.now_ms += 1
    assert [limiter.admit("m", [RULE], {}).admitted for _ in range(3)] == [True, True, False]
    for receipt in receipts:
        limiter.settle(receipt, {})  # late, and nobody else's place is given back by it
    assert not limiter.admit("m", [RULE], {}).admitted


def test_an_id_that_is_taken_is_drawn_again() -> None:
    drawn = iter([b"\0\0\0\1", b"\0\0\0\1", b"\0\0\0\2"])
    limiter = SlidingLimiter(MemoryCounterStore(), Clock(), lambda _: next(drawn))
    assert limiter.admit("m", [RULE], {}, lease_s=1).admitted
    assert limiter.admit("m", [RULE], {}, lease_s=9).admitted
    assert next(drawn, None) is None


def test_a_lease_that_was_never_taken_is_given_back_in_vain() -> None:
    limiter = SlidingLimiter(MemoryCounterStore(), Clock())
    limiter.settle(Receipt("m", (), (Lease(RULE.counter, "none"),)), {})
    assert limiter.admit("m", [RULE], {}).states[0].remaining == 1
