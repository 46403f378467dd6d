"""Admission over several scopes: all or none, no write for what is known, each rule's own answer to a dead store."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import LimitsUnavailableError
from sallyport.limits.admission import Admission
from sallyport.limits.cost import Usage, actual_cost, reserved_cost
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.rules import Cost, Decision, Lease, Receipt
from sallyport.limits.selection import Demand, caller_values
from sallyport.limits.sliding import SlidingLimiter, StoreError, UncertainError
from sallyport.limits.store import Adjustment, Charge, LeaseCharge, StoreAnswer
from sallyport.policy.limit_rules import NO_WINDOW, LimitMatch, LimitRule, Window

NOW = 1_800_000_000_000  # the start of a minute
MINUTE = Window(60)
VALUES = caller_values(tenant="acme", subject="u", key="k1", ip="192.0.2.7", model="m", route="chat_completions")


class Store:
    """A store in memory that counts its writes by key, and fails where it is told to."""

    def __init__(self) -> None:
        self.inner = MemoryCounterStore()
        self.charged: list[str] = []
        self.adjusted: list[str] = []
        self.fails: Callable[[str, str], Exception | None] = lambda operation, key: None

    def charge(
        self, key: str, charges: Sequence[Charge], leases: Sequence[LeaseCharge], expires_at_s: int
    ) -> StoreAnswer:
        self.charged.append(key.partition("#")[0])
        if error := self.fails("charge", key):
            raise error
        return self.inner.charge(key, charges, leases, expires_at_s)

    def adjust(self, key: str, adjustments: Sequence[Adjustment], releases: Sequence[Lease]) -> StoreAnswer:
        self.adjusted.append(key.partition("#")[0])
        if error := self.fails("adjust", key):
            raise error
        return self.inner.adjust(key, adjustments, releases)


class Bench:
    """An admission with everything around it at hand."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.store = Store()
        self.fallback = Store()
        self.fallbacks_made = 0
        self.told: list[str] = []
        self.unsettled: list[tuple[str, Cost, str]] = []
        self.admission = Admission(
            SlidingLimiter(self.store, self.clock),
            self.make_fallback,
            self.clock,
            self.told.append,
            lambda receipt, changes, reason: self.unsettled.append((receipt.member, changes, reason)),
        )

    def clock(self) -> int:
        return self.now_ms

    def make_fallback(self) -> SlidingLimiter:
        self.fallbacks_made += 1
        return SlidingLimiter(self.fallback, self.clock)

    def admit(self, *rules: LimitRule, tokens: int = 100, version: int = 1) -> Decision:
        self.store.charged.clear()
        self.store.adjusted.clear()
        cost = reserved_cost(tokens, 0, None)
        return self.admission.admit(rules, Demand("chat_completions", "m", "acme", (), VALUES, cost, 60.0), version)

    def remaining(self, rule: LimitRule) -> int:
        """Ask the store itself, past all memories."""
        fresh = SlidingLimiter(self.store.inner, self.clock)
        member = Demand("chat_completions", "m", "acme", (), VALUES, {}, 60.0)
        by_all = Admission(fresh, self.make_fallback, self.clock, self.told.append, lambda *told: None)
        decision = by_all.admit([rule], member._replace(cost={rule.unit: 1}), 1)
        by_all.refund(decision.receipts)
        return decision.states[0].remaining + (1 if decision.admitted else 0)

    def cut(self, operation: str, *scopes: str, error: Exception | None = None) -> None:
        failure = error or StoreError("no store")
        self.store.fails = lambda asked, key: (
            failure if asked == operation and key.partition("#")[0] in scopes else None
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


def rule(scope: str, limit: int, unit: str = "requests", **fields: Any) -> LimitRule:
    window = NO_WINDOW if unit == "concurrent" else MINUTE
    return LimitRule(f"{scope}-{unit}", tuple(scope.split("+")), unit, limit, window)._replace(**fields)


KEY, TENANT, GLOBAL = rule("key", 10), rule("tenant", 10), rule("global", 10)


def test_admission_takes_one_write_for_each_scope_narrowest_first(bench: Bench) -> None:
    decision = bench.admit(GLOBAL, TENANT, rule("tenant", 1000, "tokens"), KEY)
    assert decision.admitted
    assert bench.store.charged == ["key", "tenant", "global"]
    assert [(state.rule.name, state.remaining) for state in decision.states] == [
        ("key-requests", 9),
        ("tenant-requests", 9),
        ("tenant-tokens", 900),
        ("global-requests", 9),
    ]
    assert [receipt.member for receipt in decision.receipts] == ["key#k1", "tenant#acme", "global"]


def test_admission_without_a_rule_that_matches_asks_nobody(bench: Bench) -> None:
    decision = bench.admit(rule("key", 1, match=LimitMatch(models=("other",))))
    assert decision == Decision(admitted=True, states=())
    assert bench.store.charged == []


def test_refusal_by_a_wider_scope_gives_the_narrower_their_charge_back(bench: Bench) -> None:
    bench.admit(rule("global", 1))
    decision = bench.admit(KEY, TENANT, rule("global", 1))
    assert not decision.admitted
    assert decision.refused_by is not None
    assert decision.refused_by.rule.name == "global-requests"
    assert decision.receipts == ()
    assert bench.store.adjusted == ["key", "tenant"]
    assert [state.remaining for state in decision.states] == [10, 10, 0]
    assert bench.remaining(KEY) == bench.remaining(TENANT) == 10


def test_refusal_by_a_narrow_scope_does_not_ask_the_wider(bench: Bench) -> None:
    bench.admit(rule("key", 1))
    decision = bench.admit(rule("key", 1), TENANT)
    assert [state.rule.name for state in decision.states] == ["key-requests"]
    assert bench.store.charged == ["key"]
    assert bench.store.adjusted == []


def test_refusal_that_can_not_be_given_back_is_told_and_shown(bench: Bench) -> None:
    bench.admit(rule("global", 1))
    bench.cut("adjust", "key")
    decision = bench.admit(KEY, TENANT, rule("global", 1))
    assert not decision.admitted
    assert bench.unsettled == [("key#k1", {"requests": -1}, "no store")]
    assert [state.remaining for state in decision.states] == [9, 9, 0]
    assert bench.remaining(TENANT) == 10


def test_refused_caller_costs_no_write_until_it_may_try_again(bench: Bench) -> None:
    tight = rule("tenant", 1)
    bench.admit(KEY, tight)
    refused = bench.admit(KEY, tight)
    assert refused.refused_by is not None
    retry_ms = refused.refused_by.retry_ms
    assert retry_ms
    for waited_ms in (0, 1, retry_ms - 1):
        bench.now_ms = NOW + waited_ms
        again = bench.admit(KEY, tight)
        assert again.refused_by is not None
        assert again.refused_by.retry_ms == retry_ms - waited_ms
        assert bench.store.charged == []
    bench.now_ms = NOW + retry_ms
    assert bench.admit(KEY, tight).admitted


def test_refused_caller_is_asked_anew_under_another_policy(bench: Bench) -> None:
    bench.admit(rule("key", 1))
    bench.admit(rule("key", 1))
    bench.admit(rule("key", 1), version=2)
    assert bench.store.charged == ["key"]


def test_refused_caller_is_asked_anew_after_something_was_given_back(bench: Bench) -> None:
    places = rule("key", 1, "concurrent")
    first = bench.admit(places)
    assert not bench.admit(places).admitted
    assert not bench.admission.settle(first.receipts, {}, {})
    assert bench.admit(places).admitted


def test_cost_that_alone_is_over_a_limit_is_refused_without_a_write(bench: Bench) -> None:
    decision = bench.admit(KEY, rule("global", 99, "tokens"), tokens=100)
    assert decision.refused_by is not None
    assert decision.refused_by.rule.name == "global-tokens"
    assert decision.refused_by.retry_ms is None
    assert bench.store.charged == []


def test_cost_over_a_limit_is_said_also_to_who_is_refused_already(bench: Bench) -> None:
    tight, tokens = rule("key", 1), rule("key", 1000, "tokens")
    for _ in range(2):
        bench.admit(tight, tokens)
    decision = bench.admit(tight, tokens, tokens=1001)
    assert decision.refused_by is not None
    assert decision.refused_by.retry_ms is None


def test_limit_of_nothing_refuses_without_a_write(bench: Bench) -> None:
    assert not bench.admit(rule("key", 0)).admitted
    assert not bench.admit(rule("key", 0, "concurrent")).admitted
    assert bench.store.charged == []


def test_store_failure_has_allowing_rules_counted_in_memory(bench: Bench) -> None:
    bench.cut("charge", "key", "tenant", "global")
    rules = (rule("key", 2), TENANT, GLOBAL)
    decision = bench.admit(*rules)
    assert decision.admitted
    assert [receipt.in_memory for receipt in decision.receipts] == [True, True, True]
    assert bench.store.charged == ["key"]  # the store isn't asked again for this request
    assert bench.told == ["no store"]
    assert bench.admit(*rules).admitted
    assert not bench.admit(*rules).admitted
    assert bench.told == ["no store"] * 3
    assert bench.fallbacks_made == 1


def test_store_failure_midway_keeps_what_the_store_charged(bench: Bench) -> None:
    bench.cut("charge", "tenant")
    decision = bench.admit(KEY, TENANT, GLOBAL)
    assert decision.admitted
    assert [receipt.in_memory for receipt in decision.receipts] == [False, True, True]
    assert bench.store.charged == ["key", "tenant"]
    assert bench.fallback.charged == ["tenant", "global"]


def test_store_failure_refusals_in_memory_end_with_it(bench: Bench) -> None:
    tight = rule("key", 1)
    bench.cut("charge", "key")
    bench.admit(tight)
    assert not bench.admit(tight).admitted
    bench.cut("charge")
    assert bench.admit(tight).admitted


@pytest.mark.parametrize("denying", [TENANT, GLOBAL])
def test_store_failure_refuses_where_a_rule_denies(bench: Bench, denying: LimitRule) -> None:
    bench.cut("charge", "tenant")
    rules = [each._replace(on_store_failure="deny") if each == denying else each for each in (KEY, TENANT, GLOBAL)]
    with pytest.raises(LimitsUnavailableError):
        bench.admit(*rules)
    assert bench.told == ["no store"]
    assert bench.remaining(KEY) == 10
    assert bench.fallback.charged == []


def test_store_failure_after_a_denying_rule_was_charged_is_the_others_matter(bench: Bench) -> None:
    bench.cut("charge", "tenant")
    assert bench.admit(KEY._replace(on_store_failure="deny"), TENANT).admitted


def test_store_failure_refund_in_memory_reaches_memory(bench: Bench) -> None:
    bench.cut("charge", "key", "tenant")
    bench.admit(rule("tenant", 1))
    decision = bench.admit(rule("key", 1), rule("tenant", 1))
    assert not decision.admitted
    assert decision.states[0].remaining == 1
    assert bench.admit(rule("key", 1)).admitted


def test_other_failure_midway_leaves_no_charge(bench: Bench) -> None:
    bench.cut("charge", "tenant", error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        bench.admit(KEY, TENANT)
    assert bench.remaining(KEY) == 10


def test_settlement_corrects_tokens_and_leaves_requests(bench: Bench) -> None:
    tokens, requests = rule("key", 1000, "tokens"), rule("tenant", 10)
    decision = bench.admit(tokens, requests, tokens=400)
    assert not bench.admission.settle(decision.receipts, reserved_cost(400, 0, None), actual_cost(Usage(100, 50), None))
    assert bench.remaining(tokens) == 850
    assert bench.remaining(requests) == 9
    assert bench.store.adjusted == ["key"]


def test_settlement_of_what_cost_nothing_gives_all_tokens_back(bench: Bench) -> None:
    tokens = rule("key", 1000, "tokens")
    decision = bench.admit(tokens, KEY, tokens=400)
    assert not bench.admission.settle(decision.receipts, reserved_cost(400, 0, None), {})
    assert bench.remaining(tokens) == 1000
    assert bench.remaining(KEY) == 9


def test_settlement_may_overshoot(bench: Bench) -> None:
    tokens = rule("key", 1000, "tokens")
    decision = bench.admit(tokens, tokens=400)
    assert not bench.admission.settle(
        decision.receipts, reserved_cost(400, 0, None), actual_cost(Usage(400, 900), None)
    )
    assert not bench.admit(tokens, tokens=1).admitted


def test_settlement_that_fails_is_told_and_the_others_are_settled(bench: Bench) -> None:
    mine, all_of_it = rule("key", 1000, "tokens"), rule("global", 1000, "tokens")
    decision = bench.admit(mine, all_of_it, tokens=400)
    bench.cut("adjust", "key")
    cost = reserved_cost(400, 0, None)
    assert bench.admission.settle(decision.receipts, cost, {})
    assert bench.unsettled == [("key#k1", {"tokens": -400}, "no store")]
    assert bench.remaining(all_of_it) == 1000


def test_settlement_without_an_answer_leaves_nothing_to_be_done_again(bench: Bench) -> None:
    decision = bench.admit(rule("key", 1000, "tokens"), tokens=400)
    bench.cut("adjust", "key", error=UncertainError("no answer"))
    assert bench.admission.settle(decision.receipts, reserved_cost(400, 0, None), {})
    assert bench.unsettled == [("key#k1", {}, "no answer")]


@pytest.mark.parametrize(("used", "due"), [(450, {"tokens": 50}), (350, {})])
def test_settlement_without_an_answer_leaves_only_what_may_be_added_twice(
    bench: Bench, used: int, due: dict[str, int]
) -> None:
    decision = bench.admit(rule("key", 1000, "tokens"), tokens=400)
    bench.cut("adjust", "key", error=UncertainError("no answer"))
    failed = bench.admission.settle(decision.receipts, {"tokens": 400}, {"tokens": used})
    assert [unsettled.due for unsettled in failed] == [due]
    assert bench.unsettled == [("key#k1", due, "no answer")]


def test_settlement_never_raises_and_tells_no_foreign_text(bench: Bench) -> None:
    decision = bench.admit(KEY)
    bench.cut("adjust", "key", error=ValueError("secret"))
    assert not bench.admission.refund(decision.receipts)
    assert bench.unsettled == [("key#k1", {"requests": -1}, "ValueError")]


def test_refund_gives_requests_and_places_back(bench: Bench) -> None:
    places = rule("key", 1, "concurrent")
    decision = bench.admit(KEY, places, TENANT)
    assert bench.admission.refund(decision.receipts)
    assert bench.remaining(KEY) == bench.remaining(TENANT) == 10
    assert bench.admit(places).admitted


def test_refund_of_nothing_is_done(bench: Bench) -> None:
    receipts: tuple[Receipt, ...] = ()
    assert bench.admission.refund(receipts)
    assert bench.store.adjusted == []


RULES = (
    rule("key", 3),
    rule("key", 900, "tokens"),
    rule("tenant", 2, "concurrent"),
    rule("tenant", 1500, "tokens"),
    rule("global", 5),
)
STEPS = st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 1000), st.integers(0, 1200)), max_size=25)


@given(STEPS)
def test_refusals_leave_no_charge_whatever_came_before(steps: list[tuple[int, int, int]]) -> None:
    """A store that only saw the admitted requests stands as the one that saw all."""
    asked, clean = Bench(), Bench()
    for wait_ms, tokens, used in steps:
        asked.now_ms = clean.now_ms = asked.now_ms + wait_ms
        decision = asked.admit(*RULES, tokens=tokens)
        if not decision.admitted:
            continue
        twin = clean.admit(*RULES, tokens=tokens)
        assert (twin.admitted, twin.states) == (True, decision.states)
        reserved, actual = reserved_cost(tokens, 0, None), actual_cost(Usage(used, 0), None)
        assert not asked.admission.settle(decision.receipts, reserved, actual)
        assert not clean.admission.settle(twin.receipts, reserved, actual)
    assert asked.unsettled == []


def test_store_that_is_slow_for_many_scopes_is_asked_no_further(bench: Bench) -> None:
    def slow(operation: str, key: str) -> None:
        bench.now_ms += 1500

    bench.store.fails = slow
    assert bench.admit(KEY, TENANT, GLOBAL).admitted
    assert bench.store.charged == ["key", "tenant"]
    assert bench.fallback.charged == ["global"]
    assert bench.told == ["the counters are too slow"]
