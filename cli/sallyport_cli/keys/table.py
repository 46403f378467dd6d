"""Keys in the `config` table: every change is one conditional write, and a new or revoked key is read back.

A list is a query of the index of all keys, and a read of those wanted.

Reading back catches what answers 200 to anything without being DynamoDB, and a write that was made twice because the
answer was lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from sallyport.identity.api_keys import NewKey, mint
from sallyport_cli.key_items import KEY_INDEX, KeyGrant, item_key, new_item_writes, store_key
from sallyport_cli.keys.batches import LeftUnreadError, read_items
from sallyport_cli.keys.faults import dynamodb_errors, not_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef, UpdateTypeDef

# All that a list shows. The hash isn't among them: it needn't leave the table.
_SHOWN: Final = (
    "pk", "tenant", "name", "subject", "scopes", "models", "residency", "allow", "requests_per_minute", "limits",
    "created_at", "created_by", "not_after", "revoked_at", "revoked_by", "family", "rotated_from", "rotated_to",
)  # fmt: skip

type StoredItem = Mapping[str, Any]
"""A key's item in DynamoDB's typed form."""


class RotationLostError(Exception):
    """The key isn't any more as it was when it was read, so nothing was changed."""


class KeyTable:
    """The keys of one table, by a client of DynamoDB. Methods raise click's exception where it doesn't serve them."""

    def __init__(
        self, client: DynamoDBClient, name: str, page_size: int = 1000, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.client = client
        self._name = name
        self._page_size = page_size
        self._pause = pause

    def create(self, grant: KeyGrant, now_s: int) -> tuple[NewKey, StoredItem]:
        """Mint a key and store its item; give both.

        An answer that got lost is made up for by a look, as is a repeated write, which finds its own item there.
        """
        key = mint()
        try:
            with dynamodb_errors(self._name):
                store_key(self.client, self._name, key.key_id, key.secret_sha256, grant, now_s)
        except click.ClickException:
            if not _is_of(key, self.read(key.key_id)):
                raise
        item = self.read(key.key_id)
        if item is None or not _is_of(key, item):
            raise self._not_stored()
        return key, item

    def read(self, key_id: str) -> StoredItem | None:
        """Give a key's item, None if there is none."""
        with dynamodb_errors(self._name):
            item = self.client.get_item(TableName=self._name, Key=item_key(key_id), ConsistentRead=True).get("Item")
        if item is not None and any(item.get(name) != value for name, value in item_key(key_id).items()):
            raise not_dynamodb(self._name)
        return item

    def items(self, tenant: str | None = None) -> list[StoredItem]:
        """Give the item of every key in the index, or of a tenant's, without its hash, in no order."""
        with dynamodb_errors(self._name):
            keys = [
                item_key(str(entry["sk"]["S"]))
                for entry in self._index()
                if tenant is None or entry.get("tenant") == {"S": tenant}
            ]
            try:
                items = list(read_items(self.client, self._name, keys, self._pause, **_projection()))
            except LeftUnreadError as error:
                raise click.ClickException(f"table {self._name}: {error}") from None
        if not all("pk" in item for item in items):
            raise not_dynamodb(self._name)
        return items

    def revoke(self, key_id: str, by: str, now_s: int) -> tuple[StoredItem, bool] | None:
        """Revoke a key; give its item and whether it was revoked now, None if there is no such key."""
        with dynamodb_errors(self._name):
            try:
                self._mark_revoked(key_id, by, now_s)
                revoked_now = True
            except self.client.exceptions.ConditionalCheckFailedException:
                revoked_now = False
        item = self.read(key_id)
        if item is None and not revoked_now:
            return None
        if item is None or "revoked_at" not in item:
            raise self._not_stored()
        return item, revoked_now or item["revoked_at"] == {"N": str(now_s)}

    def rotate(self, old: StoredItem, successor: StoredItem, key: NewKey, ends_at_s: int) -> None:
        """Store the item of `key`, a key's successor, and end that key, both or neither. Raises `RotationLostError`.

        An answer that got lost is made up for by a look: the new key's text, which is nowhere else, would be lost too.
        """
        changes: list[TransactWriteItemTypeDef] = [
            {"Update": self._ending(old, key.key_id, ends_at_s)},
            *new_item_writes(self._name, successor),
        ]
        try:
            with dynamodb_errors(self._name):
                self._transact(changes)
        except click.ClickException:
            if not _is_of(key, self.read(key.key_id)):
                raise

    def _transact(self, changes: Sequence[TransactWriteItemTypeDef]) -> None:
        try:
            self.client.transact_write_items(TransactItems=changes)
        except self.client.exceptions.TransactionCanceledException as error:
            raise RotationLostError from error

    def _index(self) -> Iterator[StoredItem]:
        """Read the index, page by page."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": KEY_INDEX}},
            ConsistentRead=True,
            PaginationConfig={"PageSize": self._page_size},
        )
        for page in pages:
            yield from page["Items"]

    def _mark_revoked(self, key_id: str, by: str, now_s: int) -> None:
        self.client.update_item(
            TableName=self._name,
            Key=item_key(key_id),
            UpdateExpression="SET revoked_at = :now, revoked_by = :by",
            ConditionExpression="attribute_exists(pk) AND attribute_not_exists(revoked_at)",
            ExpressionAttributeValues={":now": {"N": str(now_s)}, ":by": {"S": by}},
        )

    def _ending(self, old: StoredItem, successor_id: str, ends_at_s: int) -> UpdateTypeDef:
        """The update that ends a key which is still as it was read: not revoked, not rotated, its end not moved."""
        values = {":end": {"N": str(ends_at_s)}, ":successor": {"S": successor_id}}
        same_end = "attribute_not_exists(not_after)"
        if "not_after" in old:
            same_end, values[":seen"] = "not_after = :seen", old["not_after"]
        return {
            "TableName": self._name,
            "Key": {"pk": old["pk"], "sk": old["sk"]},
            "UpdateExpression": "SET not_after = :end, rotated_to = :successor",
            "ConditionExpression": "attribute_exists(pk) AND attribute_not_exists(revoked_at)"
            f" AND attribute_not_exists(rotated_to) AND {same_end}",
            "ExpressionAttributeValues": values,
        }

    def _not_stored(self) -> click.ClickException:
        return click.ClickException(f"table {self._name}: it was written but isn't there: is that DynamoDB?")


def _projection() -> dict[str, Any]:
    """What to read of an item. `name` and others are words that DynamoDB reserves: all go by numbers."""
    return {
        "ProjectionExpression": ", ".join(f"#{number}" for number in range(len(_SHOWN))),
        "ExpressionAttributeNames": {f"#{number}": name for number, name in enumerate(_SHOWN)},
        "ConsistentRead": True,
    }


def _is_of(key: NewKey, item: StoredItem | None) -> bool:
    return item is not None and item.get("secret_sha256") == {"S": key.secret_sha256}
