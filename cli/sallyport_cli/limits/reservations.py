"""What was reserved and never settled, from the audit lines that the routes write.

Each request with tokens or money reserved has a line `reservation` before it is forwarded, and a line `settlement`
after. A function that was killed in between leaves the first alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    """What lines told: reservations, and by request whether its settlement succeeded."""

    reserved: Mapping[str, Reserved]
    settled: Mapping[str, bool]

    def open(self, now_s: float, *, failed_too: bool) -> list[Reserved]:
        """Give the reservations without a settlement whose functions are surely over.

        `failed_too`: those too that have one, which failed.
        """
        return [
            reserved
            for reserved in self.reserved.values()
            if reserved.until_s + SPARE_S < now_s
            and (reserved.request_id not in self.settled or (failed_too and not self.settled[reserved.request_id]))
        ]

    def running(self, now_s: float) -> int:
        """Count the reservations without a settlement that may still get one."""
        return sum(
            reserved.until_s + SPARE_S >= now_s and reserved.request_id not in self.settled
            for reserved in self.reserved.values()
        )

    def failed(self) -> int:
        """Count the reservations whose settlement failed."""
        return sum(not settled and request_id in self.reserved for request_id, settled in self.settled.items())


def read_audit(lines: Iterable[str]) -> Audit:
    """Read JSON lines; all that isn't about reservations is passed over, a broken line too."""
    reserved: dict[str, Reserved] = {}
    settled: dict[str, bool] = {}
    for fields in _objects(lines):
        request_id = fields.get("request_id")
        if not isinstance(request_id, str) or not request_id:
            continue
        if fields.get("message") == RESERVATION and (found := _reserved(request_id, fields)) is not None:
            reserved[request_id] = found
        elif fields.get("message") == SETTLEMENT:
            settled[request_id] = settled.get(request_id, False) or fields.get("settled") is True
    return Audit(reserved, settled)


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
    except (KeyError, TypeError, ValueError):
        return None
    settled = [(member, charge) for member, charge in charges if charge.unit in SETTLED_UNITS and charge.amount > 0]
    return Reserved(request_id, str(fields.get("tenant", "")), until_s, settled)


def _charge(text: str) -> tuple[str, Charged]:
    """Read `<member> <counter> <unit> <window> <amount>`. Raises `ValueError`."""
    parts = text.split(" ")
    if len(parts) != _FIELDS:
        raise ValueError("not a charge")
    member, counter, unit, window, amount = parts
    return member, Charged(counter, unit, int(window), int(amount))
