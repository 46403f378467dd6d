"""What a guard does about a canary, run after run: hold, take out, go on."""

from typing import Any

import pytest

from sallyport.gateway.canary_announcements import Announcements
from sallyport.observability.log import Logger
from sallyport.policy.canary_rules import PROMOTED, ROLLED_BACK, RUNNING, STOPPED, CanaryRules, CanaryStep
from sallyport.policy.canary_states import derived_key
from sallyport.policy.upstream_rules import Target
from sallyport.routing.canary import run_of
from tests.functional.canary_guard.conftest import HOUR_S, LATER, RULES, STACK, START_S, Scene

SAID = "canary verdict"


def test_a_canary_that_was_applied_is_noted_at_the_first_look(scene: Scene) -> None:
    assert scene.run() == {"next": "hold"}
    state = scene.state()
    assert (state.phase, state.step, state.since_s, state.weight, state.by) == (RUNNING, 0, START_S + 60, None, "guard")
    assert state.run.startswith("1-")
    assert scene.states.read().key == derived_key(STACK)  # callers have been assigned with it
    assert scene.history() == [("guard", "start", "next")]
    assert scene.run() == {"next": "hold"}
    assert scene.states.read().version == 1


def test_a_canary_that_waits_for_its_command_is_left_alone(scene: Scene) -> None:
    scene.policy.canaries = (RULES._replace(starts=False),)
    assert scene.run() == {"next": "hold"}
    assert scene.states.read().version == 0


def test_what_was_counted_before_the_first_look_decides_nothing(scene: Scene) -> None:
    scene.count(failed=20)
    assert [scene.run() for _ in range(3)] == [{"next": "hold"}] * 3
    assert scene.state().phase == RUNNING


@pytest.mark.parametrize(
    ("of", "buckets"), [(1, range(12)), (100, range(5))], ids=["too few requests", "too few subjects"]
)
def test_too_little_data_holds_however_bad_and_late(begun: Scene, of: int, buckets: range) -> None:
    begun.count(failed=of, of=of, buckets=buckets)
    begun.now_s += 10 * HOUR_S
    assert begun.run() == {"next": "hold"}
    assert begun.state().step == 0


def test_a_bad_canary_is_taken_out_and_everybody_is_told(begun: Scene) -> None:
    begun.count(failed=10)
    assert begun.run() == {"next": "roll_back"}
    state = begun.state()
    assert (state.phase, state.step, state.by, state.since_s) == (ROLLED_BACK, 0, "guard", begun.now_s)
    assert state.reason.startswith("errors: 50.00 % of the canary's requests, 0.00 % of stable's; ")
    (line,) = begun.said(SAID)
    assert (line["canary"], line["action"], line["phase"]) == ("next", "roll_back", ROLLED_BACK)
    assert line["reason"] == state.reason
    assert line["measures"][0].startswith("errors stable 0.0000 canary 0.5000 difference ")
    assert begun.metrics("CanaryRolledBack") == [{"Stack": STACK}, {"Stack": STACK, "Canary": "next"}]
    ((subject, message, attributes),) = begun.topic.published
    assert subject == "Canary next rolled back in guarded"
    assert (message["canary"], message["action"], message["reason"]) == ("next", "roll_back", state.reason)
    assert (message["stack"], message["phase"], message["at"]) == (STACK, ROLLED_BACK, state.since_s)
    assert attributes == {"stack": STACK, "canary": "next", "action": "roll_back"}
    assert begun.history() == [("guard", "start", "next"), ("guard", "guard", "next")]


def test_each_run_tells_how_both_arms_do(begun: Scene) -> None:
    begun.count(failed=1)
    begun.lines.clear()
    begun.run()
    both = [{"Stack": STACK, "Canary": "next", "Arm": arm} for arm in ("stable", "canary")]
    assert begun.metrics("CanaryStepRequests") == begun.metrics("CanaryFailedShare") == both
    assert [line["CanaryFailedShare"] for line in begun.lines if "CanaryFailedShare" in line] == [0, 5]
    assert [line["CanaryStepRequests"] for line in begun.lines if "CanaryStepRequests" in line] == [240, 240]
    assert [line["CanaryWeight"] for line in begun.lines if "CanaryWeight" in line] == [1.0]
    assert begun.metrics("CanaryGuardRuns") == [{"Stack": STACK}]
    assert begun.metrics("CanaryGuardFailure") == []


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"target": Target("eu", "gpt-newer", ("eu-west-1",))},
        {"steps": (CanaryStep(5000, 60), CanaryStep(10_000))},
        {"guard": None},
    ],
    ids=["same", "target", "steps", "unguarded"],
)
def test_a_rollback_stays_whatever_the_policy_becomes(begun: Scene, change: dict[str, Any]) -> None:
    begun.count(failed=10)
    begun.run()
    before = begun.states.read()
    begun.policy.canaries = (RULES._replace(**change),)
    assert [begun.run() for _ in range(3)] == [{"next": "hold"}] * 3
    begun.policy.canaries = ()
    begun.run()
    begun.policy.canaries = (RULES,)
    begun.now_s += 100 * HOUR_S
    assert begun.run() == {"next": "hold"}
    assert begun.states.read() == before
    assert len(begun.topic.published) == 1


def test_after_it_is_resumed_old_outcomes_no_longer_count(begun: Scene) -> None:
    begun.count(failed=10)
    begun.run()
    begun.set_state(phase=RUNNING, since_s=int(begun.now_s), run=begun.state().run.replace("2-", "3-"))
    assert [begun.run() for _ in range(2)] == [{"next": "hold"}] * 2
    begun.count(failed=10)
    assert begun.run() == {"next": "roll_back"}
    assert len(begun.topic.published) == 2


def test_a_good_canary_goes_up_step_by_step_to_all_traffic(begun: Scene) -> None:
    guard, seen = begun.guard(), []
    for _ in range(4):
        begun.now_s += HOUR_S
        begun.count()
        seen.append((begun.run(guard)["next"], begun.state().phase, begun.state().step))
    assert seen == [*(("advance", RUNNING, 1), ("promote", PROMOTED, 2), ("hold", PROMOTED, 2), ("hold", PROMOTED, 2))]
    assert begun.metrics("CanaryAdvanced") == [{"Stack": STACK}, {"Stack": STACK, "Canary": "next"}]
    assert begun.metrics("CanaryPromoted") == [{"Stack": STACK}, {"Stack": STACK, "Canary": "next"}]
    assert [subject for subject, _, _ in begun.topic.published] == [
        "Canary next advanced in guarded",
        "Canary next promoted in guarded",
    ]


def test_each_step_is_judged_by_its_own_outcomes(begun: Scene) -> None:
    begun.now_s += HOUR_S
    begun.count()
    assert begun.run() == {"next": "advance"}
    begun.now_s += 2 * HOUR_S
    assert begun.run() == {"next": "hold"}  # nothing counted at this weight
    begun.count(failed=10)
    assert begun.run() == {"next": "roll_back"}
    assert begun.state().step == 1


def test_a_step_lasts_its_time(begun: Scene) -> None:
    begun.count()
    begun.now_s = START_S + 60 + 600 - 61
    assert begun.run() == {"next": "hold"}
    begun.now_s -= 59
    assert begun.run() == {"next": "advance"}


@pytest.mark.parametrize(
    "changed",
    [
        RULES._replace(target=Target("eu", "gpt-newer", ("eu-west-1",))),
        RULES._replace(parameters={"temperature": 0.2}),
        RULES._replace(steps=(CanaryStep(200, 600), *RULES.steps[1:])),
    ],
    ids=["target", "parameters", "weight"],
)
def test_a_canary_that_is_another_in_the_policy_begins_anew(begun: Scene, changed: CanaryRules) -> None:
    begun.count(failed=10)
    begun.policy.canaries = (changed,)
    begun.now_s += HOUR_S
    assert begun.run() == {"next": "hold"}
    state = begun.state()
    assert (state.phase, state.step, state.since_s) == (RUNNING, 0, begun.now_s)
    assert state.reason.endswith("begins anew")
    begun.count(changed)
    assert begun.run() == {"next": "hold"}  # enough data, and its time has only begun
    assert begun.states.read().version == 2
    begun.now_s += 600
    assert begun.run() == {"next": "advance"}


def test_a_weight_that_was_set_by_hand_is_watched_and_kept(begun: Scene) -> None:
    begun.set_state(weight=2500)
    assert begun.run() == {"next": "hold"}
    begun.now_s += 10 * HOUR_S
    begun.count()
    assert begun.run() == {"next": "hold"}
    assert begun.state().weight == 2500
    begun.count(failed=20)
    assert begun.run() == {"next": "roll_back"}
    assert begun.state().weight is None


@pytest.mark.parametrize("phase", ["paused", "stopped", "promoted"])
def test_what_does_not_run_is_not_judged(begun: Scene, phase: str) -> None:
    begun.count(failed=10)
    begun.set_state(phase=phase, run=run_of(RULES, begun.state()._replace(phase=phase), 2))
    before = begun.states.read()
    assert begun.run() == {"next": "hold"}
    assert begun.states.read() == before


def test_another_target_under_a_promoted_name_begins_at_the_first_step(begun: Scene) -> None:
    begun.set_state(phase=PROMOTED, run=run_of(RULES, begun.state()._replace(phase=PROMOTED), 2))
    begun.policy.canaries = (RULES._replace(parameters={"temperature": 2}),)
    begun.now_s += HOUR_S
    assert begun.run() == {"next": "hold"}
    state = begun.state()
    assert (state.phase, state.step, state.since_s) == (RUNNING, 0, begun.now_s)


def test_a_canary_without_a_guard_is_timed_and_never_judged(scene: Scene) -> None:
    scene.policy.canaries = (RULES._replace(guard=None),)
    scene.run()
    assert scene.state().since_s == scene.now_s
    scene.count(RULES._replace(guard=None), failed=20)
    scene.now_s += 10 * HOUR_S
    assert scene.run() == {"next": "hold"}
    assert scene.states.read().version == 1


def test_canaries_are_judged_apart(scene: Scene) -> None:
    scene.policy.canaries = (RULES, LATER)
    scene.run()
    scene.count(RULES, failed=10)
    scene.count(LATER)
    scene.now_s += HOUR_S
    assert scene.run() == {"next": "roll_back", "later": "advance"}
    assert (scene.state("next").phase, scene.state("later").step) == (ROLLED_BACK, 1)
    assert scene.states.read().version == 4


def test_a_stack_without_canaries_gets_a_key_of_its_own_once(scene: Scene) -> None:
    scene.policy.canaries = ()
    guard = scene.guard()
    assert [scene.run(guard), scene.run(guard), scene.run()] == [{}] * 3
    states = scene.states.read()
    assert (states.version, states.states) == (1, {})
    assert states.key not in {"", derived_key(STACK)}
    assert scene.history() == [("guard", "key", "")]
    scene.policy.canaries = (RULES,)
    scene.run()
    assert scene.states.read().key == states.key


def test_a_subject_is_no_longer_than_a_topic_takes(begun: Scene) -> None:
    begun.count(failed=10)
    long = "s" * 128
    announcements = Announcements(Logger("guard", long, write=lambda _: None), begun.topic, long)
    begun.run(begun.guard(announcements=announcements))
    ((subject, message, _),) = begun.topic.published
    assert len(subject) < 100
    assert subject.startswith("Canary next rolled back in sss")
    assert message["stack"] == long


def test_a_stopped_canary_that_is_begun_again_is_judged(begun: Scene) -> None:
    begun.set_state(phase=STOPPED)
    begun.run()
    begun.set_state(phase=RUNNING)
    begun.count(failed=10)
    assert begun.run() == {"next": "roll_back"}
