"""The kept totals of one tenant, and their sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from sallyport.adapters.dynamodb_totals import KEY_PREFIX
from sallyport.limits.totals import Total
from sallyport_cli.keys.faults import dynamodb_errors
from sallyport_cli.printable import printable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

type By = Literal["day", "model"]


@dataclass(frozen=True)
class Kept:
    """What one tenant used of one model on one day."""

    day: str
    model: str
    total: Total


def read_totals(client: DynamoDBClient, table: str, tenant: str, first: date, last: date) -> list[Kept]:
    """Read the totals of a tenant from the first day to the last one. Raises click's exception."""
    with dynamodb_errors(table):
        return [_kept(item) for item in _items(client, table, tenant, first, last)]


def summed(kept: Iterable[Kept], by: By) -> dict[str, Total]:
    """Add totals up for each day or model, in the order of their names."""
    sums: dict[str, Total] = {}
    for one in kept:
        name = one.day if by == "day" else one.model
        sums[name] = add(sums.get(name, Total()), one.total)
    return dict(sorted(sums.items()))


def add(*totals: Total) -> Total:
    """Add totals."""
    return Total(*(sum(amounts) for amounts in zip(*totals, strict=True))) if totals else Total()


def _items(
    client: DynamoDBClient, table: str, tenant: str, first: date, last: date
) -> Iterator[Mapping[str, Mapping[str, Any]]]:
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
        ExpressionAttributeValues={
            ":pk": {"S": KEY_PREFIX + tenant},
            ":first": {"S": f"{first.isoformat()}#"},
            ":last": {"S": f"{last.isoformat()}#~"},  # no name of a model has a tilde, which comes after all letters
        },
        ConsistentRead=True,
    )
    for page in pages:
        yield from page["Items"]


def _kept(item: Mapping[str, Mapping[str, Any]]) -> Kept:
    day, _, model = str(item["sk"]["S"]).partition("#")
    return Kept(printable(day), printable(model), Total(*(_number(item, name) for name in _AMOUNTS)))


def _number(item: Mapping[str, Mapping[str, Any]], name: str) -> int:
    return int(item[name]["N"]) if name in item else 0


_AMOUNTS: Sequence[str] = Total._fields
