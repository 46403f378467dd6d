"""Counters of limits and of failed credentials, in the `counters` table."""

from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.adapters.aws_client import AwsError, AwsWrite
from sallyport.limits.rules import Lease
from sallyport.limits.store import Adjustment, Charge, LeaseCharge, StoreAnswer, Stored, StoreError, UncertainError
from sallyport.limits.window import Counters

SORT_KEY = "window"
_NAME_LENGTH = 6
_PARTS = {"current": "c", "previous": "p"}


class DynamoDbCounterStore:
    """Counters in the `counters` table: one item per scope's member, one conditional update per write.

    A rule's window, count and previous count are the attributes w, c and p before its counter's name; the leases of a
    concurrency limit are the map l, from id to expiry.
    """

    def __init__(self, client: AwsWrite, table: str, prefix: str = "limit") -> None:
        """`prefix` tells apart what is counted: an item's partition key is `<prefix>#<member>`."""
        self._client = client
        self._table = table
        self._prefix = prefix

    def charge(
        self, key: str, charges: Sequence[Charge], leases: Sequence[LeaseCharge], expires_at_s: int
    ) -> StoreAnswer:
        """Charge all rules of one item if every condition holds, or none of them. Raises `StoreError`."""
        update = _Update()
        if expires_at_s:
            update.keep_until(expires_at_s)
        for charge in charges:
            update.charge(charge)
        for lease in leases:
            update.take(lease)
        return self._write(key, update, repeatable=True)

    def adjust(self, key: str, adjustments: Sequence[Adjustment], releases: Sequence[Lease]) -> StoreAnswer:
        """Change counts and give leases back if every condition holds, or nothing of it.

        Raises `UncertainError` where an answer is lost, `StoreError` otherwise.
        """
        update = _Update()
        for adjustment in adjustments:
            update.adjust(adjustment)
        for lease in releases:
            update.release(lease)
        return self._write(key, update, repeatable=all(adjustment.change >= 0 for adjustment in adjustments))

    def _write(self, key: str, update: "_Update", *, repeatable: bool) -> StoreAnswer:
        payload = {
            "TableName": self._table,
            "Key": {"pk": {"S": f"{self._prefix}#{key}"}, "sk": {"S": SORT_KEY}},
            **update.payload(),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            answer = self._client.call("UpdateItem", payload, repeatable=repeatable)
        except AwsError as error:
            if error.code == "ConditionalCheckFailedException":
                return StoreAnswer(applied=False, stored=read_item(error.answer.get("Item", {})))
            raise (UncertainError if error.is_uncertain else StoreError)(error.code) from error
        return StoreAnswer(applied=True, stored=read_item(answer.get("Attributes", {})))


class _Update:
    """An update under construction. Only lease ids need name placeholders: they may be reserved words."""

    def __init__(self) -> None:
        self._sets: list[str] = []
        self._removes: list[str] = []
        self._conditions: list[str] = []
        self._names: dict[str, str] = {}
        self._values: dict[str, dict[str, Any]] = {}
        self._numbers: dict[int, str] = {}

    def keep_until(self, expires_at_s: int) -> None:
        until = self._number(expires_at_s)
        self._conditions.append(f"(attribute_not_exists(expires_at) OR expires_at <= {until})")
        self._sets.append(f"expires_at = {until}")

    def charge(self, charge: Charge) -> None:
        w, c, p = f"w{charge.name}", f"c{charge.name}", f"p{charge.name}"
        cost, window = self._number(charge.cost), self._number(charge.window)
        if charge.form == "start":
            before = self._number(charge.window - 1)
            self._conditions.append(f"(attribute_not_exists({w}) OR {w} < {before})")
            self._sets.append(f"{p} = {self._number(0)}, {c} = {cost}, {w} = {window}")
            return
        if charge.ceiling is not None:
            self._conditions.append(f"{c} <= {self._number(charge.ceiling)}")
        if charge.previous is not None:
            self._conditions.append(f"{p} <= {self._number(charge.previous)}")
        if charge.form == "continue":
            self._conditions.append(f"{w} = {window}")
            self._sets.append(f"{c} = {c} + {cost}")
            return
        self._conditions.append(f"{w} = {self._number(charge.window - 1)}")
        self._sets.append(f"{p} = {c}, {c} = {cost}, {w} = {window}")

    def take(self, lease: LeaseCharge) -> None:
        leases, until = f"l{lease.name}", {"N": str(lease.expires_at_s)}
        if lease.below is None:
            self._conditions.append(f"attribute_not_exists({leases})")
            self._sets.append(f"{leases} = {self._value({'M': {lease.lease_id: until}})}")
            return
        taken = self._lease(leases, lease.lease_id)
        self._conditions.append(f"attribute_exists({leases}) AND size({leases}) < {self._number(lease.below)}")
        self._conditions.append(f"attribute_not_exists({taken})")
        self._sets.append(f"{taken} = {self._number(lease.expires_at_s)}")
        for lease_id, until_s in lease.expired:
            expired = self._lease(leases, lease_id)
            self._conditions.append(f"{expired} = {self._number(until_s)}")
            self._removes.append(expired)

    def adjust(self, adjustment: Adjustment) -> None:
        count, change = f"{_PARTS[adjustment.part]}{adjustment.name}", self._number(abs(adjustment.change))
        self._conditions.append(f"w{adjustment.name} = {self._number(adjustment.window)}")
        if adjustment.change >= 0:
            self._sets.append(f"{count} = {count} + {change}")
        elif adjustment.empties:
            self._conditions.append(f"{count} < {change}")
            self._sets.append(f"{count} = {self._number(0)}")
        else:
            self._conditions.append(f"{count} >= {change}")
            self._sets.append(f"{count} = {count} - {change}")

    def release(self, lease: Lease) -> None:
        held = self._lease(f"l{lease.counter}", lease.lease_id)
        self._conditions.append(f"attribute_exists({held})")
        self._removes.append(held)

    def payload(self) -> dict[str, Any]:
        clauses = [f"SET {', '.join(self._sets)}"] if self._sets else []
        clauses += [f"REMOVE {', '.join(self._removes)}"] if self._removes else []
        payload: dict[str, Any] = {
            "UpdateExpression": " ".join(clauses),
            "ConditionExpression": " AND ".join(self._conditions),
        }
        if self._names:
            payload["ExpressionAttributeNames"] = self._names
        if self._values:
            payload["ExpressionAttributeValues"] = self._values
        return payload

    def _number(self, number: int) -> str:
        known = self._numbers.get(number)
        if known is None:
            known = self._numbers[number] = self._value({"N": str(number)})
        return known

    def _value(self, value: dict[str, Any]) -> str:
        name = f":{len(self._values)}"
        self._values[name] = value
        return name

    def _lease(self, leases: str, lease_id: str) -> str:
        name = f"#{len(self._names)}"
        self._names[name] = lease_id
        return f"{leases}.{name}"


def read_item(item: Mapping[str, Mapping[str, Any]]) -> Stored:
    """Read an item of counters as DynamoDB gives it; of no item, there is nothing in it."""
    counters: dict[str, Counters] = {}
    leases: dict[str, dict[str, int]] = {}
    for attribute, value in item.items():
        kind, name = attribute[0], attribute[1:]
        if len(attribute) != _NAME_LENGTH:
            continue
        if kind == "w":
            counters[name] = Counters(int(value["N"]), int(item[f"c{name}"]["N"]), int(item[f"p{name}"]["N"]))
        elif kind == "l":
            leases[name] = {lease_id: int(until["N"]) for lease_id, until in value["M"].items()}
    return Stored(counters, leases, int(item["expires_at"]["N"]) if "expires_at" in item else 0)
