"""Counters of limits and of failed credentials, in the `counters` table."""

from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.adapters.aws_client import AwsCall, AwsError
from sallyport.limits.sliding import Charge, ChargeOutcome, StoreError
from sallyport.limits.window import Counters

SORT_KEY = "window"


class DynamoDbCounterStore:
    """Counters in the `counters` table: one item per scope's member, one conditional update per charge."""

    def __init__(self, client: AwsCall, table: str, prefix: str = "limit") -> None:
        """`prefix` tells apart what is counted: an item's partition key is `<prefix>#<member>`."""
        self._client = client
        self._table = table
        self._prefix = prefix

    def charge(self, key: str, charges: Sequence[Charge], expires_at_s: int) -> ChargeOutcome:
        """Charge all rules of one item if every condition holds, or none of them. Raises `StoreError`."""
        update = _Update()
        update.sets.append("expires_at = :expires")
        update.values[":expires"] = {"N": str(expires_at_s)}
        for number, charge in enumerate(charges):
            update.add(number, charge)
        try:
            answer = self._client.call("UpdateItem", self._payload(key, update))
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise StoreError(error.code) from error
            return ChargeOutcome(charged=False, counters=_counters(error.answer.get("Item", {}), charges))
        return ChargeOutcome(charged=True, counters=_counters(answer.get("Attributes", {}), charges))

    def _payload(self, key: str, update: "_Update") -> dict[str, Any]:
        return {
            "TableName": self._table,
            "Key": {"pk": {"S": f"{self._prefix}#{key}"}, "sk": {"S": SORT_KEY}},
            "UpdateExpression": "SET " + ", ".join(update.sets),
            "ConditionExpression": " AND ".join(update.conditions),
            "ExpressionAttributeNames": update.names,
            "ExpressionAttributeValues": update.values,
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


class _Update:
    """An update under construction: each rule's window, count and previous count are the attributes w, c, p of it."""

    def __init__(self) -> None:
        self.sets: list[str] = []
        self.conditions: list[str] = []
        self.names: dict[str, str] = {}
        self.values: dict[str, dict[str, str]] = {}

    def add(self, number: int, charge: Charge) -> None:
        w, c, p = f"#w{number}", f"#c{number}", f"#p{number}"
        self.names |= {w: f"w_{charge.name}", c: f"c_{charge.name}", p: f"p_{charge.name}"}
        window, before = self._value(f":w{number}", charge.window), f":b{number}"
        cost = self._value(f":n{number}", charge.cost)
        if charge.form == "continue":
            ceiling, previous = self._value(f":m{number}", charge.ceiling), self._value(before, charge.previous)
            self.conditions.append(f"{w} = {window} AND {p} <= {previous} AND {c} <= {ceiling}")
            self.sets.append(f"{c} = {c} + {cost}")
            return
        self._value(before, charge.window - 1)
        if charge.form == "roll":
            self.conditions.append(f"{w} = {before} AND {c} <= {self._value(f':m{number}', charge.ceiling)}")
            self.sets.append(f"{p} = {c}, {c} = {cost}, {w} = {window}")
            return
        self.conditions.append(f"(attribute_not_exists({w}) OR {w} < {before})")
        self.sets.append(f"{p} = {self._value(f':z{number}', 0)}, {c} = {cost}, {w} = {window}")

    def _value(self, name: str, number: int) -> str:
        self.values[name] = {"N": str(number)}
        return name


def _counters(item: Mapping[str, Mapping[str, str]], charges: Sequence[Charge]) -> dict[str, Counters]:
    return {
        charge.name: Counters(*(int(item[f"{part}_{charge.name}"]["N"]) for part in "wcp"))
        for charge in charges
        if f"w_{charge.name}" in item
    }
