"""What a guard can't read, write or tell: weights stay, an alarm's metric says so, the other canaries are seen to."""

import json
from typing import Any

import pytest

from sallyport.observability.topic import PublishError
from sallyport.policy.canary_counts import Counted, CountsError
from sallyport.policy.canary_rules import ROLLED_BACK, CanaryStates
from sallyport.policy.canary_states import CanaryStateStore, Change, StateStoreError
from sallyport.policy.current import PolicyStoreError, PolicyUnavailableError
from tests.functional.canary_guard.conftest import LATER, RULES, STACK, Scene
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE, Emulator

FAILED = "canary guard failed; weights stay as they are"


class BrokenStates:
    """A store that can't be read, or written, for one canary or for all."""

    def __init__(self, store: CanaryStateStore, error: Exception, *, reads: bool, canary: str = "") -> None:
        self._store = store
        self._error = error
        self._reads = reads
        self._canary = canary

    def read(self) -> CanaryStates:
        if self._reads:
            raise self._error
        return self._store.read()

    def write(self, before: CanaryStates, after: CanaryStates, change: Change) -> CanaryStates:
        if self._canary in {"", change.canary}:
            raise self._error
        return self._store.write(before, after, change)


class BrokenCounts:
    """Counts of which those of one canary can't be read."""

    def __init__(self, scene: Scene, error: Exception) -> None:
        self._counts = scene.counts
        self._error = error

    def read(self, canary: str, run: str) -> Counted:
        if canary == "next":
            raise self._error
        return self._counts.read(canary, run)


@pytest.fixture
def two(scene: Scene) -> Scene:
    """Two canaries, both worse."""
    scene.policy.canaries = (RULES, LATER)
    scene.run()
    scene.count(RULES, failed=10)
    scene.count(LATER, failed=10)
    scene.lines.clear()
    return scene


def reasons(scene: Scene) -> list[tuple[str, str | None]]:
    return [(line["reason"], line.get("canary")) for line in scene.said(FAILED)]


ERRORS = [(CountsError("ThrottlingException"), "ThrottlingException"), (ZeroDivisionError("a secret"), None)]


@pytest.mark.parametrize(("error", "reason"), ERRORS, ids=["known", "unknown"])
def test_counts_that_can_not_be_read_keep_one_canary_where_it_is(two: Scene, error: Exception, reason: str) -> None:
    before = two.state("next")
    assert two.run(two.guard(counts=BrokenCounts(two, error))) == {"next": "failed", "later": "roll_back"}
    assert two.state("next") == before
    assert two.metrics("CanaryGuardFailure") == [{"Stack": STACK}]
    assert len(two.metrics("CanaryGuardRuns")) == 1
    ((said, canary),) = reasons(two)
    assert canary == "next"
    assert said == (reason or said)
    assert "a secret" not in json.dumps(two.lines)
    assert two.run() == {"next": "roll_back", "later": "hold"}


def test_states_that_can_not_be_read_change_nothing(two: Scene) -> None:
    before = two.states.read()
    broken = BrokenStates(two.states, StateStoreError("InternalServerError"), reads=True)
    assert two.run(two.guard(states=broken)) == {"next": "failed", "later": "failed"}
    assert two.states.read() == before
    assert reasons(two) == [("InternalServerError", "next"), ("InternalServerError", "later")]
    assert two.topic.published == []


def test_a_verdict_that_can_not_be_written_is_told_nobody_and_reached_again(two: Scene) -> None:
    broken = BrokenStates(two.states, StateStoreError("AccessDeniedException"), reads=False, canary="next")
    assert two.run(two.guard(states=broken)) == {"next": "failed", "later": "roll_back"}
    assert [message["canary"] for _, message, _ in two.topic.published] == ["later"]
    assert two.metrics("CanaryRolledBack") == [{"Stack": STACK}, {"Stack": STACK, "Canary": "later"}]
    assert two.run() == {"next": "roll_back", "later": "hold"}
    assert [message["canary"] for _, message, _ in two.topic.published] == ["later", "next"]


@pytest.mark.parametrize(
    "error", [PolicyStoreError("ThrottlingException"), PolicyUnavailableError("no policy could be read"), KeyError()]
)
def test_without_a_policy_nothing_is_done(two: Scene, error: Exception) -> None:
    before = two.states.read()
    two.policy.error = error
    assert two.run() == {}
    assert two.states.read() == before
    assert (len(two.metrics("CanaryGuardFailure")), len(reasons(two))) == (1, 1)
    two.policy.error = None
    assert two.run() == {"next": "roll_back", "later": "roll_back"}


@pytest.mark.parametrize("error", [PublishError("Throttling"), RuntimeError("a secret")])
def test_a_topic_that_can_not_be_told_changes_no_verdict(two: Scene, error: Exception) -> None:
    two.topic.error = error
    assert two.run() == {"next": "roll_back", "later": "roll_back"}
    assert {two.state("next").phase, two.state("later").phase} == {ROLLED_BACK}
    assert len(two.metrics("CanaryGuardFailure")) == 2
    assert len(two.metrics("CanaryRolledBack")) == 4
    assert "a secret" not in json.dumps(two.lines)
    two.topic.error = None
    assert two.run() == {"next": "hold", "later": "hold"}
    assert two.topic.published == []  # told once at most


def test_a_key_that_can_not_be_made_is_made_at_the_next_run(scene: Scene) -> None:
    scene.policy.canaries = ()
    broken = BrokenStates(scene.states, StateStoreError("ThrottlingException"), reads=False)
    assert scene.run(scene.guard(states=broken)) == {}
    assert reasons(scene) == [("ThrottlingException", None)]
    scene.run()
    assert scene.states.read().key


@pytest.mark.parametrize(
    ("table", "item"),
    [
        (CONFIG_TABLE, {"pk": {"S": "policy#canaries"}, "sk": {"S": "state"}, "version": {"N": "9"}}),
        (COUNTERS_TABLE, {"sk": {"S": "canary#000"}, "n": {"S": "many"}}),
    ],
    ids=["states", "counts"],
)
def test_what_is_stored_broken_decides_nothing(
    begun: Scene, emulator: Emulator, table: str, item: dict[str, Any]
) -> None:
    begun.count(failed=10)
    run = begun.state().run
    emulator.dynamodb.put_item(TableName=table, Item={"pk": {"S": f"canary#next#{run}"}, **item})
    assert begun.run() == {"next": "failed"}
    assert begun.topic.published == []
    ((reason, canary),) = reasons(begun)
    assert (reason.endswith("are broken"), canary) == (True, "next")


@pytest.mark.parametrize("context", [None, object()])
def test_an_invocation_that_does_not_say_how_long_it_has_is_served(begun: Scene, context: object) -> None:
    begun.count(failed=10)
    begun.now_s += 60
    assert begun.guard()({}, context) == {"canaries": {"next": "roll_back"}}
    assert len(begun.metrics("CanaryGuardFailure")) == 1


@pytest.mark.parametrize("event", [{}, None, [], "text", {"source": "aws.events"}])
def test_any_event_is_served(begun: Scene, event: Any) -> None:
    assert begun.guard()(event, _Left()) == {"canaries": {"next": "hold"}}
    assert begun.metrics("CanaryGuardFailure") == []


def test_waiting_ends_with_the_invocation(begun: Scene) -> None:
    begun_with: list[float] = []
    begun.guard(begin=begun_with.append)({}, _Left())
    assert begun_with == [42.5]


class _Left:
    def get_remaining_time_in_millis(self) -> int:
        return 42_500
