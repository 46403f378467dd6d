"""API keys as the `config` table stores them: an item for each, and beside it an entry in the index of all keys.

The index is the partition `keys`, an entry for each key under its id, so that listing the keys reads nothing else of
the table, which holds megabytes of policies too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sallyport.adapters.dynamodb_keys import SORT_KEY
from sallyport.identity.api_keys import NewKey, mint
from sallyport.policy.rules import SCOPES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

KEY_INDEX: Final = "keys"
"""The partition of the index. The functions' roles may read `key#*`, which this isn't."""
DEFAULT_SCOPES: Final = " ".join(scope for scope in SCOPES if scope not in {"apps", "canary"})
"""What a key may do unless its maker says otherwise: neither call an operator's own apps nor choose a canary's arm."""

# What is a key's own; all else of an item is its grant, which a rotation hands on.
_OWN: Final = frozenset({
    "pk", "sk", "secret_sha256", "created_at", "created_by", "not_after",
    "family", "rotated_from", "rotated_to", "revoked_at", "revoked_by",
})  # fmt: skip


@dataclass(frozen=True)
class KeyGrant:
    """Whose key it is and what it may do. Times are in epoch seconds; what is empty or None is left to the stack.

    `limits`: its own beside `requests_per_minute`, as `policy.limit_texts` writes them. `allow`: networks that it may
    be used from, none: any. `created_by`: who issued it.
    """

    tenant: str
    name: str
    subject: str = ""
    scopes: str = DEFAULT_SCOPES
    models: Sequence[str] = ()
    residency: Sequence[str] = ()
    requests_per_minute: int | None = None
    limits: Sequence[str] = ()
    not_after: int | None = None
    allow: Sequence[str] = ()
    created_by: str = ""


def create_key(client: DynamoDBClient, table: str, grant: KeyGrant) -> NewKey:
    """Mints a key and stores what is needed to recognise it; the text of the key is nowhere but in the result."""
    key = mint()
    store_key(client, table, key.key_id, key.secret_sha256, grant)
    return key


def store_key(
    client: DynamoDBClient, table: str, key_id: str, secret_sha256: str, grant: KeyGrant, created_at: int | None = None
) -> None:
    """Stores a key, made now by default; raises TransactionCanceledException if the key id is taken."""
    created_at = int(time.time()) if created_at is None else created_at
    store_item(client, table, key_item(key_id, secret_sha256, grant, created_at))


def store_item(client: DynamoDBClient, table: str, item: Mapping[str, Any]) -> None:
    """Stores a new key's item and its index entry; raises TransactionCanceledException if the key id is taken."""
    client.transact_write_items(TransactItems=new_item_writes(table, item))


def new_item_writes(table: str, item: Mapping[str, Any]) -> list[TransactWriteItemTypeDef]:
    """The writes, of one transaction, that store a new key's item with its entry in the index."""
    entry = index_key(key_id_of(item)) | {"tenant": item.get("tenant", {"S": ""})}
    return [
        {"Put": {"TableName": table, "Item": dict(item), "ConditionExpression": "attribute_not_exists(pk)"}},
        {"Put": {"TableName": table, "Item": entry}},
    ]


def key_id_of(item: Mapping[str, Any]) -> str:
    """The id of the key whose item it is."""
    return str(item["pk"]["S"]).removeprefix("key#")


def index_key(key_id: str) -> dict[str, Any]:
    """Where a key's entry in the index is, in DynamoDB's typed form."""
    return {"pk": {"S": KEY_INDEX}, "sk": {"S": key_id}}


def item_key(key_id: str) -> dict[str, Any]:
    """Where a key's item is, in DynamoDB's typed form."""
    return {"pk": {"S": f"key#{key_id}"}, "sk": {"S": SORT_KEY}}


def key_item(key_id: str, secret_sha256: str, grant: KeyGrant, created_at: int) -> dict[str, Any]:
    """The item, in DynamoDB's typed form."""
    texts = {
        "secret_sha256": secret_sha256,
        "tenant": grant.tenant,
        "name": grant.name,
        "subject": grant.subject or grant.name,
        "scopes": grant.scopes,
        "models": ",".join(grant.models),
        "residency": ",".join(grant.residency),
        "limits": ",".join(grant.limits),
        "allow": ",".join(grant.allow),
        "created_by": grant.created_by,
    }
    numbers = {
        "created_at": created_at,
        "not_after": grant.not_after,
        "requests_per_minute": grant.requests_per_minute,
    }
    return item_key(key_id) | _typed(texts, numbers)


def successor_item(
    old: Mapping[str, Any], key: NewKey, *, created_by: str, created_at: int, not_after: int | None
) -> dict[str, Any]:
    """The item of the key that replaces another: the same grant, and the family that both are counted under."""
    old_id = key_id_of(old)
    texts = {
        "secret_sha256": key.secret_sha256,
        "family": str(old.get("family", {}).get("S", "")) or old_id,
        "rotated_from": old_id,
        "created_by": created_by,
    }
    grant = {name: value for name, value in old.items() if name not in _OWN}
    return grant | item_key(key.key_id) | _typed(texts, {"created_at": created_at, "not_after": not_after})


def _typed(texts: Mapping[str, str], numbers: Mapping[str, int | None]) -> dict[str, Any]:
    """Attributes in DynamoDB's typed form; what is empty or None is left out."""
    return {name: {"S": text} for name, text in texts.items() if text} | {
        name: {"N": str(number)} for name, number in numbers.items() if number is not None
    }
