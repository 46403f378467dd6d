"""Every counter store, under one suite: in memory, and DynamoDB's through the slim client and through boto3."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sallyport.adapters.aws_client import DYNAMODB, AwsClient, AwsError
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.rules import LimitRule
from sallyport.limits.sliding import Charge, ChargeOutcome, CounterStore, SlidingLimiter, StoreError
from sallyport.limits.window import Counters
from tests.support.aws import COUNTERS_TABLE, LOCAL_AWS, Emulator

MINUTE = LimitRule("key", "requests", 3, 60)
HOUR = LimitRule("key", "requests", 5, 3600)
START_MS = 1_800_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


class Boto3Call:
    """boto3 behind the slim client's seam."""

    def __init__(self, endpoint: str) -> None:
        self._client = boto3.client("dynamodb", endpoint_url=endpoint, region_name="us-east-1")

    def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        assert operation == "UpdateItem"
        try:
            return dict(self._client.update_item(**payload))
        except ClientError as error:
            raise AwsError(error.response["Error"]["Code"], error.response) from error


@pytest.fixture(params=["memory", "slim client", "boto3"])
def store(request: pytest.FixtureRequest) -> Iterator[CounterStore]:
    if request.param == "memory":
        yield MemoryCounterStore()
        return
    emulator: Emulator = request.getfixturevalue("emulator")
    emulator.empty_tables()
    environ = {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url}
    client = AwsClient(DYNAMODB, environ) if request.param == "slim client" else Boto3Call(emulator.url)
    yield DynamoDbCounterStore(client, COUNTERS_TABLE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def admitted(limiter: SlidingLimiter, times: int, *rules: LimitRule) -> int:
    return sum(limiter.admit("key#a", rules).admitted for _ in range(times))


def test_a_limit_admits_exactly_its_number(store: CounterStore, clock: Clock) -> None:
    assert admitted(SlidingLimiter(store, clock), 10, MINUTE) == 3


def test_two_processes_share_one_limit(store: CounterStore, clock: Clock) -> None:
    first, second = SlidingLimiter(store, clock), SlidingLimiter(store, clock)
    decisions = [limiter.admit("key#a", [MINUTE]).admitted for limiter in (first, second, first, second, first)]
    assert decisions == [True, True, True, False, False]


def test_members_are_counted_apart(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    assert admitted(limiter, 4, MINUTE) == 3
    assert limiter.admit("key#b", [MINUTE]).admitted


def test_all_rules_are_charged_or_none(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    assert admitted(limiter, 4, MINUTE, HOUR) == 3
    clock.now_ms += 120_000
    assert admitted(limiter, 4, MINUTE, HOUR) == 2  # the fourth, refused by the minute, cost the hour nothing


def test_the_window_slides(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    assert admitted(limiter, 3, MINUTE) == 3
    clock.now_ms += 60_000
    assert admitted(limiter, 3, MINUTE) == 0  # all three of the minute before are still in view
    clock.now_ms += 20_000
    assert admitted(limiter, 3, MINUTE) == 1
    clock.now_ms += 200_000
    assert admitted(limiter, 5, MINUTE) == 3


def test_a_refusal_says_when_to_come_back(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    admitted(limiter, 3, MINUTE)
    refused = limiter.admit("key#a", [MINUTE])
    assert refused.refused_by is not None
    clock.now_ms += refused.refused_by.retry_ms - 1
    assert not limiter.admit("key#a", [MINUTE]).admitted
    clock.now_ms += 1
    assert limiter.admit("key#a", [MINUTE]).admitted


def test_remaining_counts_down(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    assert [limiter.admit("key#a", [MINUTE]).states[0].remaining for _ in range(4)] == [2, 1, 0, 0]


def test_a_slow_clock_admits_no_more(store: CounterStore, clock: Clock) -> None:
    assert admitted(SlidingLimiter(store, clock), 3, MINUTE) == 3
    clock.now_ms -= 90_000
    assert admitted(SlidingLimiter(store, clock), 3, MINUTE) == 0


@pytest.mark.parametrize("fault", ["AccessDeniedException", "Timeout"])
def test_a_store_that_fails_is_not_a_refusal(fault: str, clock: Clock) -> None:
    class Failing:
        def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
            raise AwsError(fault)

    limiter = SlidingLimiter(DynamoDbCounterStore(Failing(), COUNTERS_TABLE), clock)
    with pytest.raises(StoreError, match=fault):
        limiter.admit("key#a", [MINUTE])


def test_a_store_that_never_settles_is_given_up_after_three_tries(clock: Clock) -> None:
    tries = []

    class Contended:
        def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
            tries.append(payload)
            raise AwsError("ConditionalCheckFailedException")

    limiter = SlidingLimiter(DynamoDbCounterStore(Contended(), COUNTERS_TABLE), clock)
    with pytest.raises(StoreError):
        limiter.admit("key#a", [MINUTE])
    assert len(tries) == 3


class ScriptedStore:
    """Refuses every charge, and tells in turn how the counters stand."""

    def __init__(self, *counters: Counters) -> None:
        self._counters = list(counters)

    def charge(self, key: str, charges: Sequence[Charge], expires_at_s: int) -> ChargeOutcome:
        return ChargeOutcome(charged=False, counters={MINUTE.name: self._counters.pop(0)})


def test_a_window_that_filled_up_during_the_tries_is_a_refusal_and_no_store_failure(clock: Clock) -> None:
    now = START_MS // 60_000
    store = ScriptedStore(Counters(now - 1, 1, 0), Counters(now, 1, 1), Counters(now, 3, 1))
    assert not SlidingLimiter(store, clock).admit("key#a", [MINUTE]).admitted


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_of_nothing_admits_nobody(store: CounterStore, clock: Clock, limit: int) -> None:
    assert admitted(SlidingLimiter(store, clock), 3, MINUTE._replace(limit=limit)) == 0


@pytest.mark.parametrize("used_before", [0, 1])
def test_callers_at_once_share_a_limit_exactly(emulator: Emulator, clock: Clock, used_before: int) -> None:
    """Each has a client and a memory of its own, as processes do; with a use in the window before, all roll at once."""
    emulator.empty_tables()
    environ = {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url}
    rule = MINUTE._replace(limit=20)
    together = threading.Barrier(8)

    def limiter() -> SlidingLimiter:
        return SlidingLimiter(DynamoDbCounterStore(AwsClient(DYNAMODB, environ), COUNTERS_TABLE), clock)

    def call(_: int) -> int:
        cold = limiter()
        together.wait(30)
        return sum(cold.admit("key#a", [rule]).admitted for _ in range(8))

    admitted(limiter(), used_before, rule)
    clock.now_ms += 60_000 if used_before else 0
    with ThreadPoolExecutor(8) as callers:
        assert sum(callers.map(call, range(8))) == 20 - used_before


def test_an_admission_takes_one_write(emulator: Emulator, clock: Clock) -> None:
    emulator.empty_tables()
    calls: list[str] = []
    client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})

    class Counting:
        def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
            calls.append(operation)
            return client.call(operation, payload)

    limiter = SlidingLimiter(DynamoDbCounterStore(Counting(), COUNTERS_TABLE), clock)
    assert admitted(limiter, 3, MINUTE, HOUR) == 3
    assert calls == ["UpdateItem"] * 3


def test_memory_holds_a_bounded_number_of_members(clock: Clock) -> None:
    store = MemoryCounterStore()
    limiter = SlidingLimiter(store, clock)
    for number in range(10_050):
        limiter.admit(f"key#{number}", [MINUTE])
    assert len(store._items) == 10_000
