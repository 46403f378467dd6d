"""Counters in this process's memory: what request limits fall back to while the store can't be asked."""

from collections.abc import Mapping, Sequence

from sallyport.limits.sliding import Charge, ChargeOutcome
from sallyport.limits.window import Counters

MAX_MEMBERS = 10_000


class MemoryCounterStore:
    """A `CounterStore` that keeps at most 10,000 members; the one unused for longest gives way."""

    def __init__(self) -> None:
        self._items: dict[str, dict[str, Counters]] = {}

    def charge(self, key: str, charges: Sequence[Charge], expires_at_s: int) -> ChargeOutcome:
        """Charge all or none, as the store in DynamoDB does; `expires_at_s` has no use here."""
        del expires_at_s
        item = self._items.pop(key, {})
        self._items[key] = item
        if len(self._items) > MAX_MEMBERS:
            self._items.pop(next(iter(self._items)))
        charged = [_apply(charge, item.get(charge.name)) for charge in charges]
        fits = all(counters is not None for counters in charged)
        if fits:
            item.update({charge.name: counters for charge, counters in zip(charges, charged, strict=True) if counters})
        return ChargeOutcome(fits, _snapshot(item))


def _apply(charge: Charge, stored: Counters | None) -> Counters | None:
    """Give the counters after the charge, None if its condition doesn't hold."""
    fresh = Counters(charge.window, charge.cost, 0)
    if stored is None:
        return fresh if charge.form == "start" else None
    if charge.form == "start":
        return fresh if stored.window < charge.window - 1 else None
    if stored.current > charge.ceiling:
        return None
    if charge.form == "roll":
        return fresh._replace(previous=stored.current) if stored.window == charge.window - 1 else None
    if stored.window != charge.window or stored.previous > charge.previous:
        return None
    return stored._replace(current=stored.current + charge.cost)


def _snapshot(item: Mapping[str, Counters]) -> Mapping[str, Counters]:
    return dict(item)
