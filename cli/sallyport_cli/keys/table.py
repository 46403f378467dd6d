"""Keys in the `config` table: every change is one conditional write, and a new or revoked key is read back.

Reading back catches what answers 200 to anything without being DynamoDB, and a write that was made twice because the
answer was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from sallyport.adapters.dynamodb_keys import SORT_KEY
from sallyport.identity.api_keys import NewKey, mint
from sallyport_cli.key_items import KeyGrant, item_key, store_key
from sallyport_cli.keys.faults import dynamodb_errors, not_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef, UpdateTypeDef

# All that a list shows. The hash isn't among them: it needn't leave the table.
_SHOWN: Final = (
    "pk", "tenant", "name", "subject", "scopes", "models", "residency", "allow", "requests_per_minute", "created_at",
    "created_by", "not_after", "revoked_at", "revoked_by", "family", "rotated_from", "rotated_to",
)  # fmt: skip

_NOT_THERE: Final = "attribute_not_exists(pk)"

type StoredItem = Mapping[str, Any]
"""A key's item in DynamoDB's typed form."""


class RotationLostError(Exception):
    """The key isn't any more as it was when it was read, so nothing was changed."""


class KeyTable:
    """The keys of one table, by a client of DynamoDB. Methods raise click's exception where it doesn't serve them."""

    def __init__(self, client: DynamoDBClient, name: str, page_size: int = 1000) -> None:
        self.client = client
        self._name = name
        self._page_size = page_size

    def create(self, grant: KeyGrant, now_s: int) -> tuple[NewKey, StoredItem]:
        """Mint a key and store its item; give both."""
        key = mint()
        # A repeated write finds its own item there already; reading back tells whether it is that.
        with dynamodb_errors(self._name), suppress(self.client.exceptions.ConditionalCheckFailedException):
            store_key(self.client, self._name, key.key_id, key.secret_sha256, grant, now_s)
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

    def items(self) -> list[StoredItem]:
        """Give every key's item, without its hash, in no order. The whole table is read for it."""
        with dynamodb_errors(self._name):
            return [item for page in self._pages() for item in page]

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
            {"Put": {"TableName": self._name, "Item": dict(successor), "ConditionExpression": _NOT_THERE}},
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

    def _pages(self) -> Iterator[list[StoredItem]]:
        """Read the whole table, page by page. `name` and others are words that DynamoDB reserves: all go by numbers."""
        pages = self.client.get_paginator("scan").paginate(
            TableName=self._name,
            FilterExpression="sk = :sk AND begins_with(pk, :prefix)",
            ProjectionExpression=", ".join(f"#{number}" for number in range(len(_SHOWN))),
            ExpressionAttributeNames={f"#{number}": name for number, name in enumerate(_SHOWN)},
            ExpressionAttributeValues={":sk": {"S": SORT_KEY}, ":prefix": {"S": "key#"}},
            ConsistentRead=True,
            PaginationConfig={"PageSize": self._page_size},
        )
        for page in pages:
            if not all("pk" in item for item in page["Items"]):
                raise not_dynamodb(self._name)
            yield list(page["Items"])

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


def _is_of(key: NewKey, item: StoredItem | None) -> bool:
    return item is not None and item.get("secret_sha256") == {"S": key.secret_sha256}
