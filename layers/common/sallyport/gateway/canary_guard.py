"""The canary guard: once a minute it compares the arms of every canary, and holds, goes on, or takes the canary out.

It keeps nothing between its runs that isn't stored, so a run may come late, twice, or at the same time as another: a
verdict counts when its write succeeds, which only one of them does, and what it can't read or write leaves all weights
as they are. A verdict is told after it is written, once at most: what a run that ended in between has not told stands
in the history.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

from sallyport.gateway.canary_announcements import Announcements
from sallyport.observability.log import Failure
from sallyport.policy.canary_counts import CanaryCounts, CountsError, Outcomes, add_up
from sallyport.policy.canary_rules import (
    CANARY,
    PROMOTED,
    ROLLED_BACK,
    RUNNING,
    STABLE,
    CanaryRules,
    CanaryState,
    CanaryStates,
)
from sallyport.policy.canary_states import (
    GUARD,
    CanaryStateStore,
    Change,
    StateConflictError,
    StateStoreError,
    with_new_key,
    with_state,
    without_old,
)
from sallyport.policy.current import PolicyStoreError, PolicyUnavailableError
from sallyport.policy.limit_rules import RouterRules
from sallyport.routing.canary import effective_weight, initial_state, run_in_force, run_of, stored_state
from sallyport.routing.verdict import ADVANCE, HOLD, PROMOTE, ROLL_BACK, ArmCounts, BucketCounts, Verdict, judge

TRIES = 3
"""Of a write, while others change the states of other canaries."""

FAILED = "failed"
"""What is said of a canary beside the actions of a verdict."""

_BEGUN = "the guard has seen it for the first time"
_BEGUN_ANEW = "its target, parameters or weight is another in the policy, so the step begins anew"
_KNOWN_FAILURES = (PolicyStoreError, PolicyUnavailableError, StateStoreError, CountsError)


class Policy(Protocol):
    """The policy in force; `policy.current.CurrentPolicy` is one."""

    def get(self) -> RouterRules:
        """Give what routes go by. Raises `PolicyUnavailableError`, and `PolicyStoreError` where it may be old."""


class Rooms(NamedTuple):
    """What a guard asks. `now_s` is the wall clock, `begin` is told how many seconds an invocation has left."""

    policy: Policy
    states: CanaryStateStore
    counts: CanaryCounts
    announcements: Announcements
    stack: str
    now_s: Callable[[], float]
    begin: Callable[[float], None] = lambda _: None


class CanaryGuard:
    """Judges every canary of the policy in force, at each scheduled event."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._has_key = False
        self._in_force: frozenset[str] = frozenset()

    def __call__(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Serve one event, and give what became of each canary. Never raises: a failure is told, and seen to later."""
        del event
        self._guarded("", lambda: self._rooms.begin(context.get_remaining_time_in_millis() / 1000))
        canaries = self._guarded("", self._canaries) or ()
        actions = {rules.name: self._guarded(rules.name, partial(self._judge, rules)) or FAILED for rules in canaries}
        self._rooms.announcements.ran()
        return {"canaries": actions}

    def _guarded[T](self, canary: str, step: Callable[[], T]) -> T | None:
        """Give what a step gives, None if it failed: a canary's failure doesn't keep the others from being seen to."""
        try:
            return step()
        except _KNOWN_FAILURES as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, weights stay, and an alarm tells
            failure = Failure.of(error)
            reason = f"{failure.type} at {failure.location}"
        self._rooms.announcements.failed(reason, canary)
        return None

    def _canaries(self) -> tuple[CanaryRules, ...]:
        canaries = self._rooms.policy.get().canaries
        self._in_force = frozenset(rules.name for rules in canaries)
        if not canaries:
            self._make_key()
        return canaries

    def _make_key(self) -> None:
        """Give a stack that has no canary yet a key of its own, for when it has."""
        if self._has_key:
            return
        rooms = self._rooms
        states = rooms.states.read()
        if not states.key:
            try:
                rooms.states.write(states, with_new_key(states), Change(int(rooms.now_s()), GUARD, "key", ""))
            except StateConflictError:
                return
        self._has_key = True

    def _judge(self, rules: CanaryRules) -> str:
        """Judge one canary, and give what was done about it. Whoever else changed its state meanwhile was first."""
        states = self._rooms.states.read()
        for _ in range(TRIES):
            try:
                return self._act(rules, states)
            except StateConflictError:
                seen, states = states, self._rooms.states.read()
                if states.states.get(rules.name) != seen.states.get(rules.name):
                    return HOLD
        raise StateStoreError("the canaries' states are changed all the time")

    def _act(self, rules: CanaryRules, states: CanaryStates) -> str:
        """Reach a verdict by these states, and carry it out. Raises `StateConflictError` if they are old."""
        rooms, now_s = self._rooms, int(self._rooms.now_s())
        state = stored_state(rules, states)
        if state is None:
            return self._begin(rules, states, now_s)
        rooms.announcements.weighed(rules.name, effective_weight(rules, state, now_s))
        if state.phase != RUNNING:
            return HOLD
        if rules.guard is not None and state.run != run_in_force(rules, state, now_s):
            return self._begin_anew(rules, state, states, now_s)
        state = state._replace(run=run_in_force(rules, state, now_s))
        counted = rooms.counts.read(rules.name, state.run)
        stable, canary = arm_counts(counted.get(STABLE, {})), arm_counts(counted.get(CANARY, {}))
        verdict = judge(rules, state, stable, canary, now_s)
        rooms.announcements.compared(rules.name, stable, canary, verdict)
        if verdict.action == HOLD:
            return HOLD
        after = _next_state(rules, state, verdict, now_s, states.version + 1)
        change = Change(now_s, GUARD, GUARD, rules.name, verdict.reason)
        rooms.states.write(states, self._with(states, rules.name, after), change)
        self._guarded(rules.name, lambda: rooms.announcements.decided(rules, state, after, verdict))
        return verdict.action

    def _with(self, states: CanaryStates, name: str, state: CanaryState) -> CanaryStates:
        return with_state(without_old(states, self._in_force), name, state, self._rooms.stack)

    def _begin(self, rules: CanaryRules, states: CanaryStates, now_s: int) -> str:
        """Note since when a canary runs that was begun by being applied: its steps are timed from here.

        It is counted anew, too, so what its first minute's callers met isn't looked at.
        """
        if rules.starts:
            begun = initial_state(rules, now_s)
            begun = begun._replace(run=run_of(rules, begun, states.version + 1), reason=_BEGUN, by=GUARD)
            change = Change(now_s, GUARD, "start", rules.name, _BEGUN)
            self._rooms.states.write(states, self._with(states, rules.name, begun), change)
        return HOLD

    def _begin_anew(self, rules: CanaryRules, state: CanaryState, states: CanaryStates, now_s: int) -> str:
        """Note that the policy has made another canary of it: nothing old speaks for it, neither counts nor time."""
        begun = state._replace(since_s=now_s, reason=_BEGUN_ANEW, by=GUARD)
        begun = begun._replace(run=run_of(rules, begun, states.version + 1))
        change = Change(now_s, GUARD, GUARD, rules.name, _BEGUN_ANEW)
        self._rooms.states.write(states, self._with(states, rules.name, begun), change)
        return HOLD


def arm_counts(buckets: Mapping[int, Outcomes]) -> ArmCounts:
    """Give one arm's counts, by bucket, in the form that its verdict is reached from."""
    total = add_up(buckets.values())
    return ArmCounts(
        buckets=tuple(
            BucketCounts(one.requests, one.failed, one.slow, one.slow_first_byte, one.refused)
            for one in buckets.values()
        ),
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        duration_ms=total.duration_ms,
        first_byte_ms=total.first_byte_ms,
        histogram=total.histogram,
    )


def _next_state(rules: CanaryRules, state: CanaryState, verdict: Verdict, now_s: int, version: int) -> CanaryState:
    """Give the state that a verdict leads to; a rollback stays at its step, so that a person sees where it was."""
    phase = {ROLL_BACK: ROLLED_BACK, PROMOTE: PROMOTED, ADVANCE: RUNNING}[verdict.action]
    step = state.step if verdict.action == ROLL_BACK else min(state.step + 1, len(rules.steps) - 1)
    after = CanaryState(phase, step, now_s, "", None, verdict.reason, GUARD)
    return after._replace(run=run_of(rules, after, version))
