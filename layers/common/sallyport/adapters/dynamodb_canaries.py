"""The canaries' states and the history of their changes, in the `config` table."""

from collections.abc import Mapping
from typing import Any

from sallyport.adapters.aws_client import AwsCall, AwsError
from sallyport.policy.canary_rules import CanaryStates
from sallyport.policy.canary_states import (
    STATE_KEY,
    Change,
    StateConflictError,
    StateStoreError,
    history_key,
    new_token,
    read_state_item,
    write_items,
)

_CONFLICTS = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
"""Reasons for which a transaction was cancelled ("TransactWriteItems", Errors) that mean somebody else's."""

_IN_PROGRESS = "TransactionInProgressException"
"""The first try of the same call isn't over yet ("TransactWriteItems", Errors)."""


class DynamoDbCanaryStateStore:
    """A `CanaryStateStore` in a table. Routers only read it."""

    def __init__(self, client: AwsCall, table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> CanaryStates:
        """Give the newest states; version 0 where there are none. Raises `StateStoreError`, also for broken ones."""
        return read_state_item(self._get(STATE_KEY))

    def write(self, before: CanaryStates, after: CanaryStates, change: Change) -> CanaryStates:
        """Put `after` in the place of `before`, with its entry in the history, and give it.

        Raises `StateConflictError` if the stored version isn't that of `before`, and `StateStoreError`.
        """
        token = new_token()
        try:
            self._client.call("TransactWriteItems", write_items(self._table, before, after, change, token))
        except AwsError as error:
            if not (_is_conflict(error) or error.is_uncertain or error.code == _IN_PROGRESS):
                raise StateStoreError(error.code) from error
            if not self._is_written(after.version, token):
                raise _as_told(error) from error
        return after

    def _is_written(self, version: int, token: str) -> bool:
        """Say whether a call that seems to have failed was carried out: its first try may have been."""
        item = self._get(history_key(version))
        return item is not None and item.get("token", {}).get("S") == token

    def _get(self, key: tuple[str, str]) -> Mapping[str, Any] | None:
        pk, sk = key
        payload = {"TableName": self._table, "Key": {"pk": {"S": pk}, "sk": {"S": sk}}, "ConsistentRead": True}
        try:
            return self._client.call("GetItem", payload).get("Item")
        except AwsError as error:
            raise StateStoreError(error.code) from error


def _is_conflict(error: AwsError) -> bool:
    reasons = error.answer.get("CancellationReasons") or ()
    return error.code == "TransactionCanceledException" and any(one.get("Code") in _CONFLICTS for one in reasons)


def _as_told(error: AwsError) -> StateConflictError | StateStoreError:
    if _is_conflict(error):
        return StateConflictError("the canaries' states have been changed by somebody else")
    return StateStoreError(error.code)
