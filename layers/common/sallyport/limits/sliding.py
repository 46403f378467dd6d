"""Admission: guess how the counters stand, charge on that condition, and let a failed condition say how they do stand.

There is no read before the write. The condition can't compute, so the client does: for a rule's current window it asks
that the previous count is no more than what it remembers, and the current one leaves room for the cost beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from sallyport.limits.rules import Decision, LimitRule, RuleState
from sallyport.limits.window import Counters, Moment, reset_ms, roll, roll_room, room, used, wait_ms

TRIES = 3
_MAX_REMEMBERED = 1024


class StoreError(Exception):
    """The store of the counters can't be asked, or didn't settle in three tries."""


class Charge(NamedTuple):
    """One rule's part of a conditional write, in one of three forms.

    `continue`: window is `window`, previous at most `previous`, count at most `ceiling`; adds `cost`.
    `roll`: window is `window - 1`, count at most `ceiling`; the count becomes the previous one, `cost` the new one.
    `start`: no counters yet, or of a window before `window - 1`; `cost` is the new count, the previous one 0.
    """

    form: str
    name: str
    window: int
    cost: int
    ceiling: int = 0
    previous: int = 0


class ChargeOutcome(NamedTuple):
    """`charged`: every rule was. `counters`: as the item holds them after the write, or instead of it, by rule name."""

    charged: bool
    counters: Mapping[str, Counters]


class CounterStore(Protocol):
    """Holds one item per scope's member, with the counters of all the rules of that scope."""

    def charge(self, key: str, charges: Sequence[Charge], expires_at_s: int) -> ChargeOutcome:
        """Charge all rules of one item if every condition holds, or none of them. Raises `StoreError`."""


class Limiter(Protocol):
    """Decides on one request of one scope's member."""

    def admit(self, member: str, rules: Sequence[LimitRule]) -> Decision:
        """Charge one request to every rule, or refuse and charge none. Raises `StoreError`."""


class SlidingLimiter:
    """The limiter over any store."""

    def __init__(self, store: CounterStore, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._remembered: dict[str, Mapping[str, Counters]] = {}

    def admit(self, member: str, rules: Sequence[LimitRule]) -> Decision:
        """Charge one request to every rule of `member`, or refuse and charge none. Raises `StoreError`."""
        counters = self._remembered.get(member, {})
        if any(rule.limit < 1 for rule in rules):
            return _refused(_states(rules, {}, self._moments(rules, {})))
        for _ in range(TRIES):
            moments = self._moments(rules, counters)
            charges = [_charge(rule, counters.get(rule.name), moments[rule.name]) for rule in rules]
            outcome = self._store.charge(member, charges, _expiry_s(rules, self._now_ms()))
            counters = outcome.counters
            self._remember(member, counters)
            if outcome.charged:
                return Decision(admitted=True, states=_states(rules, counters, moments))
            # A memory may be old, so only what the store has just said refuses; and it must be heard on the last try
            # too, or a full window would pass for a store that can't be asked.
            if refusal := _refusal(rules, counters, self._moments(rules, counters)):
                return refusal
        raise StoreError("the counters kept changing")

    def _moments(self, rules: Sequence[LimitRule], counters: Mapping[str, Counters]) -> Mapping[str, Moment]:
        now_ms = self._now_ms()
        return {rule.name: _moment(rule, counters, now_ms) for rule in rules}

    def _remember(self, member: str, counters: Mapping[str, Counters]) -> None:
        if len(self._remembered) >= _MAX_REMEMBERED and member not in self._remembered:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[member] = counters


def _moment(rule: LimitRule, counters: Mapping[str, Counters], now_ms: int) -> Moment:
    moment = Moment.at(now_ms, rule.window_s * 1000)
    stored = counters.get(rule.name)
    return moment if stored is None else moment.not_before(stored.window)


def _charge(rule: LimitRule, stored: Counters | None, moment: Moment) -> Charge:
    if stored is None or stored.window < moment.window - 1:
        return Charge("start", rule.name, moment.window, 1)
    if stored.window == moment.window - 1:
        return Charge("roll", rule.name, moment.window, 1, ceiling=roll_room(rule.limit, 1, moment))
    ceiling = room(rule.limit, 1, stored.previous, moment)
    return Charge("continue", rule.name, moment.window, 1, ceiling=ceiling, previous=stored.previous)


def _refusal(
    rules: Sequence[LimitRule], counters: Mapping[str, Counters], moments: Mapping[str, Moment]
) -> Decision | None:
    states = _states(rules, counters, moments)
    return _refused(states) if any(state.remaining < 1 for state in states) else None


def _refused(states: tuple[RuleState, ...]) -> Decision:
    refusing = [state for state in states if state.remaining < 1]
    return Decision(admitted=False, states=states, refused_by=max(refusing, key=lambda state: state.retry_ms))


def _states(
    rules: Sequence[LimitRule], counters: Mapping[str, Counters], moments: Mapping[str, Moment]
) -> tuple[RuleState, ...]:
    return tuple(_state(rule, roll(counters.get(rule.name), moments[rule.name]), moments[rule.name]) for rule in rules)


def _state(rule: LimitRule, counters: Counters, moment: Moment) -> RuleState:
    remaining = max(rule.limit - used(counters, moment), 0)
    retry = 0 if remaining else wait_ms(counters, moment, rule.limit, 1)
    return RuleState(rule, remaining, reset_ms(counters, moment), retry)


def _expiry_s(rules: Sequence[LimitRule], now_ms: int) -> int:
    """Counters matter for the window after theirs; a spare one leaves room for clocks that differ."""
    return now_ms // 1000 + 3 * max(rule.window_s for rule in rules)
