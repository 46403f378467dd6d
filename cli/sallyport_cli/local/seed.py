"""The keys that an emulator is filled with, and only one on this machine.

The demo key is new at every start. Those of events/seed.json are the same for everybody, because the events carry them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from sallyport.identity.api_keys import parse
from sallyport_cli.key_items import KeyGrant, create_key, key_item, store_item
from sallyport_cli.local.emulated_data import is_loopback

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DEMO_GRANT = KeyGrant(tenant="demo", name="demo", subject="demo")


def seed_demo_key(client: DynamoDBClient, table: str) -> str:
    """Stores a new demo key and gives its text; raises ValueError where the endpoint isn't on this machine."""
    _check_loopback(client)
    return create_key(client, table, DEMO_GRANT).text


class SeededKey(BaseModel):
    """A key whose text everybody knows."""

    key: str
    tenant: str
    name: str
    allow: list[str] = []
    revoked: bool = False

    def store(self, client: DynamoDBClient, table: str) -> None:
        """Stores it; raises ValueError where it is no key, or the endpoint isn't on this machine."""
        _check_loopback(client)
        parts = parse(self.key)
        if parts is None:
            raise ValueError(f"the key named {self.name} has a typing error")
        grant = KeyGrant(tenant=self.tenant, name=self.name, allow=self.allow)
        item = key_item(parts.key_id, parts.secret_sha256, grant, int(time.time()))
        revoked: dict[str, Any] = {"revoked_at": item["created_at"]} if self.revoked else {}
        store_item(client, table, {**item, **revoked})


class Seed(BaseModel):
    """Keys, and secrets by their name after the stack's."""

    keys: list[SeededKey] = []
    secrets: dict[str, str] = {}


def read_seed(path: Path) -> Seed:
    """What the file holds; nothing where there is none."""
    return Seed.model_validate_json(path.read_bytes()) if path.is_file() else Seed()


def _check_loopback(client: DynamoDBClient) -> None:
    endpoint = client.meta.endpoint_url
    if not is_loopback(endpoint):
        raise ValueError(f"a key that is shown to everybody is never written to {endpoint}")
