"""Failed credentials are limited per address, at few writes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.access.networks import parse_address
from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.gateway.failed_credentials import FailedCredentials
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.sliding import SlidingLimiter, StoreError
from sallyport.limits.store import Charge, CounterStore, LeaseCharge, StoreAnswer
from tests.support.aws import COUNTERS_TABLE, LOCAL_AWS, Emulator

HOSTILE = parse_address("203.0.113.9")
OTHER = parse_address("203.0.113.10")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s

    def ms(self) -> int:
        return round(self.now_s * 1000)


class Store(MemoryCounterStore):
    """Counts its writes, and can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []
        self.is_down = False

    def charge(
        self, key: str, charges: Sequence[Charge], leases: Sequence[LeaseCharge], expires_at_s: int
    ) -> StoreAnswer:
        if self.is_down:
            raise StoreError("Timeout")
        self.keys.append(key)
        return super().charge(key, charges, leases, expires_at_s)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Store:
    return Store()


def failures(
    store: CounterStore, clock: Clock, per_minute: int = 5, told: list[str] | None = None
) -> FailedCredentials:
    return FailedCredentials(
        SlidingLimiter(store, clock.ms),
        SlidingLimiter(MemoryCounterStore(), clock.ms),
        per_minute,
        clock,
        lambda: (told if told is not None else []).append("fallback"),
    )


def failed(limited: FailedCredentials, times: int, address: tuple[int, int] = HOSTILE) -> int:
    """As the door does: what isn't refused is judged, and counted when it fails."""
    judged = 0
    for _ in range(times):
        if not limited.refuses(*address):
            judged += 1
            limited.count(*address)
    return judged


def test_an_address_is_refused_once_its_failures_are_used_up(store: Store, clock: Clock) -> None:
    assert failed(failures(store, clock), 100) == 5


def test_nobody_else_is(store: Store, clock: Clock) -> None:
    limited = failures(store, clock)
    failed(limited, 100)
    assert not limited.refuses(*OTHER)
    assert not limited.refuses(*parse_address("2001:db8::1"))


def test_a_flood_costs_as_many_writes_as_the_limit_is_high(store: Store, clock: Clock) -> None:
    limited = failures(store, clock)
    for _ in range(1000):
        limited.count(*HOSTILE)
    assert len(store.keys) == 5


def test_another_instance_learns_it_with_one_write(store: Store, clock: Clock) -> None:
    failed(failures(store, clock), 100)
    second = failures(store, clock)
    assert not second.refuses(*HOSTILE)
    assert failed(second, 100) == 1
    assert len(store.keys) == 5 + 1


def test_successes_and_questions_are_not_counted(store: Store, clock: Clock) -> None:
    limited = failures(store, clock)
    assert not any(limited.refuses(*HOSTILE) for _ in range(100))
    assert store.keys == []


def test_a_blocked_address_becomes_free_again(store: Store, clock: Clock) -> None:
    limited = failures(store, clock)
    failed(limited, 100)
    clock.now_s += 71.9
    assert failed(limited, 100) == 0
    clock.now_s += 0.2
    assert failed(limited, 100) == 1
    clock.now_s += 120
    assert failed(limited, 100) == 5


def test_a_stubborn_address_gets_no_more_than_its_limit(store: Store, clock: Clock) -> None:
    limited = failures(store, clock)
    judged = 0
    for _ in range(10 * 60 * 10):
        judged += failed(limited, 1)
        clock.now_s += 0.1
    assert 40 <= judged <= 10 * 5 + 5
    assert len(store.keys) <= 3 * judged


@given(st.lists(st.tuples(st.floats(0, 90), st.integers(1, 8)), max_size=15), st.integers(1, 6))
def test_every_block_ends_when_it_says_and_never_later_than_two_windows(
    steps: list[tuple[float, int]], per_minute: int
) -> None:
    clock, told = Clock(), list[str]()
    limited = failures(Store(), clock, per_minute, told)
    for wait_s, times in steps:
        clock.now_s += wait_s
        assert failed(limited, times) <= per_minute
    clock.now_s += 120
    assert not limited.refuses(*HOSTILE)
    assert told == []


@pytest.mark.parametrize("step_s", [-3600, -60, 72.1])
def test_a_clock_that_jumps_leaves_nobody_blocked_for_long(store: Store, clock: Clock, step_s: float) -> None:
    limited = failures(store, clock)
    failed(limited, 100)
    assert limited.refuses(*HOSTILE)
    clock.now_s += step_s
    assert not limited.refuses(*HOSTILE)


def test_an_ipv6_client_is_its_64(store: Store, clock: Clock) -> None:
    limited = failures(store, clock)
    for number in range(5):
        limited.count(*parse_address(f"2001:db8:0:7:{number}::1"))
    assert limited.refuses(*parse_address("2001:db8:0:7:ffff:ffff:ffff:ffff"))
    assert not limited.refuses(*parse_address("2001:db8:0:8::1"))
    assert set(store.keys) == {"2001:db8:0:7::/64"}


def test_versions_with_one_number_are_counted_apart(store: Store, clock: Clock) -> None:
    limited = failures(store, clock)
    failed(limited, 100, (4, 1))
    assert not limited.refuses(6, 1 << 64)


def test_a_mapped_address_is_counted_as_the_one_inside(store: Store, clock: Clock) -> None:
    limited = failures(store, clock)
    failed(limited, 100)
    assert limited.refuses(*parse_address("::ffff:203.0.113.9"))


def test_while_the_store_is_down_memory_counts_and_says_so(store: Store, clock: Clock) -> None:
    told: list[str] = []
    limited = failures(store, clock, told=told)
    store.is_down = True
    assert failed(limited, 100) == 5
    assert told == ["fallback"] * 5
    store.is_down = False
    clock.now_s += 120
    assert failed(limited, 100) == 5
    assert len(told) == 5


def test_memory_holds_a_bounded_number_and_keeps_those_that_go_on(store: Store, clock: Clock) -> None:
    limited = failures(store, clock, per_minute=1)
    limited.count(4, 0)
    for number in range(1, 10_050):
        limited.count(4, number)
        assert limited.refuses(4, 0)
    assert not limited.refuses(4, 1)
    assert limited.refuses(4, 10_049)
    assert len(limited._blocked_until_s) == 10_000


def test_failures_have_items_of_their_own_in_the_counters_table(emulator: Emulator, clock: Clock) -> None:
    emulator.empty_tables()
    client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})
    limited = failures(DynamoDbCounterStore(client, COUNTERS_TABLE, prefix="failure"), clock, per_minute=2)
    assert failed(limited, 10) == 2
    [item] = emulator.dynamodb.scan(TableName=COUNTERS_TABLE)["Items"]
    assert (item["pk"], item["sk"]) == ({"S": "failure#203.0.113.9"}, {"S": "window"})
    [count] = [value for name, value in item.items() if len(name) == 6 and name.startswith("c")]
    assert count == {"N": "2"}
    assert 180 <= int(item["expires_at"]["N"]) - clock.now_s <= 180 + 3600
