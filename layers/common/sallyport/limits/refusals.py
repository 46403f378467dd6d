"""Who was refused and until when, so that a flood of refused requests costs no write.

A refusal is remembered for a member and a rule together with the cost that was refused: what costs as much or more
can't fit either before that time. What may free room earlier bounds how long it is remembered:

- Tokens, money and places that are taken may be given back by any request that ends: one second.
- Requests are given back only where a request was charged and then refused, so they are remembered until they fit. But
  an operator may set a counter back: where the window is longer than two minutes, a minute at the most. For the shorter
  windows the wait is over by itself, within two windows.
- What this process itself gives back to a member is forgotten at once, everything when another policy is in force.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sallyport.limits.cost import unit_cost
from sallyport.limits.rules import Cost, RuleState
from sallyport.policy.limit_rules import LimitRule

MAX_MEMBERS = 10_000
SETTLED_CAP_MS = 1000
LONG_WINDOW_CAP_MS = 60_000
LONG_WINDOW_S = 120


class _Refusal(NamedTuple):
    rule: LimitRule
    cost: int
    remaining: int
    until_ms: int
    retry_at_ms: int
    reset_at_ms: int


class RefusalMemory:
    """The refusals of one process, of at most 10,000 members; the one refused longest ago gives way.

    Times are the wall clock's, of before the store was asked. `version` is the policy's.
    """

    def __init__(self) -> None:
        self._version = 0
        self._seen_ms = 0
        self._members: dict[str, dict[str, _Refusal]] = {}

    def refusing(
        self, scopes: Iterable[tuple[str, Sequence[LimitRule]]], cost: Cost, version: int, now_ms: int
    ) -> tuple[RuleState, ...]:
        """Give the states of the rules that still refuse this cost, none if the store has to be asked."""
        self._turn(version, now_ms)
        if not self._members:
            return ()
        return tuple(
            _state(refusal, now_ms)
            for member, rules in scopes
            if (known := self._members.get(member)) is not None
            for rule in rules
            if (refusal := _standing(known, rule, cost, now_ms)) is not None
        )

    def note(self, member: str, states: Iterable[RuleState], cost: Cost, version: int, now_ms: int) -> None:
        """Remember the rules of `member` that refused `cost`, which are those with a time to wait."""
        self._turn(version, now_ms)
        refusals = {state.rule.name: _refusal(state, cost, now_ms) for state in states if state.retry_ms}
        if not refusals:
            return
        self._members[member] = {**self._members.pop(member, {}), **refusals}
        if len(self._members) > MAX_MEMBERS:
            del self._members[next(iter(self._members))]

    def forget(self, member: str) -> None:
        """Forget the refusals of one member: something was given back to it."""
        self._members.pop(member, None)

    def _turn(self, version: int, now_ms: int) -> None:
        """Forget all under another policy, and where the clock went back: refusals would hold for as long as that."""
        if version != self._version or now_ms < self._seen_ms:
            self._members.clear()
        self._version, self._seen_ms = version, now_ms


def _standing(known: Mapping[str, _Refusal], rule: LimitRule, cost: Cost, now_ms: int) -> _Refusal | None:
    refusal = known.get(rule.name)
    if refusal is None or now_ms >= refusal.until_ms or unit_cost(cost, rule.unit) < refusal.cost:
        return None
    return refusal if refusal.rule == rule else None


def _refusal(state: RuleState, cost: Cost, now_ms: int) -> _Refusal:
    rule, retry_ms = state.rule, state.retry_ms or 0
    return _Refusal(
        rule=rule,
        cost=unit_cost(cost, rule.unit),
        remaining=state.remaining,
        until_ms=now_ms + min(retry_ms, _cap_ms(rule, retry_ms)),
        retry_at_ms=now_ms + retry_ms,
        reset_at_ms=now_ms + state.reset_ms,
    )


def _cap_ms(rule: LimitRule, retry_ms: int) -> int:
    if rule.unit != "requests":
        return SETTLED_CAP_MS
    long = rule.window.calendar or rule.window.length_s > LONG_WINDOW_S
    return LONG_WINDOW_CAP_MS if long else retry_ms


def _state(refusal: _Refusal, now_ms: int) -> RuleState:
    reset_ms = max(refusal.reset_at_ms - now_ms, 0)
    return RuleState(refusal.rule, refusal.remaining, reset_ms, max(refusal.retry_at_ms - now_ms, 1))
