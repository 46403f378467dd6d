"""When keys were last used, from the `counters` table. It is a convenience: where it can't be had, it is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

import click

from sallyport.adapters.dynamodb_keys import LAST_USED_SORT_KEY
from sallyport_cli.keys.faults import dynamodb_errors
from sallyport_cli.target import Target

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_BATCH: Final = 100
"""What one BatchGetItem takes."""
_TRIES: Final = 5


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


def read_days(client: DynamoDBClient, table: str, key_ids: Sequence[str]) -> dict[str, str]:
    """Read the days of any number of keys. Raises botocore's errors."""
    return {
        str(item["pk"]["S"]).removeprefix("used#"): str(item["last_used"]["S"])
        for batch in batched(dict.fromkeys(key_ids), _BATCH, strict=False)
        for item in _read_batch(client, table, batch)
        if "S" in item.get("last_used", {})
    }


def _read_batch(client: DynamoDBClient, table: str, key_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """DynamoDB may leave some keys unprocessed; a few tries later, they count as unknown."""
    request: Any = {
        table: {"Keys": [{"pk": {"S": f"used#{key_id}"}, "sk": {"S": LAST_USED_SORT_KEY}} for key_id in key_ids]}
    }
    for _ in range(_TRIES):
        answer = client.batch_get_item(RequestItems=request)
        yield from answer.get("Responses", {}).get(table, [])
        request = answer.get("UnprocessedKeys")
        if not request:
            return
