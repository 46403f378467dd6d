"""The demo key: random, new at every start, and only ever written to an emulator on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sallyport_cli.key_items import KeyGrant, create_key
from sallyport_cli.local.emulated_data import is_loopback

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DEMO_GRANT = KeyGrant(tenant="demo", name="demo", subject="demo")


def seed_demo_key(client: DynamoDBClient, table: str) -> str:
    """Stores a new demo key and gives its text; raises ValueError where the endpoint isn't on this machine."""
    endpoint = client.meta.endpoint_url
    if not is_loopback(endpoint):
        raise ValueError(f"a demo key is never written to {endpoint}")
    return create_key(client, table, DEMO_GRANT).text
