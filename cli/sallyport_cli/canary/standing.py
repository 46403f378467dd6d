"""How a canary stands: its state, what was counted of both arms, and the verdict that its guard would give now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sallyport.gateway.canary_guard import arm_counts
from sallyport.policy.canary_counts import Counted, Outcomes, add_up
from sallyport.policy.canary_rules import (
    CANARY,
    PROMOTED,
    ROLLED_BACK,
    STABLE,
    STOPPED,
    CanaryRules,
    CanaryState,
    CanaryStates,
)
from sallyport.routing.canary import current_step, effective_weight, initial_state, run_in_force, state_of
from sallyport.routing.verdict import ArmCounts, Verdict, judge
from sallyport_cli.canary.state_table import Entry

_ENDS: Final = frozenset({PROMOTED, ROLLED_BACK, STOPPED})


@dataclass(frozen=True)
class Position:
    """Where a canary is: its state, stored or initial, the step from 0, and its weight in hundredths of a percent.

    `run` is under what its outcomes are counted now.
    """

    rules: CanaryRules
    state: CanaryState
    step: int
    weight: int
    run: str

    @classmethod
    def of(cls, rules: CanaryRules, states: CanaryStates, now_s: int) -> Position:
        """Tell by the routers' own code."""
        state = state_of(rules, states)
        return cls(
            rules,
            state,
            current_step(rules, state, now_s),
            effective_weight(rules, state, now_s),
            run_in_force(rules, state, now_s),
        )


@dataclass(frozen=True)
class Standing:
    """A position, what both arms did in a run, in sum and as the guard looks at it, and what follows."""

    position: Position
    run: str
    totals: Mapping[str, Outcomes]
    arms: Mapping[str, ArmCounts]
    verdict: Verdict
    now_s: int


def version_of(position: Position) -> int:
    """Give the version of all states that made a canary's state, 0 where none did."""
    number = position.state.run.partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() else 0


def run_before(position: Position, entry: Entry | None) -> str:
    """Give the run that shows how a canary did: the present one, or where its end was the change, the one before."""
    if position.state.phase not in _ENDS or entry is None or entry.change.canary != position.rules.name:
        return position.run
    before = entry.before or initial_state(position.rules, 0)
    return run_in_force(position.rules, before, entry.change.at_s)


def standing_of(position: Position, run: str, counted: Counted, now_s: int) -> Standing:
    """Judge what was counted in a run; `now_s` is the wall clock.

    A canary that the guard has never seen begins now, as it will for the guard.
    """
    arms = {arm: arm_counts(counted.get(arm, {})) for arm in (STABLE, CANARY)}
    totals = {arm: add_up(counted.get(arm, {}).values()) for arm in (STABLE, CANARY)}
    state = position.state if position.state.since_s else position.state._replace(since_s=now_s)
    verdict = judge(position.rules, state, arms[STABLE], arms[CANARY], now_s)
    return Standing(position, run, totals, arms, verdict, now_s)
