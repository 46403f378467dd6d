"""What each command makes of a canary's state."""

import pytest

from sallyport.policy.canary_rules import (
    PAUSED,
    PHASES,
    PROMOTED,
    ROLLED_BACK,
    RUNNING,
    STOPPED,
    CanaryRules,
    CanaryState,
    CanaryStep,
)
from sallyport.routing.canary import effective_weight
from sallyport_cli.canary.changes import ChangeRefusedError, Order, changed

STEPS = (CanaryStep(100, 600), CanaryStep(1000, 3600), CanaryStep(10_000))
RULES = CanaryRules("next", ("gpt-4o",), (), (), None, {"temperature": 0}, STEPS)
BY_CLOCK = RULES._replace(guard=None)
NOW_S = 1_700_000_000


def state(phase: str = RUNNING, step: int = 1, weight: int | None = None, since_s: int = NOW_S - 60) -> CanaryState:
    return CanaryState(phase, step, since_s, "3-0f3a55c1", weight, "went well", "guard")


def order(action: str, weight: int | None = None, step: int | None = None) -> Order:
    return Order(action, "arn:aws:iam::1:user/ada", "", weight, step)


@pytest.mark.parametrize(
    ("wanted", "before", "after", "weight"),
    [
        (order("start"), state(STOPPED), (RUNNING, 0, None), 100),
        (order("start", weight=250), state(STOPPED), (RUNNING, 0, 250), 250),
        (order("start", step=1), state(ROLLED_BACK), (RUNNING, 1, None), 1000),
        (order("set", weight=2500), state(), (RUNNING, 1, 2500), 2500),
        (order("set", weight=2500), state(PAUSED), (PAUSED, 1, 2500), 2500),
        (order("set", step=0), state(weight=2500), (RUNNING, 0, None), 100),
        (order("set", step=1), state(PROMOTED, 2), (RUNNING, 1, None), 1000),
        (order("pause"), state(weight=2500), (PAUSED, 1, 2500), 2500),
        (order("resume"), state(PAUSED, weight=2500), (RUNNING, 1, 2500), 2500),
        (order("resume", step=0), state(PAUSED, weight=2500), (RUNNING, 0, None), 100),
        (order("resume"), state(ROLLED_BACK, weight=2500), (RUNNING, 0, None), 100),
        (order("resume", step=1), state(ROLLED_BACK), (RUNNING, 1, None), 1000),
        (order("promote"), state(weight=2500), (PROMOTED, 2, None), 10_000),
        (order("abort"), state(weight=2500), (STOPPED, 0, None), 0),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_an_order_changes_phase_step_and_weight(
    wanted: Order, before: CanaryState, after: tuple[str, int, int | None], weight: int
) -> None:
    found = changed(wanted, RULES, before, NOW_S)
    assert (found.phase, found.step, found.weight) == after
    assert (found.since_s, found.by) == (NOW_S, "arn:aws:iam::1:user/ada")
    assert effective_weight(RULES, found, NOW_S) == weight


def test_a_ramp_by_the_clock_is_paused_where_the_clock_has_come_to() -> None:
    begun = state(step=0, since_s=NOW_S - 700)
    paused = changed(order("pause"), BY_CLOCK, begun, NOW_S)
    assert (paused.phase, paused.step) == (PAUSED, 1)
    assert effective_weight(BY_CLOCK, paused, NOW_S + 86_400) == 1000


def test_the_reason_is_the_note_or_says_that_it_was_done_by_hand() -> None:
    assert changed(order("abort"), RULES, state(), NOW_S).reason == "aborted by hand"
    assert changed(Order("abort", "ada", "wrong answers"), RULES, state(), NOW_S).reason == "wrong answers"


@pytest.mark.parametrize(
    ("action", "phases"),
    [
        ("start", {STOPPED, ROLLED_BACK, PROMOTED}),
        ("set", {RUNNING, PAUSED, PROMOTED}),
        ("pause", {RUNNING}),
        ("resume", {PAUSED, ROLLED_BACK}),
        ("promote", {RUNNING, PAUSED}),
        ("abort", {RUNNING, PAUSED, ROLLED_BACK, PROMOTED}),
    ],
)
def test_an_order_is_refused_in_other_phases_with_a_hint(action: str, phases: set[str]) -> None:
    for phase in PHASES:
        if phase in phases:
            changed(order(action, step=0), RULES, state(phase), NOW_S)
        else:
            with pytest.raises(ChangeRefusedError, match=f"next is {phase.replace('_', ' ')}: `"):
                changed(order(action, step=0), RULES, state(phase), NOW_S)


def test_a_step_that_there_isn_t_is_refused() -> None:
    with pytest.raises(ChangeRefusedError, match="next has 3 steps"):
        changed(order("set", step=3), RULES, state(), NOW_S)
