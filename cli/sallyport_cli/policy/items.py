"""The `config` table's items of policies: read strongly, written once, and the flip of the pointer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from sallyport_cli.policy.stored import (
    HISTORY,
    POINTER_KEY,
    StoredText,
    Version,
    history_item,
    history_key,
    pieces_of,
    pointer_item,
    read_version,
    sha256_of,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_NOT_THERE: Final = "attribute_not_exists(pk)"
_CONFLICTS: Final = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
_CONFLICT: Final = "somebody else put another version in force meanwhile; look at it and try again"


class PolicyTableError(Exception):
    """What is stored can't be read or put in force, or isn't what its hash says; the message is for the operator."""


class PolicyConflictError(Exception):
    """Somebody else put another version in force meanwhile; nothing was changed."""


class PolicyItems:
    """The items of one table. Methods raise `PolicyTableError` for what is broken, and botocore's errors."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def pointer(self) -> int:
        """Give the number of the version in force, 0 where there is no pointer."""
        item = self._item(POINTER_KEY)
        if item is None:
            return 0
        with reading("the pointer"):
            return int(item["version"]["N"])

    def version(self, number: int) -> Version | None:
        """Give an entry of the history, None if there is none of that number."""
        item = self._item(history_key(number))
        if item is None:
            return None
        with reading(f"version {number}"):
            return read_version(item)

    def history(self, limit: int | None) -> list[Version]:
        """Give the versions, the newest first, at most `limit` of them."""
        with _answering():
            items = [item for page in self._history_pages(limit) for item in page["Items"]]
        with reading("the history"):
            return [read_version(item) for item in items]

    def write(self, stored: StoredText, text: str) -> None:
        """Write a text's pieces."""
        for number, piece in enumerate(pieces_of(text)):
            with _answering():
                self._client.put_item(TableName=self._table, Item={**stored.key(number), "text": {"S": piece}})

    def text(self, stored: StoredText) -> str:
        """Read a text back. Raises `PolicyTableError` if it isn't the one that was written."""
        items = [self._item(stored.key(number)) for number in range(stored.chunks)]
        with reading(f"{stored.prefix}{stored.sha256}"):
            text = "".join(item["text"]["S"] for item in items if item is not None)
            is_whole = sha256_of(text) == stored.sha256
        if not is_whole:
            raise PolicyTableError(f"the pieces of {stored.prefix}{stored.sha256} aren't what was stored")
        return text

    def flip(self, seen: int, version: Version) -> None:
        """Note the version and point to it, both or neither, if the pointer still is at `seen` (0: still isn't there).

        An answer that got lost is made up for by a look. Raises `PolicyConflictError`.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy

        pointer = {"TableName": self._table, "Item": pointer_item(version), **_unless_changed(seen)}
        entry = {"TableName": self._table, "Item": history_item(version), "ConditionExpression": _NOT_THERE}
        try:
            self._transact(entry, pointer)
        except (BotoCoreError, ClientError, PolicyTableError, PolicyConflictError):
            if not self._is_noted(version):
                raise
        if self._item(history_key(version.version)) is None:  # something that answers 200 to anything
            raise PolicyTableError("it was written but isn't there: is that DynamoDB?")

    def _transact(self, *puts: Any) -> None:
        try:
            with _answering():
                self._client.transact_write_items(TransactItems=[{"Put": cast("Any", put)} for put in puts])
        except self._client.exceptions.TransactionCanceledException as error:
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
            if reasons.isdisjoint(_CONFLICTS):
                raise
            raise PolicyConflictError(_CONFLICT) from error

    def _is_noted(self, version: Version) -> bool:
        """Say whether the history has this very version; False where it can't be asked."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy

        try:
            return self.version(version.version) == version
        except (BotoCoreError, ClientError, PolicyTableError):
            return False

    def _item(self, key: Any) -> Any:
        with _answering():
            item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
            if item is not None and any(item[name] != value for name, value in key.items()):
                raise KeyError
        return item

    def _history_pages(self, limit: int | None) -> Any:
        return self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": HISTORY}},
            ScanIndexForward=False,
            ConsistentRead=True,
            PaginationConfig={} if limit is None else {"MaxItems": limit},
        )


def _unless_changed(seen: int) -> dict[str, Any]:
    """Give the condition that what is in force is still what was read."""
    if seen == 0:
        return {"ConditionExpression": _NOT_THERE}
    return {"ConditionExpression": "version = :seen", "ExpressionAttributeValues": {":seen": {"N": str(seen)}}}


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn what a broken item raises into `PolicyTableError`."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PolicyTableError(f"{what} can't be read: {type(error).__name__}") from None


@contextmanager
def _answering() -> Iterator[None]:
    """Turn what botocore makes of senseless answers into `PolicyTableError`: its parser takes all JSON for objects."""
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - boto3 is heavy

    try:
        yield
    except (ResponseParserError, AttributeError, KeyError, TypeError):
        raise PolicyTableError("what answers there isn't DynamoDB") from None
