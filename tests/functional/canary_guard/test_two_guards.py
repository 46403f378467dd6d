"""Several guards at once, and operators between a guard's reading and its writing: one verdict, told once."""

from collections.abc import Callable

import pytest

from sallyport.policy.canary_rules import PAUSED, ROLLED_BACK, RUNNING, CanaryStates
from sallyport.policy.canary_states import CanaryStateStore, Change, StateConflictError
from tests.functional.canary_guard.conftest import HOUR_S, LATER, RULES, Scene


class Interrupted:
    """A store during whose first write, or before whose each write, somebody else does something."""

    def __init__(self, store: CanaryStateStore, do: Callable[[], object], *, always: bool = False) -> None:
        self._store = store
        self._do = do
        self._always = always
        self._is_done = False

    def read(self) -> CanaryStates:
        return self._store.read()

    def write(self, before: CanaryStates, after: CanaryStates, change: Change) -> CanaryStates:
        if self._always or not self._is_done:
            self._is_done = True
            self._do()
        return self._store.write(before, after, change)


def test_two_guards_that_read_the_same_version_reach_one_verdict(begun: Scene) -> None:
    begun.count(failed=10)
    other: list[dict[str, str]] = []
    slow = begun.guard(states=Interrupted(begun.states, lambda: other.append(begun.run())))
    assert (begun.run(slow), other) == ({"next": "hold"}, [{"next": "roll_back"}])
    assert begun.history() == [("guard", "start", "next"), ("guard", "guard", "next")]
    assert len(begun.topic.published) == len(begun.said("canary verdict")) == 1
    assert len(begun.metrics("CanaryRolledBack")) == 2
    assert begun.metrics("CanaryGuardFailure") == []


def test_two_guards_go_on_by_one_step_only(begun: Scene) -> None:
    begun.now_s += HOUR_S
    begun.count()
    slow = begun.guard(states=Interrupted(begun.states, begun.run))
    assert begun.run(slow) == {"next": "hold"}
    assert begun.state().step == 1
    assert [message["step"] for _, message, _ in begun.topic.published] == [1]


def test_two_guards_note_a_canary_once(scene: Scene) -> None:
    slow = scene.guard(states=Interrupted(scene.states, scene.run))
    assert scene.run(slow) == {"next": "hold"}
    assert scene.history() == [("guard", "start", "next")]


def test_two_guards_make_one_key(scene: Scene) -> None:
    scene.policy.canaries = ()
    slow = scene.guard(states=Interrupted(scene.states, scene.run))
    assert scene.run(slow) == {}
    assert scene.history() == [("guard", "key", "")]
    assert scene.metrics("CanaryGuardFailure") == []


def test_an_operator_who_was_first_is_right(begun: Scene) -> None:
    begun.count(failed=10)
    slow = begun.guard(states=Interrupted(begun.states, lambda: begun.set_state(phase=PAUSED)))
    assert begun.run(slow) == {"next": "hold"}
    assert begun.state().phase == PAUSED
    assert begun.topic.published == []


def test_a_change_of_another_canary_keeps_no_verdict_back(scene: Scene) -> None:
    scene.policy.canaries = (RULES, LATER)
    scene.run()
    scene.count(failed=10)
    slow = scene.guard(states=Interrupted(scene.states, lambda: scene.set_state("later", phase=PAUSED)))
    assert scene.run(slow) == {"next": "roll_back", "later": "hold"}
    assert (scene.state("next").phase, scene.state("later").phase) == (ROLLED_BACK, PAUSED)
    assert len(scene.topic.published) == 1


def test_a_guard_gives_up_where_others_write_all_the_time_and_says_so(scene: Scene) -> None:
    scene.policy.canaries = (RULES, LATER)
    scene.run()
    scene.count(failed=10)
    busy = Interrupted(scene.states, lambda: scene.set_state("later"), always=True)
    assert scene.run(scene.guard(states=busy)) == {"next": "failed", "later": "hold"}
    assert scene.state().phase == RUNNING
    assert len(scene.metrics("CanaryGuardFailure")) == 1
    assert scene.run() == {"next": "roll_back", "later": "hold"}


def test_what_an_operator_wrote_by_an_old_version_is_refused(begun: Scene) -> None:
    begun.count(failed=10)
    old = begun.states.read()
    begun.run()
    with pytest.raises(StateConflictError):
        begun.states.write(old, old._replace(version=old.version + 1), Change(1, "jane", "set", "next"))
    assert begun.state().phase == ROLLED_BACK
