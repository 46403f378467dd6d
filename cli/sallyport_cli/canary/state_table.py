"""The canaries' states in the `config` table, and the history of their changes, as the operator's command writes them.

The items are those of the guard's own store, and so is the condition by which of two changes at once one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from sallyport.policy.canary_rules import CanaryState, CanaryStates
from sallyport.policy.canary_states import (
    HISTORY_PARTITION,
    STATE_KEY,
    Change,
    StateConflictError,
    StateStoreError,
    history_key,
    load_state,
    new_token,
    read_state_item,
    write_items,
)
from sallyport_cli.keys.faults import dynamodb_errors
from sallyport_cli.target import Target

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CONFLICTS: Final = frozenset({"ConditionalCheckFailed", "TransactionConflict"})


@dataclass(frozen=True)
class Entry:
    """One change in the history, under the version that it made."""

    version: int
    change: Change
    before: CanaryState | None
    after: CanaryState | None


class CanaryTable:
    """A `CanaryStateStore` that can tell its history, too. Methods also raise botocore's errors."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> CanaryStates:
        """Give the newest states; version 0 where there are none. Raises `StateStoreError` for broken ones."""
        return read_state_item(self._item(STATE_KEY))

    def write(self, before: CanaryStates, after: CanaryStates, change: Change) -> CanaryStates:
        """Put `after` in the place of `before`, with its entry in the history, and give it.

        An answer that got lost is made up for by a look. Raises `StateConflictError` if the stored version isn't that
        of `before`, and `StateStoreError`.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy

        token = new_token()
        payload: Any = write_items(self._table, before, after, change, token)
        try:
            self._client.transact_write_items(**payload)
        except (BotoCoreError, ClientError) as error:
            if not self._is_written(after.version, token):
                raise _as_told(error) from error
        if not self._is_written(after.version, token):  # something that answers 200 to anything
            raise StateStoreError("it was written but isn't there: is that DynamoDB?")
        return after

    def entry(self, version: int) -> Entry | None:
        """Give the change that made a version, None if there is none. Raises `StateStoreError` for a broken one."""
        item = self._item(history_key(version))
        return None if item is None else _read_entry(item)

    def history(self, name: str, limit: int) -> list[Entry]:
        """Give the changes of one canary, or of all where `name` is empty: the newest first, at most `limit`.

        Raises `StateStoreError` for a broken one.
        """
        entries: list[Entry] = []
        for page in self._pages():
            for item in page["Items"]:
                entry = _read_entry(item)
                if name in {"", entry.change.canary}:
                    entries.append(entry)
                if len(entries) == limit:
                    return entries
        return entries

    def _is_written(self, version: int, token: str) -> bool:
        item = self._item(history_key(version))
        return item is not None and item.get("token", {}).get("S") == token

    def _item(self, place: tuple[str, str]) -> Mapping[str, Any] | None:
        key: Any = _key(*place)
        item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        if item is not None and any(item[name] != value for name, value in key.items()):
            raise StateStoreError("what answers there isn't DynamoDB")
        return item

    def _pages(self) -> Any:
        return self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": HISTORY_PARTITION}},
            ScanIndexForward=False,
            ConsistentRead=True,
        )


@contextmanager
def canary_table(target: Target) -> Iterator[CanaryTable]:
    """Give the states of a target; what goes wrong with them becomes click's exceptions."""
    name = target.config_table()
    try:
        with dynamodb_errors(name):
            yield CanaryTable(target.client("dynamodb"), name)
    except StateStoreError as error:
        raise click.ClickException(f"table {name}: {error}") from None
    except StateConflictError as error:
        raise click.ClickException(f"{error}; look at them and try again") from None


def _read_entry(item: Mapping[str, Any]) -> Entry:
    try:
        change = Change(
            at_s=int(item["at"]["N"]),
            by=str(item["by"]["S"]),
            what=str(item["what"]["S"]),
            canary=str(item["canary"]["S"]),
            reason=str(item["reason"]["S"]),
        )
        before, after = (load_state(item[name]["S"]) for name in ("before", "after"))
        return Entry(int(item["sk"]["S"]), change, before, after)
    except (KeyError, TypeError, ValueError):
        raise StateStoreError("the history of canaries is broken") from None


def _as_told(error: Exception) -> Exception:
    """Give `StateConflictError` for a transaction that was cancelled because of somebody else's, else the error."""
    answer = getattr(error, "response", {})
    codes = {reason.get("Code") for reason in answer.get("CancellationReasons", [])}
    return error if codes.isdisjoint(_CONFLICTS) else StateConflictError("somebody else has changed the canaries")


def _key(pk: str, sk: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}
