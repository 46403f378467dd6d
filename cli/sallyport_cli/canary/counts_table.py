"""What was counted of a canary's run, read from the `counters` table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from sallyport.policy.canary_counts import Counted, CountsError, partition, read_items
from sallyport_cli.keys.faults import dynamodb_errors

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def read_counts(client: DynamoDBClient, table: str, canary: str, run: str) -> Counted:
    """Give all counts of a run, none where nothing was counted. Raises click's exception."""
    with dynamodb_errors(table):
        items = list(_items(client, table, partition(canary, run)))
    try:
        return read_items(items)
    except CountsError as error:
        raise click.ClickException(f"table {table}: {error}") from None


def _items(client: DynamoDBClient, table: str, pk: str) -> Iterator[Mapping[str, Any]]:
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": pk}},
        ConsistentRead=True,
    )
    for page in pages:
        yield from page["Items"]
