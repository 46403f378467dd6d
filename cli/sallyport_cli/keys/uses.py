"""When keys were last used, from the `counters` table. It is a convenience: where it can't be had, it is left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from sallyport.adapters.dynamodb_keys import LAST_USED_SORT_KEY
from sallyport_cli.keys.batches import LeftUnreadError, read_items
from sallyport_cli.keys.faults import dynamodb_errors
from sallyport_cli.target import Target

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def last_used_days(target: Target, client: DynamoDBClient, key_ids: Sequence[str]) -> dict[str, str]:
    """Days (ISO 8601, UTC) by key id, of the keys whose last use is known; a warning where they can't be read."""
    try:
        table = target.counters_table()
        if table is None:
            return {}
        with dynamodb_errors(table):
            return read_days(client, table, key_ids)
    except click.ClickException as error:
        click.echo(f"when keys were last used can't be told: {error.message}", err=True)
        return {}


def read_days(
    client: DynamoDBClient, table: str, key_ids: Sequence[str], pause: Callable[[float], None] = time.sleep
) -> dict[str, str]:
    """Read the days of any number of keys; what DynamoDB leaves unread counts as unknown. Raises botocore's errors."""
    keys = [{"pk": {"S": f"used#{key_id}"}, "sk": {"S": LAST_USED_SORT_KEY}} for key_id in dict.fromkeys(key_ids)]
    days = {}
    with suppress(LeftUnreadError):
        for item in read_items(client, table, keys, pause):
            if "S" in item.get("last_used", {}):
                days[str(item["pk"]["S"]).removeprefix("used#")] = str(item["last_used"]["S"])
    return days
