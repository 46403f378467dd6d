"""What was reserved and never settled, from the audit lines that the routes write.

Each request with tokens or money reserved has a line `reservation` before it is forwarded, and a line `settlement`
after. A function that was killed in between leaves the first alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sallyport.limits.rules import Charged
from sallyport.policy.limit_rules import SETTLED_UNITS

RESERVATION: Final = "reservation"
SETTLEMENT: Final = "settlement"
SPARE_S: Final = 300
"""Log lines arrive late, a settlement's after all others: so long a reservation is left alone after its end."""
_FIELDS: Final = 5


@dataclass(frozen=True)
class Reserved:
    """What one request has reserved, by the store's names of members. `until_s`: its function is over by then."""

    request_id: str
    tenant: str
    until_s: float
    charges: Sequence[tuple[str, Charged]]


@dataclass(frozen=True)
class Audit:
    """What lines told: reservations, which requests are settled, and what a failed settlement left to be done."""

    reserved: Mapping[str, Reserved]
    settled: frozenset[str]
    failed: Mapping[str, Sequence[tuple[str, Charged]]]

    def open(self, now_s: float) -> list[Reserved]:
        """Give what is to be given back, of functions that are surely over.

        That is the whole reservation where there is no settlement. Where one failed it is what that left: an amount
        below 0 is to be added.
        """
        over = (found for found in self.reserved.values() if found.until_s + SPARE_S < now_s)
        due = (self._due(found) for found in over if found.request_id not in self.settled)
        return [found for found in due if found.charges]

    def running(self, now_s: float) -> int:
        """Count the reservations without a settlement that may still get one."""
        return sum(
            reserved.until_s + SPARE_S >= now_s and self._is_untold(reserved.request_id)
            for reserved in self.reserved.values()
        )

    def uncertain(self) -> int:
        """Count the settlements that failed without an answer: they may have been made, and are left alone."""
        return sum(not charges for request_id, charges in self.failed.items() if request_id not in self.settled)

    def _due(self, found: Reserved) -> Reserved:
        return replace(found, charges=self.failed.get(found.request_id, found.charges))

    def _is_untold(self, request_id: str) -> bool:
        return request_id not in self.settled and request_id not in self.failed


def read_audit(lines: Iterable[str]) -> Audit:
    """Read JSON lines; all that isn't about reservations is passed over, a broken line too."""
    reserved: dict[str, Reserved] = {}
    settled: set[str] = set()
    failed: dict[str, Sequence[tuple[str, Charged]]] = {}
    for fields in _objects(lines):
        request_id = fields.get("request_id")
        if not isinstance(request_id, str) or not request_id:
            continue
        if fields.get("message") == RESERVATION and (found := _reserved(request_id, fields)) is not None:
            reserved[request_id] = found
        elif fields.get("message") == SETTLEMENT and fields.get("settled") is True:
            settled.add(request_id)
        elif fields.get("message") == SETTLEMENT:
            failed[request_id] = _due(fields)
    return Audit(reserved, frozenset(settled), failed)


def _objects(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        start = line.find("{")  # before it may stand what `aws logs tail` and others write: a time, a stream
        if start < 0:
            continue
        try:
            fields = json.loads(line[start:])
        except (ValueError, RecursionError):
            continue
        if isinstance(fields, dict):
            yield fields


def _reserved(request_id: str, fields: Mapping[str, Any]) -> Reserved | None:
    """Give a line's reservation; None for one of another form."""
    try:
        charges = [_charge(str(text)) for text in fields["charges"]]
        until_s = float(fields["until"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    settled = [(member, charge) for member, charge in charges if charge.unit in SETTLED_UNITS and charge.amount > 0]
    return Reserved(request_id, str(fields.get("tenant", "")), until_s, settled)


def _due(fields: Mapping[str, Any]) -> Sequence[tuple[str, Charged]]:
    """Give what a failed settlement left to be given back; nothing where that isn't told."""
    try:
        due = [_charge(str(text)) for text in fields.get("due") or ()]
    except (TypeError, ValueError):
        return ()
    return [(member, charge._replace(amount=-charge.amount)) for member, charge in due]


def _charge(text: str) -> tuple[str, Charged]:
    """Read `<member> <counter> <unit> <window> <amount>`. Raises `ValueError`."""
    parts = text.split(" ")
    if len(parts) != _FIELDS:
        raise ValueError("not a charge")
    member, counter, unit, window, amount = parts
    return member, Charged(counter, unit, int(window), int(amount))
