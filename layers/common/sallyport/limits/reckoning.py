"""What a charge or a settlement asks of the store, and how the rules stand: computed from what is known of an item."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sallyport.limits.leases import GRACE_MS, lease_charge, lease_state
from sallyport.limits.rules import Charged, Cost, Decision, RuleState
from sallyport.limits.store import Adjustment, Charge, LeaseCharge, Stored
from sallyport.limits.window import Counters, Moment, longest_s, reset_ms, roll, roll_room, room, used, wait_ms
from sallyport.policy.limit_rules import LimitRule

KEPT_STEP_S = 3600
"""Items are kept until a whole hour, so that few writes have to say so and those at once say the same."""


class Ask(NamedTuple):
    """One rule, its counter's name, and what a request costs by it."""

    rule: LimitRule
    counter: str
    cost: int

    @property
    def is_lease(self) -> bool:
        """Say whether it is a place that is asked for, and not a count."""
        return self.rule.unit == "concurrent"

    @property
    def never_fits(self) -> bool:
        """Say whether the cost alone is more than the limit, or nothing is allowed at all."""
        return self.rule.limit < max(self.cost, 1)


def asks(rules: Sequence[LimitRule], cost: Cost) -> tuple[Ask, ...]:
    """Give what each rule is asked."""
    return tuple(Ask(rule, rule.counter, 1 if rule.unit == "concurrent" else cost.get(rule.unit, 0)) for rule in rules)


def charges(asked: Sequence[Ask], stored: Stored, now_ms: int) -> list[Charge]:
    """Give the charges of the counting rules that cost something, on the condition that `stored` is how they stand."""
    return [_charge(ask, stored.counters.get(ask.counter), now_ms) for ask in asked if ask.cost and not ask.is_lease]


def lease_charges(
    asked: Sequence[Ask], stored: Stored, now_ms: int, lease_s: float, new_id: Callable[[], str]
) -> list[LeaseCharge]:
    """Give the places to be taken."""
    return [
        lease_charge(ask.rule, stored.leases.get(ask.counter), now_ms, lease_s, new_id())
        for ask in asked
        if ask.is_lease
    ]


def adjustments(todo: Sequence[tuple[Charged, int]], stored: Stored, *, is_fresh: bool) -> list[Adjustment]:
    """Give the changes to counts that are still in view; unless `is_fresh`, `stored` may be older than the charges."""
    made = []
    for charged, change in todo:
        known = stored.counters.get(charged.counter)
        if not is_fresh and (known is None or known.window < charged.window):
            made.append(Adjustment(charged.counter, "current", charged.window, change))
        elif known is not None and known.window == charged.window:
            made.append(Adjustment(charged.counter, "current", known.window, change, -change > known.current))
        elif known is not None and known.window == charged.window + 1:
            made.append(Adjustment(charged.counter, "previous", known.window, change, -change > known.previous))
    return made


def states(asked: Sequence[Ask], stored: Stored, now_ms: int) -> tuple[RuleState, ...]:
    """Give how the rules stand."""
    return tuple(_state(ask, stored, now_ms) for ask in asked)


def refusal(found: tuple[RuleState, ...]) -> Decision:
    """Refuse, by the rule that takes the longest until the cost fits."""
    waits = [float("inf") if state.retry_ms is None else state.retry_ms for state in found]
    return Decision(admitted=False, states=found, refused_by=found[waits.index(max(waits))])


def expires_at_s(asked: Sequence[Ask], stored: Stored, now_ms: int, lease_s: float) -> int:
    """Give until when the item has to be kept, 0 if it will be anyway.

    Counters matter for the window after theirs; a spare one leaves room for clocks that differ.
    """
    kept_s = max(lease_s + GRACE_MS / 1000 if ask.is_lease else 3 * longest_s(ask.rule.window) for ask in asked)
    needed_s = now_ms / 1000 + kept_s
    return 0 if stored.expires_at_s >= needed_s else -int(-needed_s // KEPT_STEP_S) * KEPT_STEP_S


def _moment(ask: Ask, counters: Counters | None, now_ms: int) -> Moment:
    return Moment.at(now_ms, ask.rule.window, counters.window if counters else 0)


def _charge(ask: Ask, counters: Counters | None, now_ms: int) -> Charge:
    moment = _moment(ask, counters, now_ms)
    if counters is None or counters.window < moment.window - 1:
        return Charge("start", ask.counter, moment.window, ask.cost)
    limit = ask.rule.limit
    if counters.window == moment.window - 1:
        ceiling = roll_room(limit, ask.cost, moment) if moment.slides else None
        return Charge("roll", ask.counter, moment.window, ask.cost, ceiling)
    ceiling = room(limit, ask.cost, counters.previous, moment)
    previous = counters.previous if moment.slides else None
    return Charge("continue", ask.counter, moment.window, ask.cost, ceiling, previous)


def _state(ask: Ask, stored: Stored, now_ms: int) -> RuleState:
    if ask.is_lease:
        return lease_state(ask.rule, stored.leases.get(ask.counter, {}), now_ms)
    counters = stored.counters.get(ask.counter)
    moment = _moment(ask, counters, now_ms)
    rolled = roll(counters, moment)
    remaining = max(ask.rule.limit - used(rolled, moment), 0)
    if ask.never_fits:
        return RuleState(ask.rule, remaining, reset_ms(rolled, moment), None)
    retry_ms = wait_ms(rolled, moment, ask.rule.limit, ask.cost) if ask.cost else 0
    return RuleState(ask.rule, remaining, reset_ms(rolled, moment), retry_ms)
