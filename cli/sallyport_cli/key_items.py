"""API keys as the `config` table stores them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sallyport.identity.api_keys import NewKey, mint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ALL_SCOPES = "chat embeddings models"


@dataclass(frozen=True)
class KeyGrant:
    """Whose key it is and what it may do. Times are in epoch seconds; what is empty or None is left to the stack."""

    tenant: str
    name: str
    subject: str = ""
    scopes: str = ALL_SCOPES
    models: Sequence[str] = ()
    residency: Sequence[str] = ()
    requests_per_minute: int | None = None
    not_after: int | None = None


def create_key(client: DynamoDBClient, table: str, grant: KeyGrant) -> NewKey:
    """Mints a key and stores what is needed to recognise it; the text of the key is nowhere but in the result."""
    key = mint()
    store_key(client, table, key.key_id, key.secret_sha256, grant)
    return key


def store_key(client: DynamoDBClient, table: str, key_id: str, secret_sha256: str, grant: KeyGrant) -> None:
    """Stores a key's item; raises botocore's ConditionalCheckFailedException if the key id is taken."""
    client.put_item(
        TableName=table,
        Item=key_item(key_id, secret_sha256, grant, int(time.time())),
        ConditionExpression="attribute_not_exists(pk)",
    )


def key_item(key_id: str, secret_sha256: str, grant: KeyGrant, created_at: int) -> dict[str, Any]:
    """The item, in DynamoDB's typed form."""
    texts = {
        "pk": f"key#{key_id}",
        "sk": "key",
        "secret_sha256": secret_sha256,
        "tenant": grant.tenant,
        "name": grant.name,
        "subject": grant.subject or grant.name,
        "scopes": grant.scopes,
        "models": ",".join(grant.models),
        "residency": ",".join(grant.residency),
    }
    numbers = {
        "created_at": created_at,
        "not_after": grant.not_after,
        "requests_per_minute": grant.requests_per_minute,
    }
    return {name: {"S": text} for name, text in texts.items() if text} | {
        name: {"N": str(number)} for name, number in numbers.items() if number is not None
    }
