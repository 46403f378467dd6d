"""The memory of refusals: refuses what would be refused anyway, for as long as that is sure, and no longer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.refusals import MAX_MEMBERS, RefusalMemory
from sallyport.limits.rules import RuleState
from sallyport.limits.sliding import SlidingLimiter
from sallyport.policy.limit_rules import NO_WINDOW, LimitRule, Window

NOW = 1_800_000_000_000
REQUESTS = LimitRule("r", ("key",), "requests", 10, Window(60))
TOKENS = LimitRule("t", ("key",), "tokens", 1000, Window(60))
PLACES = LimitRule("c", ("key",), "concurrent", 4, NO_WINDOW)
ONE = {"requests": 1, "tokens": 100}


def noted(rule: LimitRule, retry_ms: int | None, reset_ms: int = 90_000) -> RefusalMemory:
    memory = RefusalMemory()
    memory.note("m", [RuleState(rule, 0, reset_ms, retry_ms)], ONE, 1, NOW)
    return memory


def refuses(memory: RefusalMemory, rule: LimitRule, after_ms: int, version: int = 1, tokens: int = 100) -> bool:
    cost = {"requests": 1, "tokens": tokens}
    return bool(memory.refusing([("m", [rule])], cost, version, NOW + after_ms))


@pytest.mark.parametrize(
    ("rule", "retry_ms", "held_ms"),
    [
        (REQUESTS, 45_000, 45_000),
        (REQUESTS._replace(window=Window(120)), 200_000, 200_000),
        (REQUESTS._replace(window=Window(121)), 200_000, 60_000),
        (REQUESTS._replace(window=Window(calendar="day")), 200_000, 60_000),
        (REQUESTS._replace(window=Window(calendar="day")), 2_000, 2_000),
        (TOKENS, 45_000, 1_000),
        (TOKENS, 400, 400),
        (PLACES, 1_000, 1_000),
    ],
)
def test_refusal_holds_until_something_may_have_changed(rule: LimitRule, retry_ms: int, held_ms: int) -> None:
    assert refuses(noted(rule, retry_ms), rule, held_ms - 1)
    assert not refuses(noted(rule, retry_ms), rule, held_ms)


@pytest.mark.parametrize("retry_ms", [0, None])
def test_refusal_without_a_wait_is_not_remembered(retry_ms: int | None) -> None:
    assert not refuses(noted(REQUESTS, retry_ms), REQUESTS, 0)


def test_refusal_of_a_cost_says_nothing_of_a_smaller_one() -> None:
    memory = noted(TOKENS, 500)
    assert not refuses(memory, TOKENS, 1, tokens=99)
    assert refuses(memory, TOKENS, 1, tokens=100)
    assert refuses(memory, TOKENS, 1, tokens=101)


def test_refusal_tells_the_state_as_it_is_by_now() -> None:
    (state,) = noted(REQUESTS, 45_000).refusing([("x", [REQUESTS]), ("m", [TOKENS, REQUESTS])], ONE, 1, NOW + 5_250)
    assert state == RuleState(REQUESTS, 0, 84_750, 39_750)


def test_refusal_of_a_rule_that_has_changed_is_not_heard() -> None:
    assert not refuses(noted(REQUESTS, 45_000), REQUESTS._replace(limit=11), 1)


def test_refusals_are_forgotten_under_another_policy() -> None:
    memory = noted(REQUESTS, 45_000)
    assert not refuses(memory, REQUESTS, 1, version=2)
    assert not refuses(memory, REQUESTS, 1, version=1)


def test_refusals_are_forgotten_when_the_clock_goes_back() -> None:
    memory = noted(REQUESTS, 45_000)
    assert not refuses(memory, REQUESTS, -1)
    assert not refuses(memory, REQUESTS, 1)


def test_refusals_of_a_member_are_forgotten_on_demand() -> None:
    memory = noted(REQUESTS, 45_000)
    memory.forget("another")
    assert refuses(memory, REQUESTS, 1)
    memory.forget("m")
    assert not refuses(memory, REQUESTS, 1)


def test_refusals_of_several_rules_of_a_member_are_kept_together() -> None:
    memory = noted(REQUESTS, 45_000)
    memory.note("m", [RuleState(TOKENS, 0, 9, 500), RuleState(PLACES, 1, 0, 0)], ONE, 1, NOW)
    found = memory.refusing([("m", [REQUESTS, TOKENS, PLACES])], ONE, 1, NOW + 1)
    assert [state.rule for state in found] == [REQUESTS, TOKENS]


def test_memory_is_bounded_and_keeps_the_latest() -> None:
    memory = noted(REQUESTS, 45_000)
    for number in range(MAX_MEMBERS):
        memory.note(f"n{number}", [RuleState(REQUESTS, 0, 9, 500)], ONE, 1, NOW)
    assert len(memory._members) == MAX_MEMBERS
    assert not refuses(memory, REQUESTS, 1)
    assert memory.refusing([(f"n{MAX_MEMBERS - 1}", [REQUESTS])], ONE, 1, NOW + 1)


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 4)), max_size=60), st.integers(1, 6))
def test_memory_refuses_only_what_the_store_would_refuse(steps: list[tuple[int, int]], limit: int) -> None:
    """Also for other costs than one, and at every time: who asks first decides as who asks the store alone."""
    now = [NOW]
    rules = [LimitRule("r", ("key",), "requests", limit, Window(60))]
    limiter = SlidingLimiter(MemoryCounterStore(), lambda: now[0])
    memory = RefusalMemory()
    for wait_ms, amount in steps:
        now[0] += wait_ms
        cost = {"requests": min(amount, limit)}
        remembered = memory.refusing([("m", rules)], cost, 1, now[0])
        decision = limiter.admit("m", rules, cost)
        if remembered:
            assert not decision.admitted
            assert decision.refused_by is not None
            assert (remembered[0].retry_ms or 0) <= (decision.refused_by.retry_ms or 0)
        memory.note("m", () if decision.admitted else decision.states, cost, 1, now[0])
