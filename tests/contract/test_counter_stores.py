"""Every counter store, under one suite: in memory, and DynamoDB's through the slim client and through boto3."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sallyport.adapters.aws_client import DYNAMODB, AwsClient, AwsError
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.rules import Charged, Lease, Receipt
from sallyport.limits.sliding import SlidingLimiter, StoreError, UncertainError
from sallyport.limits.store import Adjustment, Charge, CounterStore, LeaseCharge, StoreAnswer, Stored
from sallyport.limits.window import Counters
from sallyport.policy.limit_rules import NO_WINDOW, LimitRule, Window
from tests.support.aws import COUNTERS_TABLE, LOCAL_AWS, Emulator

MINUTE = LimitRule("minute", ("key",), "requests", 3, Window(60))
HOUR = LimitRule("hour", ("key",), "requests", 5, Window(3600))
TOKENS = LimitRule("tokens", ("key",), "tokens", 1000, Window(60))
BUDGET = LimitRule("budget", ("key",), "usd", 10**15, Window(calendar="month"))
AT_ONCE = LimitRule("at-once", ("key",), "concurrent", 2, NO_WINDOW)
ONE = {"requests": 1}
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

    def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
        assert operation == "UpdateItem"
        del repeatable
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
    return sum(limiter.admit("key#a", rules, ONE).admitted for _ in range(times))


def test_a_limit_admits_exactly_its_number(store: CounterStore, clock: Clock) -> None:
    assert admitted(SlidingLimiter(store, clock), 10, MINUTE) == 3


def test_two_processes_share_one_limit(store: CounterStore, clock: Clock) -> None:
    first, second = SlidingLimiter(store, clock), SlidingLimiter(store, clock)
    decisions = [limiter.admit("key#a", [MINUTE], ONE).admitted for limiter in (first, second, first, second, first)]
    assert decisions == [True, True, True, False, False]


def test_members_are_counted_apart(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    assert admitted(limiter, 4, MINUTE) == 3
    assert limiter.admit("key#b", [MINUTE], ONE).admitted


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
    refused = limiter.admit("key#a", [MINUTE], ONE)
    assert refused.refused_by is not None
    assert refused.refused_by.retry_ms is not None
    clock.now_ms += refused.refused_by.retry_ms - 1
    assert not limiter.admit("key#a", [MINUTE], ONE).admitted
    clock.now_ms += 1
    assert limiter.admit("key#a", [MINUTE], ONE).admitted


def test_remaining_counts_down(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    assert [limiter.admit("key#a", [MINUTE], ONE).states[0].remaining for _ in range(4)] == [2, 1, 0, 0]


def test_a_slow_clock_admits_no_more(store: CounterStore, clock: Clock) -> None:
    assert admitted(SlidingLimiter(store, clock), 3, MINUTE) == 3
    clock.now_ms -= 90_000
    assert admitted(SlidingLimiter(store, clock), 3, MINUTE) == 0


@pytest.mark.parametrize("fault", ["AccessDeniedException", "Timeout"])
def test_a_store_that_fails_is_not_a_refusal(fault: str, clock: Clock) -> None:
    class Failing:
        def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
            raise AwsError(fault)

    limiter = SlidingLimiter(DynamoDbCounterStore(Failing(), COUNTERS_TABLE), clock)
    with pytest.raises(StoreError, match=fault):
        limiter.admit("key#a", [MINUTE], ONE)


def test_a_store_that_never_settles_is_given_up_after_three_tries(clock: Clock) -> None:
    tries = []

    class Contended:
        def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
            tries.append(payload)
            raise AwsError("ConditionalCheckFailedException")

    limiter = SlidingLimiter(DynamoDbCounterStore(Contended(), COUNTERS_TABLE), clock)
    with pytest.raises(StoreError):
        limiter.admit("key#a", [MINUTE], ONE)
    assert len(tries) == 3


class ScriptedStore(MemoryCounterStore):
    """Refuses every charge, and tells in turn how the counters stand."""

    def __init__(self, *counters: Counters) -> None:
        super().__init__()
        self._counters = list(counters)

    def charge(
        self, key: str, charges: Sequence[Charge], leases: Sequence[LeaseCharge], expires_at_s: int
    ) -> StoreAnswer:
        return StoreAnswer(applied=False, stored=Stored({MINUTE.counter: self._counters.pop(0)}, {}))


def test_a_window_that_filled_up_during_the_tries_is_a_refusal_and_no_store_failure(clock: Clock) -> None:
    now = START_MS // 60_000
    store = ScriptedStore(Counters(now - 1, 1, 0), Counters(now, 1, 1), Counters(now, 3, 1))
    assert not SlidingLimiter(store, clock).admit("key#a", [MINUTE], ONE).admitted


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
        return sum(cold.admit("key#a", [rule], ONE).admitted for _ in range(8))

    admitted(limiter(), used_before, rule)
    clock.now_ms += 60_000 if used_before else 0
    with ThreadPoolExecutor(8) as callers:
        assert sum(callers.map(call, range(8))) == 20 - used_before


def test_callers_at_once_share_places_exactly(emulator: Emulator, clock: Clock) -> None:
    """With places that have expired among those taken, which all the callers clear away at once."""
    emulator.empty_tables()
    environ = {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url}
    rule = AT_ONCE._replace(limit=5)
    together = threading.Barrier(8)

    def limiter() -> SlidingLimiter:
        return SlidingLimiter(DynamoDbCounterStore(AwsClient(DYNAMODB, environ), COUNTERS_TABLE), clock)

    def call(_: int) -> list[Receipt]:
        own = limiter()
        together.wait(30)
        decisions = [own.admit("key#a", [rule, MINUTE._replace(limit=100)], ONE) for _ in range(2)]
        return [receipt for decision in decisions for receipt in decision.receipts]

    assert admitted(limiter(), 5, rule) == 5
    clock.now_ms += 1_000_000
    with ThreadPoolExecutor(8) as callers:
        receipts = [receipt for found in callers.map(call, range(8)) for receipt in found]
        assert len(receipts) == 5
        list(callers.map(lambda receipt: limiter().refund(receipt), receipts))
    states = limiter().admit("key#a", [rule, MINUTE._replace(limit=100)], ONE).states
    assert [state.remaining for state in states] == [4, 99]


def test_an_admission_takes_one_write(emulator: Emulator, clock: Clock) -> None:
    emulator.empty_tables()
    calls: list[str] = []
    client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})

    class Counting:
        def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
            calls.append(operation)
            return client.call(operation, payload, repeatable=repeatable)

    limiter = SlidingLimiter(DynamoDbCounterStore(Counting(), COUNTERS_TABLE), clock)
    assert admitted(limiter, 3, MINUTE, HOUR) == 3
    assert calls == ["UpdateItem"] * 3


def test_a_settlement_changes_the_window_that_was_charged(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    charged = limiter.admit("key#a", [TOKENS, BUDGET], {"tokens": 600, "usd": 500}).receipts[0]
    clock.now_ms += 60_000
    later = limiter.admit("key#a", [TOKENS, BUDGET], {"tokens": 400, "usd": 500})
    assert [state.remaining for state in later.states] == [0, 10**15 - 1000]
    limiter.settle(charged, {"tokens": -100, "usd": 7})
    clock.now_ms += 30_000
    states = SlidingLimiter(store, clock).admit("key#a", [TOKENS, BUDGET], {"usd": 1}).states
    assert [state.remaining for state in states] == [1000 - 400 - 250, 10**15 - 1008]


def test_a_settlement_by_another_process_needs_no_memory(store: CounterStore, clock: Clock) -> None:
    receipts = [
        SlidingLimiter(store, clock).admit("key#a", [TOKENS, AT_ONCE], {"tokens": 500}).receipts[0] for _ in range(2)
    ]
    for receipt in receipts:
        SlidingLimiter(store, clock).settle(receipt, {"tokens": -400})
    states = SlidingLimiter(store, clock).admit("key#a", [TOKENS, AT_ONCE], {"tokens": 1}).states
    assert [state.remaining for state in states] == [799, 1]


def test_a_refund_leaves_nothing(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    for _ in range(5):
        receipt = limiter.admit("key#a", [MINUTE, TOKENS, AT_ONCE], {"requests": 1, "tokens": 1000}).receipts[0]
        limiter.refund(receipt)
    assert limiter.admit("key#a", [MINUTE, TOKENS, AT_ONCE], {"requests": 1, "tokens": 1000}).admitted


def test_what_an_operator_reset_never_falls_below_nothing(store: CounterStore, clock: Clock) -> None:
    """Zeroed: half of what a receipt says is still there. Removed: nothing is."""
    limiter = SlidingLimiter(store, clock)
    receipt = limiter.admit("key#a", [TOKENS], {"tokens": 600}).receipts[0]
    store.adjust("key#a", [Adjustment(TOKENS.counter, "current", receipt.charges[0].window, -400)], [])
    limiter.settle(receipt, {"tokens": -500})
    assert limiter.admit("key#a", [TOKENS], {"tokens": 1}).states[0].remaining == 999
    limiter.settle(receipt._replace(member="key#removed"), {"tokens": -500})
    assert limiter.admit("key#removed", [TOKENS], {"tokens": 1}).states[0].remaining == 999


def test_settling_what_was_long_ago_changes_nothing(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    old = limiter.admit("key#a", [TOKENS], {"tokens": 600}).receipts[0]
    clock.now_ms += 180_000
    SlidingLimiter(store, clock).admit("key#a", [TOKENS], {"tokens": 600})
    limiter.settle(old, {"tokens": -600})
    assert limiter.admit("key#a", [TOKENS], {"tokens": 1}).states[0].remaining == 399


def test_places_are_taken_given_back_and_expire(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    receipts = [limiter.admit("key#a", [AT_ONCE, MINUTE], {}, lease_s=60).receipts[0] for _ in range(2)]
    assert not SlidingLimiter(store, clock).admit("key#a", [AT_ONCE], {}).admitted
    limiter.settle(receipts[0], {})
    assert limiter.admit("key#a", [AT_ONCE], {}, lease_s=600).admitted
    assert not limiter.admit("key#a", [AT_ONCE], {}).admitted
    clock.now_ms += 66_001
    assert SlidingLimiter(store, clock).admit("key#a", [AT_ONCE], {}, lease_s=600).admitted
    assert not limiter.admit("key#a", [AT_ONCE], {}).admitted
    limiter.settle(receipts[1], {})  # expired and gone
    assert not limiter.admit("key#a", [AT_ONCE], {}).admitted


def test_a_full_place_charges_no_other_rule(store: CounterStore, clock: Clock) -> None:
    limiter = SlidingLimiter(store, clock)
    assert admitted(limiter, 5, HOUR, AT_ONCE) == 2
    assert limiter.admit("key#a", [HOUR], ONE).states[0].remaining == 2


def test_a_place_that_was_taken_without_an_answer_is_not_taken_twice(emulator: Emulator, clock: Clock) -> None:
    emulator.empty_tables()
    client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})

    class Twice:
        """Sends all again, as the client does after a lost answer."""

        def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
            client.call(operation, payload, repeatable=repeatable)
            return client.call(operation, payload, repeatable=repeatable)

    limiter = SlidingLimiter(DynamoDbCounterStore(Twice(), COUNTERS_TABLE), clock)
    decision = limiter.admit("key#a", [AT_ONCE, HOUR], ONE)
    assert (decision.admitted, [state.remaining for state in decision.states]) == (True, [1, 4])


FAULTS = {
    "Timeout": UncertainError,
    "Lost": UncertainError,
    "InternalServerError": UncertainError,
    "Unreachable": StoreError,
    "ThrottlingException": StoreError,
    "AccessDeniedException": StoreError,
}


@pytest.mark.parametrize(("fault", "error"), FAULTS.items())
def test_a_settlement_says_whether_it_may_have_been_made(fault: str, error: type[Exception], clock: Clock) -> None:
    asked: list[bool] = []

    class Failing:
        def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
            asked.append(repeatable)
            raise AwsError(fault)

    limiter = SlidingLimiter(DynamoDbCounterStore(Failing(), COUNTERS_TABLE), clock)
    receipt = Receipt("key#a", (Charged(TOKENS.counter, "tokens", 30_000_000, 5),), (Lease(AT_ONCE.counter, "a1B2"),))
    with pytest.raises(StoreError) as caught:
        limiter.settle(receipt, {"tokens": -1})
    assert type(caught.value) is error
    assert asked[0] is False
    assert asked[1:] == ([True] if error is UncertainError else [])  # the lease is given back again, the count isn't


NAMES = st.sampled_from(["aaaaa", "b0b0b"])
NUMBERS = st.integers(0, 3)
IDS = st.sampled_from(["aaaa", "bbbb", "LIST", "0000"])
CHARGES = st.builds(
    Charge,
    form=st.sampled_from(["continue", "roll", "start"]),
    name=NAMES,
    window=st.integers(7, 9),
    cost=NUMBERS,
    ceiling=st.none() | NUMBERS,
    previous=st.none() | NUMBERS,
)
TAKEN = st.builds(
    LeaseCharge,
    name=NAMES,
    lease_id=IDS,
    expires_at_s=NUMBERS,
    below=st.none() | st.integers(1, 4),
    expired=st.dictionaries(IDS, NUMBERS, max_size=2).map(lambda found: tuple(found.items())),
).filter(lambda lease: lease.lease_id not in dict(lease.expired))
ADJUSTMENTS = st.builds(
    Adjustment,
    name=NAMES,
    part=st.sampled_from(["current", "previous"]),
    window=st.integers(7, 9),
    change=st.integers(-3, 3),
    empties=st.booleans(),
).filter(lambda adjustment: adjustment.change < 0 or not adjustment.empties)


class Write(NamedTuple):
    charges: list[Charge]
    leases: list[LeaseCharge]
    expires_at_s: int
    adjustments: list[Adjustment]
    releases: list[Lease]

    def apply(self, store: CounterStore, key: str) -> StoreAnswer:
        if self.charges or self.leases:
            return store.charge(key, self.charges, self.leases, self.expires_at_s)
        return store.adjust(key, self.adjustments, self.releases)


def named(one: Charge | LeaseCharge | Adjustment) -> str:
    return one.name


WRITES = st.builds(
    Write,
    charges=st.lists(CHARGES, max_size=2, unique_by=named),
    leases=st.lists(TAKEN, max_size=2, unique_by=named),
    expires_at_s=st.sampled_from([0, 3600, 7200]),
    adjustments=st.lists(ADJUSTMENTS, min_size=1, max_size=2, unique_by=named),
    releases=st.lists(st.builds(Lease, NAMES, IDS), max_size=1),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WRITES, min_size=5, max_size=12))
def test_dynamodb_answers_every_write_as_memory_does(emulator: Emulator, writes: list[Write]) -> None:
    emulator.empty_tables()
    client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})
    stores = DynamoDbCounterStore(client, COUNTERS_TABLE), MemoryCounterStore()
    for write in writes:
        answers = [write.apply(store, "key#a") for store in stores]
        assert answers[0] == answers[1]


def item_bytes(item: Mapping[str, Any]) -> int:
    """As DynamoDB documents: names in UTF-8; of a number, two digits a byte and one more; a map 3, and 1 an element."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: Mapping[str, Any]) -> int:
    [(kind, content)] = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return (len(content.rstrip("0")) + 1) // 2 + 1 + 1  # one more, for an odd digit at either end
    return 3 + sum(1 + len(name) + value_bytes(element) for name, element in content.items())


def test_an_item_of_twenty_rules_or_fifty_leases_is_below_a_kilobyte(emulator: Emulator, clock: Clock) -> None:
    """1 KB is one write unit."""
    emulator.empty_tables()
    store = DynamoDbCounterStore(AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url}), COUNTERS_TABLE)
    rules = [LimitRule(f"r{n}", ("key",), "usd", 10**15, Window(59)) for n in range(20)]
    for wait_ms in (0, 59_000 + 58_999 - clock.now_ms % 59_000):  # the second rolls: previous counts are as long
        clock.now_ms += wait_ms
        assert SlidingLimiter(store, clock).admit("a" * 40, rules, {"usd": 987_654_321_098_765}).admitted
    fifty = [AT_ONCE._replace(limit=50)]
    for _ in range(50):
        assert SlidingLimiter(store, clock).admit("b" * 40, fifty, {}).admitted
    items = emulator.dynamodb.scan(TableName=COUNTERS_TABLE)["Items"]
    sizes = {item["pk"]["S"][6]: item_bytes(item) for item in items}
    assert sizes["a"] < 1024
    assert sizes["b"] < 1024


def test_memory_holds_a_bounded_number_of_members(clock: Clock) -> None:
    store = MemoryCounterStore()
    limiter = SlidingLimiter(store, clock)
    for number in range(10_050):
        limiter.admit(f"key#{number}", [MINUTE], ONE)
    assert len(store._items) == 10_000
