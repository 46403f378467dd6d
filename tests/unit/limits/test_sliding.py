"""The limiter against an exact model in plain numbers, its bounds, and a store that fails."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.rules import Charged, Decision, Lease, Receipt
from sallyport.limits.sliding import SlidingLimiter, StoreError, UncertainError
from sallyport.limits.store import Adjustment, Charge, LeaseCharge, StoreAnswer
from sallyport.limits.window import window_number, window_start_ms
from sallyport.policy.limit_rules import NO_WINDOW, LimitRule, Window

DAY_MS = 86_400_000
NEW_YEAR_MS = 1_798_761_600_000  # 2027
UP_TO_40_DAYS_MS = [st.integers(0, most) for most in (0, 1500, 20_000, 90_000, 40 * DAY_MS)]
MINUTE = LimitRule("minute", ("key",), "requests", 4, Window(60))
RULES = (
    MINUTE,
    LimitRule("second", ("key",), "requests", 3, Window(1)),
    LimitRule("tokens", ("key",), "tokens", 100, Window(10)),
    LimitRule("tokens-day", ("key",), "tokens", 300, Window(calendar="day")),
    LimitRule("budget", ("key",), "usd", 500, Window(calendar="month")),
    LimitRule("at-once", ("key",), "concurrent", 3, NO_WINDOW),
)
MEMBER = "key#k1"


class Clock:
    def __init__(self, now_ms: int = NEW_YEAR_MS - 5000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class Model:
    """What is counted of each rule in each window, in full and for ever."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()
        self.leases: dict[tuple[str, str], int] = {}

    def used(self, rule: LimitRule, now_ms: int) -> int:
        if rule.unit == "concurrent":
            return sum(now_ms <= until_s * 1000 + 5000 for (c, _), until_s in self.leases.items() if c == rule.counter)
        number = window_number(now_ms, rule.window)
        current, previous = self.counts[rule.counter, number], self.counts[rule.counter, number - 1]
        if rule.window.calendar:
            return current
        length_ms = rule.window.length_s * 1000
        return current + -(-previous * (length_ms - now_ms % length_ms) // length_ms)

    def fits(self, rule: LimitRule, cost: int, now_ms: int) -> bool:
        return cost == 0 or self.used(rule, now_ms) + cost <= rule.limit

    def add(self, charged: Charged, change: int) -> None:
        key = charged.counter, charged.window
        self.counts[key] = max(self.counts[key] + change, 0)


class Step(NamedTuple):
    kind: str
    who: int
    wait_ms: int
    tokens: int
    usd: int
    receipt: int
    limits: int


STEPS = st.lists(
    st.builds(
        Step,
        kind=st.sampled_from(["admit", "admit", "admit", "settle", "refund"]),
        who=st.integers(0, 2),
        wait_ms=st.one_of(UP_TO_40_DAYS_MS),
        tokens=st.integers(-60, 110),
        usd=st.integers(-100, 200),
        receipt=st.integers(0, 50),
        limits=st.sampled_from([1, 1, 1, 2]),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.sets(st.sampled_from(RULES), min_size=1))
def test_every_decision_is_the_models(steps: list[Step], rules: set[LimitRule]) -> None:
    """Three limiters with memories of their own share one store; each decides as the model does, whoever charged.

    Limits may be other ones for a while, as a new policy has it: the counters are the same.
    """
    clock, store, model = Clock(), MemoryCounterStore(), Model()
    limiters = [SlidingLimiter(store, clock) for _ in range(3)]
    receipts: list[Receipt] = []
    for step in steps:
        ordered = [rule._replace(limit=rule.limit * step.limits) for rule in RULES if rule in rules]
        clock.now_ms += step.wait_ms
        limiter = limiters[step.who]
        if step.kind == "admit":
            cost = {"requests": 1, "tokens": abs(step.tokens), "usd": abs(step.usd), "concurrent": 1}
            decision = limiter.admit(MEMBER, ordered, cost, lease_s=30)
            fitting = all(model.fits(rule, cost[rule.unit], clock.now_ms) for rule in ordered)
            assert decision.admitted is fitting
            receipts += charge(model, decision, clock.now_ms)
            if decision.states and decision.admitted:
                assert [state.remaining for state in decision.states] == [
                    max(rule.limit - model.used(rule, clock.now_ms), 0) for rule in ordered
                ]
        elif receipts:
            receipt = receipts[step.receipt % len(receipts)]
            settle(limiter, model, receipt, step)


def charge(model: Model, decision: Decision, now_ms: int) -> Sequence[Receipt]:
    for receipt in decision.receipts:
        for charged in receipt.charges:
            model.add(charged, charged.amount)
        for lease in receipt.leases:
            model.leases[lease.counter, lease.lease_id] = now_ms // 1000 + 31
    return decision.receipts


def settle(limiter: SlidingLimiter, model: Model, receipt: Receipt, step: Step) -> None:
    changes = {"tokens": step.tokens, "usd": step.usd}
    if step.kind == "settle":
        limiter.settle(receipt, changes)
    else:
        limiter.refund(receipt)
    for charged in receipt.charges:
        model.add(charged, changes.get(charged.unit, 0) if step.kind == "settle" else -charged.amount)
    for lease in receipt.leases:
        model.leases.pop((lease.counter, lease.lease_id), None)


ARRIVALS = st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 6)), max_size=80)


@settings(max_examples=200, deadline=None)
@given(ARRIVALS, st.integers(1, 12), st.integers(0, 60_000))
def test_no_minute_has_twice_the_limit_and_no_aligned_one_more_than_it(
    arrivals: list[tuple[int, int]], limit: int, offset_ms: int
) -> None:
    clock = Clock(NEW_YEAR_MS + offset_ms)
    limiter, rule = SlidingLimiter(MemoryCounterStore(), clock), MINUTE._replace(limit=limit)
    admitted: list[tuple[int, int]] = []
    for wait_ms, cost in arrivals:
        clock.now_ms += wait_ms
        if limiter.admit(MEMBER, [rule], {"requests": cost}).admitted:
            admitted.append((clock.now_ms, cost))
    for end_ms, _ in admitted:
        assert sum(cost for at_ms, cost in admitted if end_ms - 60_000 < at_ms <= end_ms) < 2 * limit
    aligned = Counter[int]()
    for at_ms, cost in admitted:
        aligned[at_ms // 60_000] += cost
    assert all(count <= limit for count in aligned.values())


@pytest.mark.parametrize("limit", [1, 3, 60])
def test_after_an_even_minute_every_minute_has_exactly_the_limit(limit: int) -> None:
    """A caller who tries four times as often as it may is admitted at an even rate, and at the whole of it."""
    clock, step_ms = Clock(NEW_YEAR_MS), 60_000 // limit
    limiter, rule = SlidingLimiter(MemoryCounterStore(), clock), MINUTE._replace(limit=limit)
    times: list[int] = []
    for tick in range(5 * limit * 4):
        clock.now_ms = NEW_YEAR_MS + tick * step_ms // 4
        is_even = tick % 4 == 0 or tick >= 4 * limit  # in the first minute it comes evenly by itself
        if is_even and limiter.admit(MEMBER, [rule], {"requests": 1}).admitted:
            times.append(clock.now_ms - NEW_YEAR_MS)
    assert all(sum(start <= at < start + 60_000 for at in times) <= limit for start in range(0, 240_000, 250))
    assert len(times) >= 5 * limit - 4
    assert max(later - sooner for sooner, later in pairwise(times)) <= 2 * step_ms


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30_000), st.integers(1, 4)), max_size=60),
    st.lists(st.integers(-90_000, 90_000), min_size=3, max_size=3),
    st.integers(1, 8),
)
def test_clocks_that_differ_admit_no_more_than_the_limit_to_a_window(
    arrivals: list[tuple[int, int, int]], skews_ms: list[int], limit: int
) -> None:
    clock, store, rule = Clock(), MemoryCounterStore(), MINUTE._replace(limit=limit)
    limiters = [SlidingLimiter(store, lambda skew_ms=skew_ms: clock.now_ms + skew_ms) for skew_ms in skews_ms]  # type: ignore[misc]
    windows = Counter[int]()
    for who, wait_ms, cost in arrivals:
        clock.now_ms += wait_ms
        for receipt in limiters[who].admit(MEMBER, [rule], {"requests": cost}).receipts:
            windows[receipt.charges[0].window] += cost
    assert all(count <= limit for count in windows.values())


class FaultyStore:
    """Fails as it is told: `no` (surely not written), `lost` (written, no answer), `silent` (neither)."""

    def __init__(self, faults: Sequence[str] = ()) -> None:
        self.store = MemoryCounterStore()
        self.faults = list(faults)
        self.lost = 0
        self.adjusted: list[tuple[Sequence[Adjustment], Sequence[Lease]]] = []

    def charge(
        self, key: str, charges: Sequence[Charge], leases: Sequence[LeaseCharge], expires_at_s: int
    ) -> StoreAnswer:
        """As the slim client does, tries once more."""
        for _ in range(2):
            fault = self._fault()
            if fault in {"ok", "lost"}:
                answer = self.store.charge(key, charges, leases, expires_at_s)
                self.lost += fault == "lost" and answer.applied
            if fault == "ok":
                return answer
        raise StoreError(fault)

    def adjust(self, key: str, adjustments: Sequence[Adjustment], releases: Sequence[Lease]) -> StoreAnswer:
        """As the slim client does, never again after what may have been written."""
        self.adjusted.append((adjustments, releases))
        fault = self._fault()
        if fault == "no":
            raise StoreError(fault)
        answer = self.store.adjust(key, adjustments, releases) if fault != "silent" else None
        if fault == "ok" and answer is not None:
            return answer
        raise UncertainError(fault)

    def _fault(self) -> str:
        return self.faults.pop(0) if self.faults else "ok"


FAULTS = st.lists(st.sampled_from(["ok", "ok", "ok", "no", "lost", "silent"]), max_size=40)


@settings(max_examples=200, deadline=None)
@given(FAULTS, st.integers(1, 10))
def test_lost_answers_admit_fewer_and_never_more(faults: list[str], limit: int) -> None:
    store, rule = FaultyStore(faults), MINUTE._replace(limit=limit)
    limiters = [SlidingLimiter(store, Clock()) for _ in range(2)]
    admitted = 0
    for number in range(40 + limit):
        try:
            admitted += limiters[number % 2].admit(MEMBER, [rule], {"requests": 1}).admitted
        except StoreError:
            continue
    assert limit - store.lost <= admitted <= limit


TOKENS = LimitRule("tokens", ("key",), "tokens", 10_000, Window(60))
OUTPUT = LimitRule("output", ("key",), "output_tokens", 10_000, Window(60))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["ok", "no", "lost", "silent"]), max_size=12),
    st.lists(st.tuples(st.integers(-50, 30), st.integers(-50, 30)), min_size=1, max_size=8),
)
def test_a_settlement_that_fails_never_leaves_less_than_was_used(
    faults: list[str], changes: list[tuple[int, int]]
) -> None:
    store, clock = FaultyStore(), Clock()
    limiter = SlidingLimiter(store, clock)
    receipts = [limiter.admit(MEMBER, [TOKENS, OUTPUT], {"tokens": 50, "output_tokens": 50}) for _ in changes]
    store.faults = faults
    told, used = 0, [0, 0]
    for decision, (tokens, output) in zip(receipts, changes, strict=True):
        failed_surely = False
        try:
            limiter.settle(decision.receipts[0], {"tokens": tokens, "output_tokens": output})
        except UncertainError as error:
            told += 1
            failed_surely = error.lacks_additions
        except StoreError:
            told += 1
            failed_surely = True
        used = [u + 50 + (min(c, 0) if failed_surely else c) for u, c in zip(used, (tokens, output), strict=True)]
    store.faults = []
    states = SlidingLimiter(store, clock).admit(MEMBER, [TOKENS, OUTPUT], {"tokens": 1}).states
    assert 10_000 - states[0].remaining - 1 >= used[0]
    assert 10_000 - states[1].remaining >= used[1]
    if not told:
        assert [10_000 - states[0].remaining - 1, 10_000 - states[1].remaining] == used


@pytest.mark.parametrize("fault", ["lost", "silent"])
def test_after_a_lost_answer_only_additions_and_leases_are_written_again(fault: str) -> None:
    store, clock = FaultyStore(), Clock()
    limiter, at_once = SlidingLimiter(store, clock), RULES[-1]
    decision = limiter.admit(MEMBER, [TOKENS, OUTPUT, at_once], {"tokens": 50, "output_tokens": 50})
    store.faults = [fault]
    with pytest.raises(UncertainError):
        limiter.settle(decision.receipts[0], {"tokens": -20, "output_tokens": 7})
    again = [adjustment.name for adjustments, _ in store.adjusted[1:] for adjustment in adjustments]
    assert set(again) == {OUTPUT.counter}
    states = limiter.admit(MEMBER, [TOKENS, OUTPUT, at_once], {}).states
    assert states[0].remaining == 10_000 - (30 if fault == "lost" else 50)
    assert states[1].remaining == 10_000 - (64 if fault == "lost" else 57)
    assert states[2].remaining == 2


def test_nothing_to_settle_is_no_write() -> None:
    store = FaultyStore()
    limiter = SlidingLimiter(store, Clock())
    decision = limiter.admit(MEMBER, [TOKENS], {"tokens": 50})
    limiter.settle(decision.receipts[0], {"tokens": 0, "usd": 9})
    assert store.adjusted == []


def test_an_ordinary_settlement_is_one_write() -> None:
    store = FaultyStore()
    limiter = SlidingLimiter(store, Clock())
    decision = limiter.admit(MEMBER, [TOKENS, OUTPUT, RULES[-1]], {"tokens": 50, "output_tokens": 5})
    limiter.settle(decision.receipts[0], {"tokens": -20, "output_tokens": 7})
    assert len(store.adjusted) == 1


def test_what_was_charged_long_ago_is_settled_without_a_write() -> None:
    store, clock = FaultyStore(), Clock()
    limiter = SlidingLimiter(store, clock)
    old = limiter.admit(MEMBER, [TOKENS], {"tokens": 50})
    clock.now_ms += 120_000
    limiter.admit(MEMBER, [TOKENS], {"tokens": 50})
    limiter.settle(old.receipts[0], {"tokens": -50})
    assert store.adjusted == []


def test_a_cost_over_the_limit_is_refused_without_a_write_and_for_good() -> None:
    store = FaultyStore(["no", "no"])
    decision = SlidingLimiter(store, Clock()).admit(MEMBER, [MINUTE, TOKENS], {"requests": 1, "tokens": 10_001})
    assert store.faults == ["no", "no"]
    assert decision.refused_by is not None
    assert (decision.admitted, decision.refused_by.rule, decision.refused_by.retry_ms) == (False, TOKENS, None)


def test_the_rule_that_takes_longest_refuses() -> None:
    limiter, hour = SlidingLimiter(MemoryCounterStore(), Clock()), MINUTE._replace(name="hour", window=Window(3600))
    for _ in range(4):
        limiter.admit(MEMBER, [MINUTE, hour], {"requests": 1})
    refused = limiter.admit(MEMBER, [MINUTE, hour], {"requests": 1}).refused_by
    assert refused is not None
    assert refused.rule == hour


def test_an_items_expiry_covers_its_longest_rule_whoever_writes_last() -> None:
    clock, store = Clock(), MemoryCounterStore()
    SlidingLimiter(store, clock).admit(MEMBER, [RULES[4]], {"usd": 5})
    assert SlidingLimiter(store, clock).admit(MEMBER, [MINUTE], {"requests": 1}).admitted
    kept_s = store._items[MEMBER].expires_at_s - clock.now_ms / 1000
    assert kept_s >= 2 * 31 * 86_400
    assert store._items[MEMBER].expires_at_s % 3600 == 0


def test_a_month_begins_anew() -> None:
    clock = Clock()
    limiter, budget = SlidingLimiter(MemoryCounterStore(), clock), RULES[4]
    assert limiter.admit(MEMBER, [budget], {"usd": 500}).admitted
    refused = limiter.admit(MEMBER, [budget], {"usd": 1}).refused_by
    assert refused is not None
    assert refused.retry_ms == 5000
    clock.now_ms = window_start_ms(2027 * 12, budget.window)
    assert clock.now_ms == NEW_YEAR_MS
    assert limiter.admit(MEMBER, [budget], {"usd": 500}).admitted
