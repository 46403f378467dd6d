"""Anchors of audit chains, as an operator's command reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from sallyport.adapters.dynamodb_anchors import DAY_S, day_key
from sallyport.observability.anchors import Anchor
from sallyport_cli.keys.faults import dynamodb_errors, not_dynamodb
from sallyport_cli.target import Target

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ANCHORS_TABLE: Final = "AnchorsTable"
anchors_option: Final = click.option(
    "--anchors-table", "anchors_table", help="Name of the table of anchors.  [default: the stack's]"
)


def anchors_table_of(target: Target, named: str | None) -> str:
    """Give the name of the table of anchors. Raises click's exceptions where it isn't told or can't be found."""
    if named:
        return named
    if target.stack is not None:
        return _of_stack(target, target.stack)
    if not target.is_local:
        raise click.UsageError("give --stack or --anchors-table: --table is the config table's")
    return ANCHORS_TABLE  # as `sallyport local` and `sallyport emulator` name it


def read_anchors(client: DynamoDBClient, table: str, since_s: float, until_s: float) -> list[Anchor]:
    """Read the anchors of all days from one time's to another's, in epoch seconds. Raises click's exception."""
    first, last = int(since_s) // DAY_S, int(until_s) // DAY_S
    with dynamodb_errors(table):
        return [anchor for day in range(first, last + 1) for anchor in _of_day(client, table, day_key(day * DAY_S))]


def _of_stack(target: Target, stack: str) -> str:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

    try:
        found = target.client("cloudformation").describe_stack_resource(
            StackName=stack, LogicalResourceId=ANCHORS_TABLE
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"stack {stack}: {error}") from None
    except (ResponseParserError, AttributeError, KeyError, TypeError):  # an endpoint may be anything at all
        raise click.ClickException(f"stack {stack}: that endpoint has no CloudFormation") from None


def _of_day(client: DynamoDBClient, table: str, pk: str) -> Iterator[Anchor]:
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": pk}},
        ConsistentRead=True,
    )
    for page in pages:
        for item in page["Items"]:
            yield _anchor(item, table)


def _anchor(item: Mapping[str, Any], table: str) -> Anchor:
    """Read an item. An anchor that can't be read may hide what it knows, so it stops the command."""
    try:
        chain, _, seq = str(item["sk"]["S"]).rpartition("#")
        return Anchor(chain, int(seq), str(item["hash"]["S"]), int(item["at"]["N"]), str(item["function"]["S"]))
    except ValueError:
        raise not_dynamodb(table) from None
