"""Admission: guess how the counters stand, charge on that condition, and let a failed condition say how they do stand.

There is no read before the write. The condition can't compute, so the client does: for a rule's current window it asks
that the previous count is no more than what it remembers, and the current one leaves room for the cost beside it.
"""

import os
from collections.abc import Callable, Sequence
from typing import Protocol

from sallyport.limits import reckoning
from sallyport.limits.leases import ID_BYTES, lease_id
from sallyport.limits.reckoning import Ask
from sallyport.limits.rules import Charged, Cost, Decision, Lease, Receipt, RuleState
from sallyport.limits.store import (
    NOTHING,
    Charge,
    CounterStore,
    LeaseCharge,
    Stored,
    StoreError,
    UncertainError,
)
from sallyport.policy.limit_rules import LimitRule

__all__ = ["Limiter", "SlidingLimiter", "StoreError", "UncertainError"]

TRIES = 3
LEASE_S = 900.0
"""Lambda's longest run."""
_MAX_REMEMBERED = 1024

type _Change = tuple[Charged, int]


class Limiter(Protocol):
    """Decides on the requests of one scope's members."""

    def admit(self, member: str, rules: Sequence[LimitRule], cost: Cost, lease_s: float = LEASE_S) -> Decision:
        """Charge `cost` to every rule, or refuse and charge none. An admission has one receipt.

        A concurrency limit is charged one lease, which expires by itself after `lease_s`. A state's `retry_ms` is
        about this cost: when it fits (again). There are no states where the cost is nothing to any rule: that asks
        nobody. Raises `StoreError`; then something may have been charged.
        """

    def settle(self, receipt: Receipt, changes: Cost) -> None:
        """Add `changes`, by unit and positive or negative, in the windows that were charged; give the leases back.

        What is no longer in view is left alone, and no count falls below 0. Raises `StoreError` if not all of it was
        done, `UncertainError` if that can't be known: then nothing may be taken away again.
        """

    def refund(self, receipt: Receipt) -> None:
        """Undo an admission, as if it had not been. Raises as `settle` does."""


class SlidingLimiter:
    """The limiter over any store."""

    def __init__(
        self, store: CounterStore, now_ms: Callable[[], int], random: Callable[[int], bytes] = os.urandom
    ) -> None:
        """`now_ms` is the wall clock; `random` gives as many bytes as it is asked for, for the ids of leases."""
        self._store = store
        self._now_ms = now_ms
        self._random = random
        self._remembered: dict[str, Stored] = {}

    def admit(self, member: str, rules: Sequence[LimitRule], cost: Cost, lease_s: float = LEASE_S) -> Decision:
        """Charge `cost` to every rule of `member`, or refuse and charge none. See `Limiter`."""
        asks = reckoning.asks(rules, cost)
        stored = self._remembered.get(member, NOTHING)
        if any(ask.never_fits for ask in asks):
            return reckoning.refusal(reckoning.states(asks, stored, self._now_ms()))
        for _ in range(TRIES):
            now_ms = self._now_ms()
            charges = reckoning.charges(asks, stored, now_ms)
            leases = reckoning.lease_charges(asks, stored, now_ms, lease_s, lambda: lease_id(self._random(ID_BYTES)))
            if not charges and not leases:
                return Decision(admitted=True, states=(), receipts=(Receipt(member, ()),))
            expires_at_s = reckoning.expires_at_s(asks, stored, now_ms, lease_s)
            applied, stored = self._store.charge(member, charges, leases, expires_at_s)
            self._remember(member, stored)
            if applied or _is_taken(leases, stored):
                return _admission(member, asks, stored, now_ms, charges, leases)
            # A memory may be old, so only what the store has just said refuses; and it must be heard on the last try
            # too, or a full window would pass for a store that can't be asked.
            states = reckoning.states(asks, stored, now_ms)
            if any(state.retry_ms != 0 for state in states):
                return reckoning.refusal(states)
        raise StoreError("the counters kept changing")

    def settle(self, receipt: Receipt, changes: Cost) -> None:
        """Add `changes` in the windows that were charged, and give the leases back. See `Limiter`."""
        todo = [(charged, change) for charged in receipt.charges if (change := changes.get(charged.unit, 0))]
        self._adjust(receipt.member, todo, receipt.leases)

    def refund(self, receipt: Receipt) -> None:
        """Undo an admission. See `Limiter`."""
        self._adjust(receipt.member, [(charged, -charged.amount) for charged in receipt.charges], receipt.leases)

    def _adjust(self, member: str, todo: Sequence[_Change], leases: Sequence[Lease]) -> None:
        stored, is_fresh = self._remembered.get(member, NOTHING), False
        for _ in range(TRIES):
            adjustments = reckoning.adjustments(todo, stored, is_fresh=is_fresh)
            releases = [lease for lease in leases if not is_fresh or _is_held(lease, stored)]
            if not adjustments and not releases:
                return
            try:
                applied, stored = self._store.adjust(member, adjustments, releases)
            except UncertainError as error:
                error.lacks_additions = not self._has_added(member, todo, leases)
                raise
            self._remember(member, stored)
            is_fresh = True
            if applied:
                return
        if reckoning.adjustments(todo, stored, is_fresh=True) or any(_is_held(lease, stored) for lease in leases):
            raise StoreError("the counters kept changing")

    def _has_added(self, member: str, todo: Sequence[_Change], leases: Sequence[Lease]) -> bool:
        """Do again what may be done twice, where something that may not was in the same write; say if it is done now.

        Additions alone have been tried again by the store itself.
        """
        additions = [(charged, change) for charged, change in todo if change > 0]
        if len(additions) == len(todo):
            return not additions
        try:
            self._adjust(member, additions, leases)
        except StoreError:
            return not additions
        return True

    def _remember(self, member: str, stored: Stored) -> None:
        self._remembered.pop(member, None)
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[member] = stored


def _admission(
    member: str,
    asks: Sequence[Ask],
    stored: Stored,
    now_ms: int,
    charges: Sequence[Charge],
    leases: Sequence[LeaseCharge],
) -> Decision:
    units = {ask.counter: ask.rule.unit for ask in asks}
    receipt = Receipt(
        member,
        tuple(Charged(charge.name, units[charge.name], charge.window, charge.cost) for charge in charges),
        tuple(Lease(lease.name, lease.lease_id) for lease in leases),
    )
    states: tuple[RuleState, ...] = reckoning.states(asks, stored, now_ms)
    return Decision(admitted=True, states=states, receipts=(receipt,))


def _is_taken(leases: Sequence[LeaseCharge], stored: Stored) -> bool:
    """Say whether a write that was refused is one that had been made: its answer was lost, and it was sent again."""
    return bool(leases) and all(stored.leases.get(x.name, {}).get(x.lease_id) == x.expires_at_s for x in leases)


def _is_held(lease: Lease, stored: Stored) -> bool:
    return lease.lease_id in stored.leases.get(lease.counter, {})
