"""The canaries' states as text, and as a process knows them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.policy.canary_rules import FULL_WEIGHT, PHASES, CanaryState, CanaryStates
from sallyport.policy.canary_states import (
    MAX_REASON_CHARS,
    MAX_STATES,
    RETRY_S,
    Change,
    CurrentCanaries,
    StateStoreError,
    derived_key,
    dump_state,
    dump_states,
    history_item,
    history_key,
    load_state,
    load_states,
    new_token,
    with_new_key,
    with_state,
    without_old,
    write_items,
)

STATE = CanaryState("running", 0, 1_800_000_000, "1-0f3a55c1")
COUNTS = st.integers(0, 2**40)
STATES = st.builds(
    CanaryState,
    st.sampled_from(PHASES),
    COUNTS,
    COUNTS,
    st.text(),
    st.none() | st.integers(0, FULL_WEIGHT),
    st.text(),
    st.text(),
)


class Store:
    """States that a test sets; an exception is raised."""

    def __init__(self, found: CanaryStates | StateStoreError) -> None:
        self.found = found
        self.reads = 0

    def read(self) -> CanaryStates:
        self.reads += 1
        if isinstance(self.found, StateStoreError):
            raise self.found
        return self.found

    def write(self, before: CanaryStates, after: CanaryStates, change: Change) -> CanaryStates:
        raise AssertionError((before, after, change))


class Process:
    """One process's states, with a clock and what it was told."""

    def __init__(self, found: CanaryStates | StateStoreError, refresh_s: float = 10) -> None:
        self.store = Store(found)
        self.now_s = 1_000.0
        self.told: list[str] = []
        self.current = CurrentCanaries(self.store, refresh_s, lambda: self.now_s, self.told.append)

    def version_after(self, seconds: float) -> int:
        self.now_s += seconds
        return self.current.get().version


def at(version: int) -> CanaryStates:
    return CanaryStates(version, "ab" * 32, {"next": STATE})


DOWN = StateStoreError("ThrottlingException")


@given(st.dictionaries(st.text(), STATES))
def test_states_are_read_as_they_were_written(states: dict[str, CanaryState]) -> None:
    assert load_states(dump_states(states)) == states


@given(st.none() | STATES)
def test_a_state_is_read_as_it_was_written(state: CanaryState | None) -> None:
    assert load_state(dump_state(state)) == state


@given(
    st.sampled_from(CanaryState._fields), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists)
)
def test_a_state_with_a_field_of_anything_is_read_whole_or_not_at_all(field: str, value: object) -> None:
    raw = STATE._asdict() | {field: value}
    try:
        assert load_states(json.dumps({"next": raw}))["next"] == CanaryState(**raw)
    except ValueError:
        return


def test_a_reason_is_bounded() -> None:
    states = with_state(CanaryStates(), "next", STATE._replace(reason="x" * 10_000), "stack")
    assert len(states.states["next"].reason) == MAX_REASON_CHARS
    item = history_item(CanaryStates(), states, Change(1, "jane", "set", "next", "x" * 10_000), "token")
    assert len(item["reason"]["S"]) == MAX_REASON_CHARS


def test_the_oldest_states_that_the_policy_has_no_more_are_dropped_where_there_are_too_many() -> None:
    many = {f"c{since_s}": CanaryState("rolled_back", 0, since_s, "1-0") for since_s in range(1, MAX_STATES + 4)}
    states = CanaryStates(1, "0f" * 32, many)
    assert list(without_old(states, {"c1", "c3"}).states) == [name for name in many if name not in {"c2", "c4", "c5"}]
    assert without_old(states, many) == states
    few = states._replace(states={"c1": many["c1"]})
    assert without_old(few, ()) == few


def test_as_many_states_as_are_kept_fit_into_an_item() -> None:
    long = CanaryState("rolled_back", 0, 1, "1-0f3a55c1", 9999, "\U0001f600" * 1000, "guard")
    states = CanaryStates()
    for number in range(MAX_STATES):
        states = with_state(states, f"{number:040d}", long, "stack")
    assert len(dump_states(states.states).encode()) < 300_000


def test_the_key_of_the_first_change_is_the_one_that_routers_derive_and_stays() -> None:
    first = with_state(CanaryStates(), "next", STATE, "stack")
    second = with_state(first, "later", STATE, "another")
    assert first.key == second.key == derived_key("stack") != derived_key("another")
    assert (first.version, second.version) == (1, 2)


def test_a_new_key_is_another_each_time() -> None:
    one, other = with_new_key(CanaryStates()), with_new_key(CanaryStates())
    assert one.key != other.key
    assert len(bytes.fromhex(one.key)) == 32
    assert with_state(one, "next", STATE, "stack").key == one.key


def test_the_history_is_in_the_order_of_its_text() -> None:
    keys = [history_key(version) for version in (1, 9, 10, 99, 100, 999_999_999_999)]
    assert keys == sorted(keys)


def test_a_write_is_named_by_its_token() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) <= 36 for token in tokens)  # of TransactWriteItems
    payload = write_items("config", at(1), at(2), Change(1, "jane", "set", "next"), "token")
    state, entry = (one["Put"] for one in payload["TransactItems"])
    assert (payload["ClientRequestToken"], entry["Item"]["token"]) == ("token", {"S": "token"})
    assert state["ExpressionAttributeValues"] == {":expected": {"N": "1"}}


def test_nothing_is_read_before_somebody_asks() -> None:
    process = Process(at(1))
    process.current.refresh_early()
    assert (process.store.reads, process.current.is_known) == (0, False)
    assert process.current.get() == at(1)
    assert (process.store.reads, process.current.is_known) == (1, True)


def test_states_are_read_again_after_the_interval() -> None:
    process = Process(at(1))
    process.current.get()
    process.store.found = at(2)
    assert [process.version_after(seconds) for seconds in (0, 9.9, 0.2)] == [1, 1, 2]
    assert process.store.reads == 2


def test_after_a_response_states_are_read_again_at_half_of_the_interval() -> None:
    process = Process(at(1))
    process.current.get()
    process.store.found = at(2)
    process.now_s += 4.9
    process.current.refresh_early()
    assert process.version_after(0) == 1
    process.now_s += 0.2
    process.current.refresh_early()
    assert (process.version_after(0), process.store.reads) == (2, 2)


def test_who_is_no_longer_asked_no_longer_reads() -> None:
    process = Process(at(1))
    process.current.get()
    for _ in range(10):
        process.now_s += 60
        process.current.refresh_early()
    assert process.store.reads == 2


def test_what_was_known_stays_while_the_store_is_down() -> None:
    process = Process(at(1))
    process.current.get()
    process.store.found = DOWN
    assert [process.version_after(60) for _ in range(3)] == [1, 1, 1]
    assert (process.current.is_known, process.told) == (True, ["ThrottlingException"] * 3)
    process.store.found = at(2)
    assert process.version_after(60) == 2


def test_what_was_never_known_is_asked_for_each_second() -> None:
    process = Process(DOWN, refresh_s=60)
    assert [process.version_after(RETRY_S / 2) for _ in range(4)] == [0] * 4
    assert (process.store.reads, process.current.is_known) == (2, False)
    process.store.found = CanaryStates()
    assert process.version_after(RETRY_S) == 0
    assert process.current.is_known


def test_a_version_that_goes_backwards_is_told_and_not_taken() -> None:
    process = Process(at(5))
    process.current.get()
    for older in (CanaryStates(), at(4)):
        process.store.found = older
        assert process.version_after(60) == 5
    assert process.told == ["the stored canary states have vanished, or older ones are in their place"] * 2


def test_a_clock_that_goes_backwards_stops_nothing() -> None:
    process = Process(at(1))
    process.current.get()
    process.store.found = at(2)
    assert process.version_after(-500) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("5", "isn't an object"),
        ("[]", "isn't an object"),
        ('{"phase": "running"}', "lacks a field"),
        ('{"phase": "running", "step": 0, "since_s": 1.5, "run": ""}', "is broken"),
    ],
)
def test_a_text_that_is_no_state_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load_state(text)
