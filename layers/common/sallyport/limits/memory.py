"""Counters in this process's memory: what request limits fall back to while the store can't be asked."""

from collections.abc import Sequence

from sallyport.limits.rules import Lease
from sallyport.limits.store import Adjustment, Charge, LeaseCharge, StoreAnswer, Stored
from sallyport.limits.window import Counters

MAX_MEMBERS = 10_000


class MemoryCounterStore:
    """A `CounterStore` that keeps at most 10,000 members; the one unused for longest gives way."""

    def __init__(self) -> None:
        self._items: dict[str, _Item] = {}

    def charge(
        self, key: str, charges: Sequence[Charge], leases: Sequence[LeaseCharge], expires_at_s: int
    ) -> StoreAnswer:
        """Charge all or none, as the store in DynamoDB does; nothing expires by itself here."""
        item = self._item(key)
        charged = {charge.name: _charged(charge, item.counters.get(charge.name)) for charge in charges}
        held = {lease.name: _held(lease, item.leases.get(lease.name)) for lease in leases}
        return item.write(charged, held, expires_at_s)

    def adjust(self, key: str, adjustments: Sequence[Adjustment], releases: Sequence[Lease]) -> StoreAnswer:
        """Change counts and give leases back, all of it or nothing."""
        item = self._item(key)
        changed = {change.name: _adjusted(change, item.counters.get(change.name)) for change in adjustments}
        held = {lease.counter: _released(lease, item.leases.get(lease.counter)) for lease in releases}
        return item.write(changed, held, 0)

    def _item(self, key: str) -> "_Item":
        item = self._items.pop(key, None) or _Item()
        self._items[key] = item  # now the last in line to give way
        if len(self._items) > MAX_MEMBERS:
            self._items.pop(next(iter(self._items)))
        return item


class _Item:
    __slots__ = ("counters", "expires_at_s", "leases")

    def __init__(self) -> None:
        self.counters: dict[str, Counters] = {}
        self.leases: dict[str, dict[str, int]] = {}
        self.expires_at_s = 0

    def write(
        self, counters: dict[str, Counters | None], leases: dict[str, dict[str, int] | None], expires_at_s: int
    ) -> StoreAnswer:
        """Write what is given, unless a part of it is None: its condition doesn't hold."""
        fits = None not in counters.values() and None not in leases.values()
        fits = fits and not (expires_at_s and self.expires_at_s > expires_at_s)
        if fits:
            self.counters |= {name: value for name, value in counters.items() if value is not None}
            self.leases |= {name: value for name, value in leases.items() if value is not None}
            self.expires_at_s = expires_at_s or self.expires_at_s
        return StoreAnswer(fits, Stored(dict(self.counters), dict(self.leases), self.expires_at_s))


def _charged(charge: Charge, stored: Counters | None) -> Counters | None:
    """Give the counters after the charge, None if its condition doesn't hold."""
    fresh = Counters(charge.window, charge.cost, 0)
    if stored is None:
        return fresh if charge.form == "start" else None
    if charge.form == "start":
        return fresh if stored.window < charge.window - 1 else None
    if charge.ceiling is not None and stored.current > charge.ceiling:
        return None
    if charge.form == "roll":
        return fresh._replace(previous=stored.current) if stored.window == charge.window - 1 else None
    if stored.window != charge.window or (charge.previous is not None and stored.previous > charge.previous):
        return None
    return stored._replace(current=stored.current + charge.cost)


def _held(lease: LeaseCharge, taken: dict[str, int] | None) -> dict[str, int] | None:
    """Give the leases with a new one and without the expired ones, None if the condition doesn't hold."""
    if taken is None or lease.below is None:
        return {lease.lease_id: lease.expires_at_s} if taken is None and lease.below is None else None
    if len(taken) >= lease.below or lease.lease_id in taken or not set(lease.expired) <= taken.items():
        return None
    gone = dict(lease.expired)
    return {known: until_s for known, until_s in taken.items() if known not in gone} | {
        lease.lease_id: lease.expires_at_s
    }


def _adjusted(change: Adjustment, stored: Counters | None) -> Counters | None:
    if stored is None or stored.window != change.window:
        return None
    count = stored.current if change.part == "current" else stored.previous
    if (count + change.change < 0) is not change.empties:
        return None
    changed = max(count + change.change, 0)
    return stored._replace(current=changed) if change.part == "current" else stored._replace(previous=changed)


def _released(lease: Lease, taken: dict[str, int] | None) -> dict[str, int] | None:
    if taken is None or lease.lease_id not in taken:
        return None
    return {known: until_s for known, until_s in taken.items() if known != lease.lease_id}
