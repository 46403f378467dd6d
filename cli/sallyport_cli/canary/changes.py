"""What each command makes of a canary's state, and what it refuses. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sallyport.policy.canary_rules import (
    PAUSED,
    PROMOTED,
    ROLLED_BACK,
    RUNNING,
    STOPPED,
    CanaryRules,
    CanaryState,
)
from sallyport.routing.canary import current_step


class ChangeRefusedError(Exception):
    """The canary isn't where this command begins; the message says which one is meant."""


@dataclass(frozen=True)
class Order:
    """What an operator wants: an action, and with some of them a weight (hundredths of a percent) or a step from 0."""

    action: str
    by: str
    note: str = ""
    weight: int | None = None
    step: int | None = None


def changed(order: Order, rules: CanaryRules, state: CanaryState, now_s: int) -> CanaryState:
    """Give the state that an order makes of a state, still with its run. Raises `ChangeRefusedError`."""
    _check_phase(order, rules, state)
    if order.step is not None and order.step >= len(rules.steps):
        raise ChangeRefusedError(f"{rules.name} has {len(rules.steps)} steps")
    made = _ACTIONS[order.action](order, rules, state, now_s)
    return made._replace(since_s=now_s, by=order.by, reason=order.note or f"{_DONE[order.action]} by hand")


def _start(order: Order, _rules: CanaryRules, state: CanaryState, _now_s: int) -> CanaryState:
    return state._replace(phase=RUNNING, step=order.step or 0, weight=order.weight)


def _set(order: Order, rules: CanaryRules, state: CanaryState, now_s: int) -> CanaryState:
    """A weight stands until somebody sets a step; a paused canary stays paused."""
    phase = RUNNING if state.phase == PROMOTED else state.phase
    step = current_step(rules, state, now_s) if order.step is None else order.step
    return state._replace(phase=phase, step=step, weight=order.weight)


def _pause(_order: Order, rules: CanaryRules, state: CanaryState, now_s: int) -> CanaryState:
    return state._replace(phase=PAUSED, step=current_step(rules, state, now_s))


def _resume(order: Order, _rules: CanaryRules, state: CanaryState, _now_s: int) -> CanaryState:
    """After a pause it goes on where it was, after a rollback from the first step unless another one is named."""
    if state.phase == PAUSED and order.step is None:
        return state._replace(phase=RUNNING)
    return state._replace(phase=RUNNING, step=order.step or 0, weight=None)


def _promote(_order: Order, rules: CanaryRules, state: CanaryState, _now_s: int) -> CanaryState:
    return state._replace(phase=PROMOTED, step=len(rules.steps) - 1, weight=None)


def _abort(_order: Order, _rules: CanaryRules, state: CanaryState, _now_s: int) -> CanaryState:
    return state._replace(phase=STOPPED, step=0, weight=None)


type _Action = Callable[[Order, CanaryRules, CanaryState, int], CanaryState]

_ACTIONS: Final[Mapping[str, _Action]] = {
    "start": _start,
    "set": _set,
    "pause": _pause,
    "resume": _resume,
    "promote": _promote,
    "abort": _abort,
}
_DONE: Final[Mapping[str, str]] = {
    "start": "started",
    "set": "set",
    "pause": "paused",
    "resume": "resumed",
    "promote": "promoted",
    "abort": "aborted",
}
_FROM: Final[Mapping[str, tuple[str, ...]]] = {
    "start": (STOPPED, ROLLED_BACK, PROMOTED),
    "set": (RUNNING, PAUSED, PROMOTED),
    "pause": (RUNNING,),
    "resume": (PAUSED, ROLLED_BACK),
    "promote": (RUNNING, PAUSED),
    "abort": (RUNNING, PAUSED, ROLLED_BACK, PROMOTED),
}
"""The phases that each action begins in. Nobody promotes in one step what evidence took out."""

_HINTS: Final[Mapping[str, str]] = {
    RUNNING: "`set`, `pause`, `promote` and `abort` change it",
    PAUSED: "`resume` lets it go on",
    ROLLED_BACK: "`resume` or `start` begins it again, `abort` ends it",
    PROMOTED: "`set` or `start` takes traffic back, `abort` all of it",
    STOPPED: "`start` begins it",
}


def _check_phase(order: Order, rules: CanaryRules, state: CanaryState) -> None:
    if state.phase not in _FROM[order.action]:
        raise ChangeRefusedError(f"{rules.name} is {state.phase.replace('_', ' ')}: {_HINTS[state.phase]}")
