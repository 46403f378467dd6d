"""The keys that an emulator is filled with, and only one on this machine.

The demo key is new at every start. Those of events/seed.json are the same for everybody, because the events carry them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError, field_validator

from sallyport.identity.api_keys import KeyParts, parse
from sallyport.policy.rules import SCOPES
from sallyport_cli.key_items import KeyGrant, create_key, key_item, store_item
from sallyport_cli.local.emulated_data import is_loopback

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DEMO_GRANT = KeyGrant(tenant="demo", name="demo", subject="demo", scopes=" ".join(SCOPES))


def seed_demo_key(client: DynamoDBClient, table: str) -> str:
    """Stores a new demo key and gives its text; raises ValueError where the endpoint isn't on this machine."""
    _check_loopback(client)
    return create_key(client, table, DEMO_GRANT).text


class SeedError(Exception):
    """A file of events/ can't be taken; the text is a line for each mistake: `file: field: reason`."""


class SeededKey(BaseModel):
    """A key whose text everybody knows."""

    key: str
    tenant: str
    name: str
    allow: list[str] = []
    revoked: bool = False

    @field_validator("key")
    @classmethod
    def _is_key(cls, text: str) -> str:
        if parse(text) is None:
            raise ValueError("isn't a key: a typing error")
        return text

    @property
    def parts(self) -> KeyParts:
        """What the text is made of."""
        parts = parse(self.key)
        assert parts is not None
        return parts

    def store(self, client: DynamoDBClient, table: str) -> None:
        """Stores it; raises ValueError where the endpoint isn't on this machine."""
        _check_loopback(client)
        grant = KeyGrant(tenant=self.tenant, name=self.name, allow=self.allow)
        item = key_item(self.parts.key_id, self.parts.secret_sha256, grant, int(time.time()))
        revoked: dict[str, Any] = {"revoked_at": item["created_at"]} if self.revoked else {}
        store_item(client, table, {**item, **revoked})


class Seed(BaseModel):
    """Keys, and secrets by their name after the stack's."""

    keys: list[SeededKey] = []
    secrets: dict[str, str] = {}

    @field_validator("keys")
    @classmethod
    def _are_different(cls, keys: list[SeededKey]) -> list[SeededKey]:
        if len({key.parts.key_id for key in keys}) < len(keys):
            raise ValueError("one of them is there twice")
        return keys


def read_seed(path: Path) -> Seed:
    """What the file holds; nothing where there is none. Raises `SeedError`, which repeats no key and no secret."""
    if not path.is_file():
        return Seed()
    try:
        return Seed.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise SeedError("\n".join(f"{path}: {mistake}" for mistake in _mistakes(error))) from None


def read_example_key(path: Path) -> KeyParts | None:
    """The example key's parts; None where there is no such file. Raises `SeedError`."""
    if not path.is_file():
        return None
    try:
        parts = parse(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        parts = None
    if parts is None:
        raise SeedError(f"{path}: isn't a key: a typing error")
    return parts


def _mistakes(error: ValidationError) -> Iterator[str]:
    for mistake in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in mistake["loc"])
        reason = mistake["msg"].removeprefix("Value error, ")
        yield f"{where}: {reason}" if where else reason


def _check_loopback(client: DynamoDBClient) -> None:
    endpoint = client.meta.endpoint_url
    if not is_loopback(endpoint):
        raise ValueError(f"a key that is shown to everybody is never written to {endpoint}")
