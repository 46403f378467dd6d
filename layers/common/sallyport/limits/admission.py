"""Charges a request to all the scopes that count it, or to none; settles it once its usage is known.

Scopes are charged narrowest first, one write each, and a refusal by a wider one gives the narrower their charge back.
What can be known without the store refuses first, and costs no write. Who counts while the store can't be asked is each
rule's own: this process's memory, or nobody, and then the request is refused.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sallyport.errors import LimitsUnavailableError
from sallyport.limits.cost import unit_cost
from sallyport.limits.refusals import RefusalMemory
from sallyport.limits.rules import Cost, Decision, Receipt, RuleState
from sallyport.limits.selection import Demand, by_scope
from sallyport.limits.sliding import Limiter, StoreError, UncertainError
from sallyport.policy.limit_rules import SETTLED_UNITS, LimitRule

MAX_ASKING_MS = 2000
"""After so long the scopes that are left aren't asked of the store: it is too slow to be one."""

type _Scopes = Sequence[tuple[str, Sequence[LimitRule]]]


class Unsettled(NamedTuple):
    """What is still to be added to a receipt's counters, by unit; nothing negative where some may have been already."""

    receipt: Receipt
    due: Cost


class Admission:
    """The limits of one route, with the counters in the store, and in memory while the store can't be asked."""

    def __init__(
        self,
        limiter: Limiter,
        make_fallback: Callable[[], Limiter],
        now_ms: Callable[[], int],
        on_fallback: Callable[[str], None],
        on_unsettled: Callable[[Receipt, Cost, str], None],
    ) -> None:
        """`now_ms` is the wall clock.

        `on_fallback` is told why, once for each request that the store didn't answer for, whether it was then counted
        in memory or refused. `on_unsettled` is told what is still to be added to the counters of a receipt, by unit,
        and why it wasn't: nothing negative where the store gave no answer, since it may have been taken off.
        """
        self._limiter = limiter
        self._make_fallback = make_fallback
        self._fallback: Limiter | None = None
        self._now_ms = now_ms
        self._refusals = RefusalMemory()
        self._on_fallback = on_fallback
        self._on_unsettled = on_unsettled

    def admit(self, rules: Iterable[LimitRule], demand: Demand, version: int) -> Decision:
        """Charge `demand.cost` to every rule that matches, or refuse and charge none. `version`: the policy's.

        `states` has the rules of every scope that was asked; on a refusal from memory only those that refuse. Raises
        `LimitsUnavailableError`, with nothing charged, where a rule denies that the store can't be asked for.
        """
        scopes, now_ms = by_scope(rules, demand), self._now_ms()
        known = _over_limit(scopes, demand.cost) or self._refusals.refusing(scopes, demand.cost, version, now_ms)
        if known:
            return Decision(admitted=False, states=known, refused_by=_longest(known))
        charged: list[Decision] = []
        try:
            refused = self._charge(scopes, demand, version, now_ms, charged)
        except BaseException:
            self.refund(_receipts(charged))
            raise
        if refused is None:
            return Decision(admitted=True, states=_states(charged), receipts=_receipts(charged))
        returned = self.refund(_receipts(charged))
        states = _states(charged, demand.cost if returned else {})
        return refused._replace(states=states + refused.states)

    def settle(self, receipts: Iterable[Receipt], reserved: Cost, actual: Cost) -> tuple[Unsettled, ...]:
        """Correct what was reserved to what was used, in the windows that were charged; give places back.

        Requests stay counted. Never raises; gives what couldn't be settled.
        """
        changes = {unit: actual.get(unit, 0) - reserved.get(unit, 0) for unit in SETTLED_UNITS}
        changes = {unit: change for unit, change in changes.items() if change}
        failed = (self._settle(receipt, changes) for receipt in receipts)
        return tuple(unsettled for unsettled in failed if unsettled is not None)

    def refund(self, receipts: Iterable[Receipt]) -> bool:
        """Give everything back, requests too: nothing was forwarded. Never raises; says whether all of it is back."""
        failed = [self._settle(receipt, None) for receipt in receipts]
        return not any(failed)

    def _charge(
        self, scopes: _Scopes, demand: Demand, version: int, now_ms: int, charged: list[Decision]
    ) -> Decision | None:
        """Charge scope by scope, and give the refusal if one refuses; what was charged until then is in `charged`."""
        limiter = self._limiter
        for place, (member, rules) in enumerate(scopes):
            try:
                if limiter is self._limiter:
                    self._check_pace(now_ms)
                decision = limiter.admit(member, rules, demand.cost, demand.lease_s)
            except StoreError as error:
                limiter = self._fall_back(scopes[place:], str(error))
                decision = limiter.admit(member, rules, demand.cost, demand.lease_s)
            if not decision.admitted:
                if limiter is self._limiter:
                    self._refusals.note(member, decision.states, demand.cost, version, now_ms)
                return decision
            charged.append(decision if limiter is self._limiter else _in_memory(decision))
        return None

    def _check_pace(self, began_ms: int) -> None:
        if self._now_ms() - began_ms > MAX_ASKING_MS:
            raise StoreError("the counters are too slow")

    def _fall_back(self, scopes: _Scopes, reason: str) -> Limiter:
        """Give who counts what is still to be charged, now that the store doesn't."""
        self._on_fallback(reason)
        if any(rule.on_store_failure == "deny" for _, rules in scopes for rule in rules):
            raise LimitsUnavailableError("A limit that must hold can't be checked at the moment.")
        return self._memory()

    def _memory(self) -> Limiter:
        if self._fallback is None:
            self._fallback = self._make_fallback()
        return self._fallback

    def _settle(self, receipt: Receipt, changes: Cost | None) -> Unsettled | None:
        """Settle one receipt, and give it back where that failed. None for `changes`: return all of the charge."""
        limiter = self._memory() if receipt.in_memory else self._limiter
        due = {x.unit: -x.amount if changes is None else changes.get(x.unit, 0) for x in receipt.charges}
        try:
            if changes is None:
                limiter.refund(receipt)
            else:
                limiter.settle(receipt, changes)
        except UncertainError as error:
            missing = {unit: change for unit, change in due.items() if change > 0 and error.lacks_additions}
            return self._note_unsettled(receipt, missing, str(error))
        except Exception as error:  # noqa: BLE001 - the answer is out already, or an error is on its way
            reason = str(error) if isinstance(error, StoreError) else type(error).__name__
            return self._note_unsettled(receipt, {unit: change for unit, change in due.items() if change}, reason)
        if receipt.leases or min(due.values(), default=0) < 0:
            self._refusals.forget(receipt.member)
        return None

    def _note_unsettled(self, receipt: Receipt, due: Cost, reason: str) -> Unsettled:
        self._on_unsettled(receipt, due, reason)
        return Unsettled(receipt, due)


def _over_limit(scopes: _Scopes, cost: Cost) -> tuple[RuleState, ...]:
    """Give the rules that this cost alone is over. How they stand isn't known, and doesn't matter."""
    return tuple(
        RuleState(rule, 0, 0, None)
        for _, rules in scopes
        for rule in rules
        if max(unit_cost(cost, rule.unit), 1) > rule.limit
    )


def _longest(states: Iterable[RuleState]) -> RuleState:
    """Give the rule that has a request wait longest."""
    return max(states, key=lambda state: state.retry_ms or 0)


def _receipts(decisions: Iterable[Decision]) -> tuple[Receipt, ...]:
    return tuple(receipt for decision in decisions for receipt in decision.receipts)


def _states(decisions: Iterable[Decision], given_back: Cost | None = None) -> tuple[RuleState, ...]:
    """Give the rules' states in order, as they are after `given_back` was given back to each."""
    states = tuple(state for decision in decisions for state in decision.states)
    if not given_back:
        return states
    return tuple(_after(state, unit_cost(given_back, state.rule.unit)) for state in states)


def _after(state: RuleState, given_back: int) -> RuleState:
    return state._replace(remaining=min(state.remaining + given_back, state.rule.limit))


def _in_memory(decision: Decision) -> Decision:
    return decision._replace(receipts=tuple(receipt._replace(in_memory=True) for receipt in decision.receipts))
