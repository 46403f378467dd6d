"""What the commands print. On stdout stands what was asked for, on stderr what is said about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

from sallyport_cli.keys.stored import StoredKey, day, moment

_HEADINGS: Final = ("ID", "TENANT", "NAME", "SCOPES", "MODELS", "LIMITS", "STATE", "LAST USED", "CREATED")
_WIDEST: Final = 40


def print_json(value: Any) -> None:
    """Print one JSON value."""
    print(json.dumps(value))


def print_table(keys: Iterable[StoredKey], now_s: float) -> None:
    """Print one line per key."""
    rows = [_HEADINGS, *(_row(key, now_s) for key in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_key(key: StoredKey, now_s: float) -> None:
    """Print all of one key, a line for each thing that is set."""
    for name, value in (key.as_json(now_s) | {"state": key.state_in_words(now_s)}).items():
        if value not in (None, []):
            shown = ", ".join(value) if isinstance(value, list) else value
            print(f"{name.replace('_', ' ') + ':':<21}{shown}")


def print_new_key(text: str, stored: StoredKey, now_s: float, output: str, **more: Any) -> None:
    """Print a key's text: the only time that it is ever shown."""
    if output == "json":
        print_json({**stored.as_json(now_s), "key": text, **more})
        return
    print(text)
    end_s = stored.number("not_after")
    expires = "never" if end_s is None else moment(end_s)
    click.echo(f"key {stored.key_id} of {stored.text('tenant')}, expires: {expires}. Not shown again.", err=True)


def _row(key: StoredKey, now_s: float) -> Sequence[str]:
    return (
        key.key_id,
        key.text("tenant") or "-",
        key.text("name") or "-",
        key.text("scopes") or "-",
        _short(key.text("models") or "all"),
        _short(",".join(key.limits()) or "-"),
        key.state_in_words(now_s),
        key.last_used or "-",
        day(key.number("created_at")),
    )


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 2] + ".."
