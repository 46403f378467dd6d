"""Reading many items by their keys. DynamoDB may leave some of a batch unread, and is then asked again for those."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_BATCH: Final = 100
"""What one BatchGetItem takes."""
_FRUITLESS_TRIES: Final = 5
_FIRST_PAUSE_S: Final = 0.1


class LeftUnreadError(Exception):
    """DynamoDB reads no more items, however often it is asked; those read before have been given."""


def read_items(
    client: DynamoDBClient,
    table: str,
    keys: Sequence[Mapping[str, Any]],
    pause: Callable[[float], None],
    **how: Any,
) -> Iterator[Mapping[str, Any]]:
    """Give the items of any number of different keys, those that are there, in no order.

    `how` is what BatchGetItem takes beside the keys; `pause` waits for so many seconds. Raises `LeftUnreadError`, and
    botocore's errors.
    """
    for batch in batched(keys, _BATCH, strict=False):
        yield from _read_batch(client, table, batch, pause, how)


def _read_batch(
    client: DynamoDBClient,
    table: str,
    keys: Sequence[Mapping[str, Any]],
    pause: Callable[[float], None],
    how: Mapping[str, Any],
) -> Iterator[Mapping[str, Any]]:
    fruitless = 0
    while True:
        wanted: Any = {**how, "Keys": keys}
        answer: Any = client.batch_get_item(RequestItems={table: wanted})
        yield from answer["Responses"].get(table, [])
        left = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
        if not left:
            return
        fruitless = fruitless + 1 if len(left) == len(keys) else 0
        if fruitless == _FRUITLESS_TRIES:
            raise LeftUnreadError(f"too busy, items left unread: {len(left)}")
        if fruitless:
            pause(_FIRST_PAUSE_S * 2 ** (fruitless - 1))
        keys = left
