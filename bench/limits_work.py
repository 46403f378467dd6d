"""What one request costs: writes and round trips, CPU, and the size of what it writes to."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from bench.cpu import Case, figure, measure
from bench.emulator import BenchmarkError
from bench.tables import print_table
from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.limits.admission import Admission
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.rules import Cost, Decision, Lease
from sallyport.limits.selection import Demand, caller_values
from sallyport.limits.sliding import SlidingLimiter
from sallyport.limits.store import Adjustment, Charge, CounterStore, LeaseCharge, StoreAnswer
from sallyport.policy.limit_rules import MAX_CONCURRENT, MAX_RULES_PER_SCOPE, LimitRule, Window, rule_name
from tests.support.aws import COUNTERS_TABLE, LOCAL_AWS, Emulator

PLENTY = 10**15
MINUTE, HOUR = Window(60), Window(3600)
BATCHES, CALLS, EMULATOR_CALLS = 9, 1000, 60
WRITES_PER_S = 1000
"""AWS's limit for one partition, of writes of up to 1 KB each; so also for one item."""
_KB = 1024
RESERVED: Cost = {"requests": 1, "tokens": 1200, "usd": 5_000_000}
USED: Cost = {"requests": 1, "tokens": 900, "usd": 3_000_000}


def rule(scope: str, unit: str = "requests", limit: int = PLENTY, window: Window = MINUTE) -> LimitRule:
    """Give a rule."""
    return LimitRule(rule_name((scope,), unit, window), (scope,), unit, limit, window)


ONE = (rule("key"),)
THREE = (
    *(rule("key"), rule("key", "tokens")),
    *(rule("tenant"), rule("tenant", "tokens"), rule("tenant", "usd", window=Window(calendar="month"))),
    rule("global", window=HOUR),
)


class CountingStore:
    """Counts the round trips to a store in memory, and the writes that were made."""

    def __init__(self) -> None:
        self._store = MemoryCounterStore()
        self.trips = self.writes = 0

    def charge(
        self, key: str, charges: Sequence[Charge], leases: Sequence[LeaseCharge], expires_at_s: int
    ) -> StoreAnswer:
        """Charge."""
        return self._counted(self._store.charge(key, charges, leases, expires_at_s))

    def adjust(self, key: str, adjustments: Sequence[Adjustment], releases: Sequence[Lease]) -> StoreAnswer:
        """Adjust."""
        return self._counted(self._store.adjust(key, adjustments, releases))

    def _counted(self, answer: StoreAnswer) -> StoreAnswer:
        self.trips += 1
        self.writes += answer.applied
        return answer


class Gateway:
    """An instance of a route, with its limits over a store."""

    def __init__(self, store: CounterStore, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.admission = Admission(
            SlidingLimiter(store, now_ms), lambda: SlidingLimiter(store, now_ms), now_ms, _fail, lambda *why: _fail(why)
        )

    def admit(self, rules: Sequence[LimitRule], key: str = "k1", cost: Cost = RESERVED) -> Decision:
        """Ask for one request."""
        values = caller_values(tenant="acme", subject="bench", key=key, ip="192.0.2.1", model="m", route="embeddings")
        return self.admission.admit(rules, Demand("embeddings", "m", "acme", (), values, cost, 900.0), 1)


def _fail(why: object) -> None:
    raise BenchmarkError(f"the store failed: {why}")


class Row(NamedTuple):
    """What was asked, what came of it, and what it took."""

    name: str
    admitted: bool
    trips: int
    writes: int


def print_writes() -> None:
    """Count and print round trips and writes."""
    rows = count_writes()
    print("Round trips to the store, and writes made, counted where the store is called. A write that its condition")
    print("refuses is a round trip, and DynamoDB bills it as a write.\n")
    answers = {True: "admitted", False: "refused"}
    cells = [[row.name, answers[row.admitted], str(row.trips), str(row.writes)] for row in rows]
    print_table(["", "", "round trips", "writes"], cells)


def count_writes() -> list[Row]:
    """Count for each kind of request. Clocks stand at the beginning of an hour, or a minute later."""
    start_ms = 1_800_000_000_000
    now_ms = start_ms
    store = CountingStore()

    def instance() -> Gateway:
        return Gateway(store, lambda: now_ms)

    def counted(name: str, call: Callable[[], Decision]) -> Row:
        trips, writes = store.trips, store.writes
        admitted = call().admitted
        return Row(name, admitted, store.trips - trips, store.writes - writes)

    warm, cold = instance(), instance()
    small = (rule("key", limit=1),)
    wide = (*THREE[:5], rule("global", limit=1, window=HOUR))
    rows = [
        counted("one scope, a member's first request ever", lambda: warm.admit(ONE)),
        counted("one scope", lambda: warm.admit(ONE)),
        counted("one scope, the first request of an instance", lambda: cold.admit(ONE)),
    ]
    now_ms = start_ms + 60_000
    rows.append(counted("one scope, the first request of a window", lambda: warm.admit(ONE)))
    rows.append(counted("one scope, another instance's first of that window", lambda: cold.admit(ONE)))
    store = CountingStore()
    warm, refusing = instance(), instance()
    warm.admit(THREE)
    rows.append(counted("three scopes with six rules", lambda: warm.admit(THREE)))
    decision = warm.admit(THREE)

    def settled() -> Decision:
        warm.admission.settle(decision.receipts, RESERVED, USED)
        return decision

    rows.append(counted("its settlement: tokens and money of two scopes", settled))
    store = CountingStore()
    warm, refusing = instance(), instance()
    warm.admit(small)
    refusing.admit(ONE)
    rows += [
        counted("refused by its only scope", lambda: warm.admit(small)),
        counted("the same again: from memory", lambda: warm.admit(small)),
        counted("a cost that alone is over the limit", lambda: warm.admit((rule("key", "tokens", 10),))),
    ]
    store = CountingStore()
    warm = instance()
    warm.admit(wide)
    rows.append(counted("refused by the third scope: two charges, two given back", lambda: warm.admit(wide)))
    rows.append(counted("the same again: from memory", lambda: warm.admit(wide)))
    return rows


def print_cpu(emulator: Emulator) -> None:
    """Measure and print CPU."""
    figures = {**measure(memory_cases(), BATCHES), **measure(emulator_cases(emulator), BATCHES)}
    print(f"Microseconds of CPU per request in this process, user and kernel: median of {BATCHES} batches, of {CALLS}")
    print(f"requests or, with the slim client and moto in another process, of {EMULATOR_CALLS}.\n")
    print_table(["", "median us", "range"], [[name, figure(x.median_us), x.range()] for name, x in figures.items()])


def memory_cases(calls: int = CALLS) -> list[Case]:
    """Give admissions with the store in memory."""
    gateway, refused = Gateway(MemoryCounterStore()), (rule("key", limit=1, window=Window(86_400)),)
    gateway.admit(refused, "refused")
    if gateway.admit(refused, "refused").admitted:
        raise BenchmarkError("a second request was admitted to a limit of one")

    def admit_and_settle() -> None:
        gateway.admission.settle(gateway.admit(THREE).receipts, RESERVED, USED)

    return [
        _repeated("one scope, store in memory", calls, lambda: gateway.admit(ONE)),
        _repeated("three scopes with six rules, store in memory", calls, lambda: gateway.admit(THREE)),
        _repeated("the same, and settled", calls, admit_and_settle),
        _repeated("refused from memory", calls, lambda: gateway.admit(refused, "refused")),
    ]


def emulator_cases(emulator: Emulator, calls: int = EMULATOR_CALLS) -> list[Case]:
    """Give admissions through the slim client."""
    gateway = Gateway(DynamoDbCounterStore(_client(emulator), COUNTERS_TABLE))
    return [
        _repeated("one scope, slim client", calls, lambda: gateway.admit(ONE)),
        _repeated("three scopes with six rules, slim client", calls, lambda: gateway.admit(THREE)),
    ]


def print_items(emulator: Emulator) -> None:
    """Write items, and print their sizes and how often a second DynamoDB lets one be written."""
    rows = [[name, str(size), str(WRITES_PER_S // -(-size // _KB))] for name, size in item_sizes(emulator)]
    print("An item as it is stored, with amounts of 15 digits and a member of 40 characters. DynamoDB makes 1,000")
    print("writes of up to 1 KB a second to one partition (AWS documents it; no emulator shows it): at most as many")
    print("requests a second in one scope, half as many where they are settled.\n")
    print_table(["", "bytes", "writes per second"], rows)


def item_sizes(emulator: Emulator) -> list[tuple[str, int]]:
    """Give the bytes of items as they are stored."""
    sizes = [
        (f"{number} rule" + "s" * (number > 1), _size(emulator, _money_rules(number)))
        for number in (1, 5, MAX_RULES_PER_SCOPE)
    ]
    leases = (rule("key", "concurrent", MAX_CONCURRENT),)
    return [*sizes, (f"1 rule, {MAX_CONCURRENT} leases", _size(emulator, leases, MAX_CONCURRENT))]


def _money_rules(number: int) -> tuple[LimitRule, ...]:
    return tuple(rule("key", "usd", window=Window(60 + extra)) for extra in range(number))


_MEMBERS = count()


def _size(emulator: Emulator, rules: Sequence[LimitRule], times: int = 1) -> int:
    """Admit `times` requests now and one in the windows after, and give the item's bytes."""
    now_ms = 1_800_000_000_000
    member = f"key#{next(_MEMBERS):036d}"
    limiter = SlidingLimiter(DynamoDbCounterStore(_client(emulator), COUNTERS_TABLE), lambda: now_ms)
    for _ in range(times):
        limiter.admit(member, rules, {"usd": 123_456_789_012_345})
    if times == 1:
        now_ms += 70_000
        limiter.admit(member, rules, {"usd": 123_456_789_012_345})
    key = {"pk": {"S": f"limit#{member}"}, "sk": {"S": "window"}}
    item = emulator.dynamodb.get_item(TableName=COUNTERS_TABLE, Key=key, ConsistentRead=True)["Item"]
    return sum(len(name) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    """Give a value's bytes as AWS documents them."""
    if "S" in value:
        return len(value["S"].encode())
    if "N" in value:
        return -(-len(value["N"].strip("-").strip("0")) // 2) + 1
    return 3 + sum(1 + len(name) + _value_size(each) for name, each in value["M"].items())


def _client(emulator: Emulator) -> AwsClient:
    return AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url}, timeout_s=30.0, total_s=60.0)


def _repeated(name: str, calls: int, call: Callable[[], object]) -> Case:
    def batch() -> None:
        for _ in range(calls):
            call()

    return Case(name, calls, lambda: batch)
