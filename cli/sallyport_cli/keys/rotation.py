"""Rotation: a key is replaced by one with the same grant, and both work for a while, so that no call fails."""

from __future__ import annotations

from dataclasses import dataclass

import click

from sallyport.identity.api_keys import NewKey, mint
from sallyport_cli.key_items import successor_item
from sallyport_cli.keys.stored import StoredKey, moment
from sallyport_cli.keys.table import KeyTable, RotationLostError, StoredItem


@dataclass(frozen=True)
class Rotation:
    """What to replace: the old key works for `grace_s` more seconds; None for `not_after`: the old key's own end."""

    key_id: str
    grace_s: int
    not_after: int | None
    created_by: str


def rotate_key(table: KeyTable, rotation: Rotation, now_s: int) -> tuple[NewKey, StoredItem, int]:
    """Replace a key; give the new one, its item, and the old one's end. Raises click's exception."""
    old = _read(table, rotation.key_id)
    _refuse_unless_in_use(StoredKey.of(old), now_s)
    end_s = StoredKey.of(old).number("not_after")
    not_after = end_s if rotation.not_after is None else rotation.not_after
    ends_at_s = now_s + rotation.grace_s if end_s is None else min(now_s + rotation.grace_s, end_s)
    key = mint()
    successor = successor_item(old, key, created_by=rotation.created_by, created_at=now_s, not_after=not_after)
    try:
        table.rotate(old, successor, key, ends_at_s)
    except RotationLostError:
        _refuse_unless_in_use(StoredKey.of(_read(table, rotation.key_id)), now_s)
        raise click.ClickException(f"key {rotation.key_id} was changed meanwhile; nothing was done") from None
    return key, successor, ends_at_s


def _read(table: KeyTable, key_id: str) -> StoredItem:
    item = table.read(key_id)
    if item is None:
        raise click.ClickException(f"no such key: {key_id}")
    return item


def _refuse_unless_in_use(key: StoredKey, now_s: int) -> None:
    state = key.state(now_s)
    if "rotated_to" in key.attributes and state != "revoked":
        raise click.ClickException(f"key {key.key_id} was rotated already: {key.text('rotated_to')} replaces it")
    if state == "revoked":
        raise click.ClickException(f"key {key.key_id} was revoked at {moment(key.number('revoked_at') or 0)}")
    if state == "expired":
        raise click.ClickException(f"key {key.key_id} expired at {moment(key.number('not_after') or 0)}")
    if state == "broken":
        raise click.ClickException(f"key {key.key_id}: its stored record is broken")
