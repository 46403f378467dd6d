"""Whom counters are counted for: a tenant's keys, or one caller by JWT."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click

from sallyport.access.networks import NetworkSet
from sallyport.identity.api_keys import read_record
from sallyport.limits.selection import caller_values
from sallyport.policy.limit_rules import LimitRule
from sallyport_cli.keys.stored import StoredKey
from sallyport_cli.keys.table import KeyTable

MAX_KEYS: Final = 50
_IN_USE: Final = frozenset({"active", "rotating"})


@dataclass(frozen=True)
class Part:
    """One part of a scope: the value that the router counts under, what it is called, and a note for people."""

    value: str
    name: str
    note: str = ""

    def __str__(self) -> str:
        """Give the name with its note."""
        return f"{self.name} ({self.note})" if self.note else self.name


@dataclass(frozen=True)
class Caller:
    """One caller by its key and subject, where they are known, and the limits of its own key."""

    parts: Mapping[str, Part]
    key_rules: Sequence[LimitRule] = ()


def tenant_of_key(table: KeyTable, key_id: str, tenant: str) -> tuple[str, Caller]:
    """Give a key's tenant and the caller who has it. Raises click's exception for a key of another `tenant`."""
    item = table.read(key_id)
    if item is None:
        raise click.ClickException(f"no such key: {key_id}")
    key = StoredKey.of(item)
    found = key.text("tenant")
    if tenant not in {"", found}:
        raise click.ClickException(f"key {key_id} is of the tenant {found}, not of {tenant}")
    return found, caller_with_key(key)


def caller_with_key(key: StoredKey) -> Caller:
    """Give the caller who has a key. Keys that were rotated into one another share their counters."""
    tenant, subject = key.text("tenant"), key.text("subject")
    values = caller_values(tenant=tenant, subject=subject, key=key.text("family") or key.key_id)
    by_key = Part(values["key"], key.key_id, key.text("name"))
    return Caller({"key": by_key, "subject": Part(values["subject"], subject)}, _rules_of(key))


def caller_with_token(tenant: str, subject: str) -> Caller:
    """Give the caller whose JWT names a subject. Its limits by key are counted for tenant and subject."""
    values = caller_values(tenant=tenant, subject=subject)
    return Caller({"key": Part(values["key"], subject, "JWT"), "subject": Part(values["subject"], subject)})


def callers_of(table: KeyTable, tenant: str) -> tuple[list[Caller], int]:
    """Give the callers with a tenant's keys that are in use, and how many more there are than are given."""
    now_s = time.time()
    keys = [key for key in map(StoredKey.of, table.items(tenant)) if key.state(now_s) in _IN_USE]
    keys.sort(key=lambda key: -(key.number("created_at") or 0))
    families = {key.text("family") or key.key_id: key for key in reversed(keys)}  # the newest of each
    shown = sorted(families.values(), key=lambda key: (key.text("name"), key.key_id))
    return [caller_with_key(key) for key in shown[:MAX_KEYS]], max(len(shown) - MAX_KEYS, 0)


def _rules_of(key: StoredKey) -> Sequence[LimitRule]:
    """Give a key's own limits. Raises click's exception for a broken record, which lets nobody in either."""
    try:
        return read_record(key.key_id, key.attributes, NetworkSet).identity.limits
    except ValueError as error:
        raise click.ClickException(f"key {key.key_id}: its stored record is broken: {error}") from None
