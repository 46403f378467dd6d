"""Giving back what a killed function left charged: in the window that was charged, each request once at most.

All of a request's counters change in one transaction with a marker of that request, so that neither a lost answer nor a
second operator refunds it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from sallyport.adapters.dynamodb_counters import SORT_KEY
from sallyport.limits.rules import Charged
from sallyport_cli.limits.reservations import Reserved

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

type Outcome = Literal["refunded", "refunded before", "window over"]

MARKER_SORT_KEY: Final = "marker"
_MARKER_S: Final = 32 * 86_400
"""Longer than any sliding window; and what a month's counter holds of the month before doesn't count."""
_TRIES: Final = 5
_FIRST_PAUSE_S: Final = 0.05


@dataclass(frozen=True)
class Refund:
    """What became of one reservation. `charges`: those that were given back, or would be."""

    outcome: Outcome
    charges: Sequence[tuple[str, Charged]] = ()


class Refunder:
    """Refunds reservations in one table of counters. `dry_run`: looks alone. Methods raise botocore's errors."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        now_s: float,
        *,
        dry_run: bool = False,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._client = client
        self._table = table
        self._now_s = now_s
        self._dry_run = dry_run
        self._pause = pause

    def refund(self, reserved: Reserved) -> Refund:
        """Give back what is still counted of a reservation. Raises click's exception where counters kept changing."""
        for number in range(_TRIES):
            if self._is_marked(reserved.request_id):
                return Refund("refunded before")
            refund, updates = self._plan(reserved)
            if not updates or self._dry_run or self._write(reserved.request_id, updates):
                return refund
            self._pause(_FIRST_PAUSE_S * 2**number)
        raise click.ClickException(f"request {reserved.request_id}: its counters kept changing; try again")

    def _plan(self, reserved: Reserved) -> tuple[Refund, list[dict[str, Any]]]:
        """Give what is to be refunded by how the counters stand now, and the writes for it."""
        members: dict[str, list[Charged]] = {}
        for member, charge in reserved.charges:
            members.setdefault(member, []).append(charge)
        refunded, updates = [], []
        for member, charges in members.items():
            changes = [change for change in _changes(self._item(member), charges) if change is not None]
            if changes:
                updates.append(self._update(member, changes))
                refunded += [(member, change.charge) for change in changes]
        return Refund("refunded" if updates else "window over", refunded), updates

    def _item(self, member: str) -> Mapping[str, Any]:
        answer = self._client.get_item(TableName=self._table, Key=_key(member), ConsistentRead=True)
        return answer.get("Item", {})

    def _is_marked(self, request_id: str) -> bool:
        key = _marker_key(request_id)
        return "Item" in self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)

    def _update(self, member: str, changes: Sequence[_Change]) -> dict[str, Any]:
        names: dict[str, str] = {}
        values: dict[str, Any] = {}
        sets, conditions = [], []
        for number, change in enumerate(changes):
            names |= {f"#w{number}": change.window_name, f"#n{number}": change.name}
            values |= {
                f":w{number}": {"N": str(change.window)},
                f":a{number}": {"N": str(change.charge.amount)},
            }
            conditions.append(f"#w{number} = :w{number} AND #n{number} >= :a{number}")
            sets.append(f"#n{number} = #n{number} - :a{number}")
        return {
            "TableName": self._table,
            "Key": _key(member),
            "UpdateExpression": "SET " + ", ".join(sets),
            "ConditionExpression": " AND ".join(conditions),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }

    def _write(self, request_id: str, updates: Sequence[dict[str, Any]]) -> bool:
        """Write all or nothing; say whether it was written."""
        expires = {"expires_at": {"N": str(int(self._now_s) + _MARKER_S)}}
        marker = {
            "TableName": self._table,
            "Item": {**_marker_key(request_id), **expires},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        writes: Any = [{"Put": marker}, *({"Update": update} for update in updates)]
        try:
            self._client.transact_write_items(TransactItems=writes)
        except self._client.exceptions.TransactionCanceledException:
            return False
        return True


@dataclass(frozen=True)
class _Change:
    """What is taken off the attribute `name`, while the item's window is `window`."""

    charge: Charged
    window_name: str
    window: int
    name: str


def _changes(item: Mapping[str, Any], charges: Sequence[Charged]) -> Iterator[_Change | None]:
    """Give a change for each counter; charges of the same counter are one."""
    sums: dict[tuple[str, int], Charged] = {}
    for charge in charges:
        known = sums.get((charge.counter, charge.window))
        amount = charge.amount + (known.amount if known else 0)
        sums[charge.counter, charge.window] = charge._replace(amount=amount)
    for charge in sums.values():
        yield _change(item, charge)


def _change(item: Mapping[str, Any], charge: Charged) -> _Change | None:
    """Give the change of one counter; None where nothing of the charge counts any more."""
    window_name = f"w{charge.counter}"
    window = _number(item, window_name)
    if window not in {charge.window, charge.window + 1}:
        return None
    name = f"{'c' if window == charge.window else 'p'}{charge.counter}"
    seen = _number(item, name)
    if seen is None or (seen == 0 and charge.amount > 0):
        return None
    amount = min(charge.amount, seen)  # less where a reset came between
    return _Change(charge._replace(amount=amount), window_name, window, name)


def _number(item: Mapping[str, Any], name: str) -> int | None:
    return int(item[name]["N"]) if "N" in item.get(name, {}) else None


def _key(member: str) -> dict[str, Any]:
    return {"pk": {"S": f"limit#{member}"}, "sk": {"S": SORT_KEY}}


def _marker_key(request_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"reconciled#{request_id}"}, "sk": {"S": MARKER_SORT_KEY}}
