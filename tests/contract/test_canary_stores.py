"""The canaries' tables: their states, under one suite for the guard's store and the operator's, and their counts."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from sallyport.adapters.aws_client import DYNAMODB, AwsClient, AwsError
from sallyport.adapters.dynamodb_canaries import DynamoDbCanaryStateStore
from sallyport.adapters.dynamodb_canary_counts import DynamoDbCanaryCounts
from sallyport.policy.canary_counts import CountsError, Outcomes, Place, add_up, amounts, partition, sort_key
from sallyport.policy.canary_rules import PHASES, ROLLED_BACK, RUNNING, CanaryState, CanaryStates
from sallyport.policy.canary_states import (
    HISTORY_PARTITION,
    CanaryStateStore,
    Change,
    StateConflictError,
    StateStoreError,
    state_item,
    with_state,
)
from sallyport_cli.canary.state_table import CanaryTable
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE, LOCAL_AWS, Emulator

STATE = CanaryState(RUNNING, 1, 1_800_000_000, "1-0f3a55c1", 500, "a reason", "jane")
CHANGE = Change(1_800_000_000, "jane", "set", "next", "a reason")
PLACE = Place("next", "1-0f3a55c1", "canary", 7)
PATIENCE_S = 60.0
"""For an emulator on a busy machine."""
ONE = Outcomes(1, 1, 1, 1, 10, 20, 300, 40, (0, 0, 1, *[0] * 9))

type MakeStore = Callable[[], CanaryStateStore]


class Lossy:
    """The slim client, of whose writes the answer gets lost, or never comes: nobody knows whether they were made."""

    def __init__(self, client: AwsClient, code: str, *, is_made: bool) -> None:
        self._client = client
        self._code = code
        self._is_made = is_made

    def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
        if operation in {"GetItem", "Query"}:
            return self._client.call(operation, payload)
        if self._is_made:
            self._client.call(operation, payload, repeatable=repeatable)
        raise AwsError(self._code)


class Pages:
    """A table that gives a partition page by page, and remembers where each page was asked to start."""

    def __init__(self, pages: list[list[dict[str, Any]]], fails_at: int | None = None) -> None:
        self._pages = pages
        self._fails_at = fails_at
        self.starts: list[Any] = []

    def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
        assert (operation, repeatable) == ("Query", True)
        page = len(self.starts)
        self.starts.append(payload.get("ExclusiveStartKey"))
        if page == self._fails_at:
            raise AwsError("ThrottlingException")
        is_last = page == len(self._pages) - 1
        return {"Items": self._pages[page]} | ({} if is_last else {"LastEvaluatedKey": {"after": {"N": str(page)}}})


@pytest.fixture
def client(emulator: Emulator) -> AwsClient:
    emulator.empty_tables()
    return slim(emulator)


@pytest.fixture(params=["slim client", "boto3"])
def make_store(request: pytest.FixtureRequest, client: AwsClient, emulator: Emulator) -> MakeStore:
    del client
    if request.param == "slim client":
        return lambda: DynamoDbCanaryStateStore(slim(emulator), CONFIG_TABLE)
    return lambda: CanaryTable(
        boto3.client("dynamodb", endpoint_url=emulator.url, region_name="us-east-1"), CONFIG_TABLE
    )


def slim(emulator: Emulator) -> AwsClient:
    environ = {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url}
    return AwsClient(DYNAMODB, environ, left_s=lambda: PATIENCE_S, timeout_s=PATIENCE_S, total_s=PATIENCE_S)


def history(emulator: Emulator) -> list[dict[str, Any]]:
    items = emulator.dynamodb.scan(TableName=CONFIG_TABLE)["Items"]
    return sorted((item for item in items if item["pk"]["S"] == HISTORY_PARTITION), key=lambda item: item["sk"]["S"])


def put(emulator: Emulator, table: str, item: Mapping[str, Any]) -> None:
    emulator.dynamodb.put_item(TableName=table, Item=item)


def test_nothing_stored_is_version_0(make_store: MakeStore) -> None:
    assert make_store().read() == CanaryStates()


def test_what_was_written_is_read_by_another_process(make_store: MakeStore, emulator: Emulator) -> None:
    first = with_state(CanaryStates(), "next", STATE, "stack")
    assert make_store().write(CanaryStates(), first, CHANGE) == first
    second = with_state(first, "later", STATE._replace(weight=None), "stack")
    make_store().write(first, second, CHANGE._replace(canary="later"))
    assert make_store().read() == second
    assert second.states == {"next": STATE, "later": STATE._replace(weight=None)}
    assert [entry["sk"]["S"] for entry in history(emulator)] == ["000000000001", "000000000002"]


@pytest.mark.parametrize("stored", [0, 1])
def test_of_two_writers_one_wins_and_the_history_has_one_entry(
    make_store: MakeStore, emulator: Emulator, stored: int
) -> None:
    before = CanaryStates()
    if stored:
        before = make_store().write(before, with_state(before, "next", STATE, "stack"), CHANGE)
    stores, start = [make_store() for _ in range(4)], threading.Barrier(4)

    def write(number: int) -> str | None:
        after = with_state(before, "next", STATE._replace(by=f"writer-{number}"), "stack")
        start.wait(timeout=30)
        try:
            return stores[number].write(before, after, CHANGE._replace(by=f"writer-{number}")).states["next"].by
        except StateConflictError:
            return None

    with ThreadPoolExecutor(4) as pool:
        winners = [name for name in pool.map(write, range(4)) if name]
    assert winners == [make_store().read().states["next"].by]
    assert [entry["by"]["S"] for entry in history(emulator)[stored:]] == winners


def test_old_states_are_not_written_over_newer_ones(make_store: MakeStore) -> None:
    store = make_store()
    first = store.write(CanaryStates(), with_state(CanaryStates(), "next", STATE, "stack"), CHANGE)
    second = store.write(first, with_state(first, "next", STATE._replace(phase=ROLLED_BACK), "stack"), CHANGE)
    with pytest.raises(StateConflictError):
        store.write(first, with_state(first, "next", STATE, "stack"), CHANGE)
    assert store.read() == second


def test_states_without_their_history_are_not_written_over(make_store: MakeStore, emulator: Emulator) -> None:
    stored = CanaryStates(5, "ab" * 32, {"next": STATE})
    put(emulator, CONFIG_TABLE, state_item(stored))
    for before in (CanaryStates(), stored._replace(version=3), stored._replace(version=6)):
        with pytest.raises(StateConflictError):
            make_store().write(before, with_state(before, "next", STATE._replace(phase=ROLLED_BACK), "stack"), CHANGE)
    assert make_store().read() == stored
    assert history(emulator) == []


BROKEN_ITEMS: dict[str, dict[str, Any]] = {
    "no version": {"version": None},
    "version of another type": {"version": {"S": "1"}},
    "version 0": {"version": {"N": "0"}},
    "version of a fraction": {"version": {"N": "1.5"}},
    "no key": {"key": None},
    "short key": {"key": {"S": "00" * 31}},
    "key of no hex": {"key": {"S": "zz" * 32}},
    "no states": {"states": None},
    "states of another type": {"states": {"M": {}}},
    **{
        f"states {text[:60]}": {"states": {"S": text}}
        for text in (
            "", "null", "[]", "{", '"next"', '{"next": null}', '{"next": []}', '{"next": {}}', "[" * 100_000,
            '{"next": {"phase": "running", "step": 0, "since_s": 1}}',
            '{"next": {"phase": "going", "step": 0, "since_s": 1, "run": ""}}',
            '{"next": {"phase": "running", "step": -1, "since_s": 1, "run": ""}}',
            '{"next": {"phase": "running", "step": true, "since_s": 1, "run": ""}}',
            '{"next": {"phase": "running", "step": 0.0, "since_s": 1, "run": ""}}',
            '{"next": {"phase": "running", "step": 0, "since_s": NaN, "run": ""}}',
            '{"next": {"phase": "running", "step": 0, "since_s": 1, "run": null}}',
            '{"next": {"phase": "running", "step": 0, "since_s": 1, "run": "", "weight": 10001}}',
            '{"next": {"phase": "running", "step": 0, "since_s": 1, "run": "", "weight": "5"}}',
            '{"next": {"phase": "running", "step": 0, "since_s": 1, "run": "", "reason": 5}}',
            '{"good": {"phase": "running", "step": 0, "since_s": 1, "run": ""}, "next": 1}',
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN_ITEMS)
def test_broken_states_are_never_half_read(make_store: MakeStore, emulator: Emulator, how: str) -> None:
    item = state_item(CanaryStates(1, "ab" * 32, {"next": STATE})) | BROKEN_ITEMS[how]
    put(emulator, CONFIG_TABLE, {name: value for name, value in item.items() if value is not None})
    with pytest.raises(StateStoreError, match="the stored canary states are broken"):
        make_store().read()


def test_a_field_of_a_newer_version_is_passed_over(make_store: MakeStore, emulator: Emulator) -> None:
    item = state_item(CanaryStates(1, "ab" * 32, {"next": STATE}))
    item["states"]["S"] = item["states"]["S"].replace('"by":', '"shadow":[1],"by":')
    put(emulator, CONFIG_TABLE, item)
    assert make_store().read().states == {"next": STATE}


@pytest.mark.parametrize("code", ["Lost", "Timeout", "InvalidAnswer", "InternalServerError"])
@pytest.mark.parametrize("is_made", [True, False])
def test_a_lost_answer_is_made_up_for_by_a_look(
    client: AwsClient, emulator: Emulator, code: str, is_made: bool
) -> None:
    lossy = DynamoDbCanaryStateStore(Lossy(client, code, is_made=is_made), CONFIG_TABLE)
    after = with_state(CanaryStates(), "next", STATE, "stack")
    if is_made:
        assert lossy.write(CanaryStates(), after, CHANGE) == after
    else:
        with pytest.raises(StateStoreError, match=code):
            lossy.write(CanaryStates(), after, CHANGE)
    assert len(history(emulator)) == int(is_made)


def test_a_first_try_that_is_still_going_on_is_looked_after(client: AwsClient) -> None:
    store = DynamoDbCanaryStateStore(Lossy(client, "TransactionInProgressException", is_made=True), CONFIG_TABLE)
    after = with_state(CanaryStates(), "next", STATE, "stack")
    assert store.write(CanaryStates(), after, CHANGE) == after


def test_a_lost_answer_to_somebody_elses_change_is_not_ones_own(client: AwsClient) -> None:
    other = with_state(CanaryStates(), "next", STATE._replace(by="other"), "stack")
    DynamoDbCanaryStateStore(client, CONFIG_TABLE).write(CanaryStates(), other, CHANGE)
    lossy = DynamoDbCanaryStateStore(Lossy(client, "Lost", is_made=False), CONFIG_TABLE)
    with pytest.raises(StateStoreError, match="Lost"):
        lossy.write(CanaryStates(), with_state(CanaryStates(), "next", STATE, "stack"), CHANGE)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_a_refused_write_is_no_conflict(client: AwsClient, code: str) -> None:
    store = DynamoDbCanaryStateStore(Lossy(client, code, is_made=False), CONFIG_TABLE)
    with pytest.raises(StateStoreError, match=code):
        store.write(CanaryStates(), with_state(CanaryStates(), "next", STATE, "stack"), CHANGE)


def test_a_store_that_is_not_there_is_an_error() -> None:
    away = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with pytest.raises(StateStoreError, match="Unreachable"):
        DynamoDbCanaryStateStore(away, CONFIG_TABLE).read()
    counts = DynamoDbCanaryCounts(away, COUNTERS_TABLE)
    with pytest.raises(CountsError, match="Unreachable"):
        counts.read("next", "1-0f3a55c1")
    with pytest.raises(CountsError, match="Unreachable"):
        counts.add(PLACE, ONE, 0)


def test_every_phase_is_kept(make_store: MakeStore) -> None:
    states = CanaryStates()
    for phase in PHASES:
        states = make_store().write(states, with_state(states, phase, STATE._replace(phase=phase), "stack"), CHANGE)
    assert {name: state.phase for name, state in make_store().read().states.items()} == {name: name for name in PHASES}


def test_outcomes_of_many_at_once_add_up(client: AwsClient, emulator: Emulator) -> None:
    def add(number: int) -> None:
        counts = DynamoDbCanaryCounts(slim(emulator), COUNTERS_TABLE)
        for _ in range(10):
            counts.add(PLACE._replace(bucket=number % 2), ONE, 1_900_000_000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    counted = DynamoDbCanaryCounts(client, COUNTERS_TABLE).read("next", "1-0f3a55c1")
    twenty = add_up([ONE] * 20)
    assert (twenty.requests, twenty.output_tokens, twenty.histogram[2]) == (20, 400, 20)
    assert counted == {"canary": {0: twenty, 1: twenty}}


def test_runs_canaries_and_arms_are_counted_apart(client: AwsClient) -> None:
    counts = DynamoDbCanaryCounts(client, COUNTERS_TABLE)
    for place in (
        PLACE, PLACE._replace(arm="stable"), PLACE._replace(run="1-0f3a55c10"), PLACE._replace(canary="next-2"),
        PLACE._replace(bucket=127),
    ):  # fmt: skip
        counts.add(place, ONE, 1_900_000_000)
    assert counts.read("next", "1-0f3a55c1") == {"canary": {7: ONE, 127: ONE}, "stable": {7: ONE}}
    assert counts.read("next", "2-0f3a55c1") == {}


def test_a_count_is_kept_until_it_expires(client: AwsClient, emulator: Emulator) -> None:
    counts = DynamoDbCanaryCounts(client, COUNTERS_TABLE)
    for expires_at_s in (1_900_000_000, 1_900_000_060):
        counts.add(PLACE, ONE, expires_at_s)
    (item,) = emulator.dynamodb.scan(TableName=COUNTERS_TABLE)["Items"]
    assert item["expires_at"] == {"N": "1900000060"}


@pytest.mark.parametrize("is_made", [True, False])
def test_an_outcome_is_counted_once_at_most(client: AwsClient, is_made: bool) -> None:
    counts = DynamoDbCanaryCounts(Lossy(client, "Lost", is_made=is_made), COUNTERS_TABLE)
    with pytest.raises(CountsError, match="Lost"):
        counts.add(PLACE, ONE, 1_900_000_000)
    assert counts.read("next", "1-0f3a55c1") == ({"canary": {7: ONE}} if is_made else {})


@pytest.mark.parametrize(
    "broken",
    [
        {"n": {"S": "1"}}, {"n": {"N": "1.5"}}, {"n": {"N": "-1"}}, {"h3": {"SS": ["1"]}}, {"e": "1"},
        {"sk": {"S": "canary"}}, {"sk": {"S": "canary#"}}, {"sk": {"S": "canary#7"}}, {"sk": {"S": "canary#128"}},
        {"sk": {"S": "canary#-01"}}, {"sk": {"S": "other#001"}}, {"sk": {"N": "1"}}, {"sk": {}},
    ],
    ids=str,
)  # fmt: skip
def test_broken_counts_are_never_half_read(broken: dict[str, Any]) -> None:
    pages = Pages([[{"sk": {"S": "canary#001"}, "n": {"N": "5"}}, {"sk": {"S": "stable#001"}} | broken]])
    with pytest.raises(CountsError, match="the stored canary counts are broken"):
        DynamoDbCanaryCounts(pages, COUNTERS_TABLE).read("next", "1-0f3a55c1")


def test_a_run_of_several_pages_is_read_to_its_end() -> None:
    pages = Pages([[{"sk": {"S": f"canary#{number:03d}"}, "n": {"N": "5"}}] for number in range(3)] + [[]])
    counted = DynamoDbCanaryCounts(pages, COUNTERS_TABLE).read("next", "1-0f3a55c1")
    assert sorted(counted["canary"]) == [0, 1, 2]
    assert pages.starts == [None, *({"after": {"N": str(page)}} for page in range(3))]


def test_a_page_that_can_not_be_read_is_no_end() -> None:
    pages = Pages([[{"sk": {"S": "canary#001"}, "n": {"N": "5"}}], []], fails_at=1)
    with pytest.raises(CountsError, match="ThrottlingException"):
        DynamoDbCanaryCounts(pages, COUNTERS_TABLE).read("next", "1-0f3a55c1")


def test_a_run_of_every_bucket_and_great_numbers_is_read_whole(client: AwsClient, emulator: Emulator) -> None:
    great = {name: {"N": str(10**12)} for name in amounts(Outcomes(1, 1, 1, 1, 1, 1, 1, 1, (1,) * 12))}
    keys = [(arm, bucket) for arm in ("stable", "canary") for bucket in range(128)]
    for arm, bucket in keys:
        key = {"pk": {"S": partition("next", "1-0f3a55c1")}, "sk": {"S": sort_key(arm, bucket)}}
        put(emulator, COUNTERS_TABLE, {**key, **great})
    counted = DynamoDbCanaryCounts(client, COUNTERS_TABLE).read("next", "1-0f3a55c1")
    assert {arm: add_up(buckets.values()).requests for arm, buckets in counted.items()} == {
        "stable": 128 * 10**12,
        "canary": 128 * 10**12,
    }
