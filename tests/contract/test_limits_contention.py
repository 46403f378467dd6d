"""Limits under many OS processes at once, against a DynamoDB that serves one request at a time.

Time stands still in the processes, so what may be admitted is known exactly.
"""

from collections.abc import Iterator

import pytest

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.limits.rules import RuleState
from sallyport.limits.sliding import SlidingLimiter
from tests.support.aws import COUNTERS_TABLE, LOCAL_AWS, Emulator
from tests.support.contention import EDGE_MS, MINUTE_MS, SIZES, Crowd, Outcome, Target, make_job
from tests.support.contention_worker import read_rule

REPEATS = range(15)
FEW_REPEATS = range(4)
LIMIT = 12
MOST = max(SIZES)


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    with Crowd() as started:
        yield started


@pytest.fixture
def target(emulator: Emulator) -> Target:
    return Target(emulator.url, COUNTERS_TABLE)


def state(target: Target, member: str, unit: str, limit: int, now_ms: int = EDGE_MS) -> RuleState:
    """Tell how a rule stands, from a request that costs nothing of it but one of another."""
    client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": target.url})
    limiter = SlidingLimiter(DynamoDbCounterStore(client, target.table), lambda: now_ms)
    rules = [read_rule(unit, limit, "1m"), read_rule("requests", 1_000_000, "1h")]
    return limiter.admit(member, rules, {"requests": 1}).states[0]


@pytest.mark.parametrize("processes", SIZES)
def test_processes_at_once_share_a_limit_exactly(crowd: Crowd, target: Target, processes: int) -> None:
    calls = LIMIT // processes + 1
    for repeat in REPEATS:
        job = make_job(target, f"key#exact{processes}.{repeat}", processes, LIMIT, calls)
        assert crowd.run(job) == Outcome(LIMIT, 0, ())


def test_a_cost_that_leaves_a_rest_is_admitted_as_often_as_it_fits(crowd: Crowd, target: Target) -> None:
    rules, cost = [("tokens", 100, "1m"), ("requests", 50, "1h")], {"tokens": 9, "requests": 1}
    for repeat in FEW_REPEATS:
        job = make_job(target, f"key#cost.{repeat}", MOST, 0, 1, rules=rules, cost=cost)
        assert crowd.run(job) == Outcome(11, 0, ())


def test_a_window_s_edge_lets_nobody_else_through(crowd: Crowd, target: Target) -> None:
    """Half of the calls come a millisecond before, half at the edge, where all of the window before is in view."""
    for repeat in REPEATS:
        job = make_job(target, f"key#edge.{repeat}", MOST, 40, 2, clock_ms=[EDGE_MS - 1, EDGE_MS])
        assert crowd.run(job) == Outcome(40, 0, ())


def test_processes_at_once_roll_a_window_over_once(crowd: Crowd, target: Target) -> None:
    """15 s into the next window three quarters of 8 are in view."""
    for repeat in FEW_REPEATS:
        member = f"key#roll.{repeat}"
        assert crowd.run(make_job(target, member, 2, LIMIT, 4)) == Outcome(8, 0, ())
        later = make_job(target, member, MOST, LIMIT, 1, clock_ms=[EDGE_MS + MINUTE_MS + 15_000])
        assert crowd.run(later) == Outcome(LIMIT - 6, 0, ())


def test_a_slow_way_to_the_store_changes_nothing(crowd: Crowd, target: Target) -> None:
    for repeat in REPEATS:
        job = make_job(target, f"key#slow.{repeat}", MOST, LIMIT, 1, delay_ms=(5, 50))
        assert crowd.run(job) == Outcome(LIMIT, 0, ())


def test_a_lost_answer_costs_at_most_its_own_charge(crowd: Crowd, target: Target) -> None:
    lost = 0
    for repeat in REPEATS:
        outcome = crowd.run(make_job(target, f"key#lost.{repeat}", MOST, LIMIT, 1, lose=0.1))
        assert LIMIT - outcome.timeouts <= outcome.admitted <= LIMIT
        lost += outcome.timeouts
    assert lost > 0


def test_places_of_a_concurrency_limit_are_taken_once(crowd: Crowd, target: Target) -> None:
    for repeat in FEW_REPEATS:
        job = make_job(target, f"key#places.{repeat}", MOST, 0, 1, rules=[("concurrent", LIMIT, "1m")], cost={})
        assert crowd.run(job) == Outcome(LIMIT, 0, ())


def test_settlements_at_once_leave_exactly_what_was_used(crowd: Crowd, target: Target) -> None:
    rules, cost, settle = [("tokens", 10_000, "1m")], {"tokens": 100}, {"tokens": -93}
    for repeat in FEW_REPEATS:
        member = f"key#settled.{repeat}"
        job = make_job(target, member, MOST, 0, 1, rules=rules, cost=cost, settle=settle)
        assert crowd.run(job) == Outcome(MOST, 0, ())
        assert state(target, member, "tokens", 10_000).remaining == 10_000 - MOST * 7
