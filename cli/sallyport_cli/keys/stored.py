"""A stored key as an operator sees it: everything but its hash."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sallyport.access.networks import NetworkSet
from sallyport.adapters.dynamodb_keys import read_attributes
from sallyport.identity.api_keys import read_record
from sallyport_cli.printable import printable

type State = Literal["active", "rotating", "expired", "revoked", "broken"]

_SOON_S: Final = 30 * 86_400


@dataclass(frozen=True)
class StoredKey:
    """One key's attributes, and the day of its last use where that is known."""

    key_id: str
    attributes: Mapping[str, str | int | None]
    last_used: str | None = None

    @classmethod
    def of(cls, item: Mapping[str, Any], last_used: Mapping[str, str] | None = None) -> StoredKey:
        """Read an item in DynamoDB's typed form; `last_used` holds days by key id."""
        attributes = read_attributes(item)
        key_id = str(attributes.pop("pk")).removeprefix("key#")
        for name in ("sk", "secret_sha256"):
            attributes.pop(name, None)
        return cls(key_id, attributes, (last_used or {}).get(key_id))

    def text(self, name: str) -> str:
        """A text, fit to be shown on a terminal whatever somebody stored; empty where there is none."""
        value = self.attributes.get(name)
        return printable(value) if isinstance(value, str) else ""

    def items(self, name: str) -> list[str] | None:
        """A comma-separated list, None where there is none."""
        return [part.strip() for part in self.text(name).split(",")] if self.text(name) else None

    def limits(self) -> list[str]:
        """Its own limits, such as `tokens=50000/1m`; requests per minute have an attribute of their own."""
        rate = self.number("requests_per_minute")
        return [*([] if rate is None else [f"requests={rate}/1m"]), *(self.items("limits") or [])]

    def number(self, name: str) -> int | None:
        """A number, None where there is none."""
        value = self.attributes.get(name)
        return value if isinstance(value, int) else None

    def state(self, now_s: float) -> State:
        """How the first door sees it. A key that was rotated is `rotating` until it expires."""
        if self.number("revoked_at") is not None:
            return "revoked"
        if self._is_broken():
            return "broken"
        end_s = self.number("not_after")
        if end_s is not None and end_s <= now_s:
            return "expired"
        return "rotating" if "rotated_to" in self.attributes else "active"

    def state_in_words(self, now_s: float) -> str:
        """The state, with the time at which it will change where that is near."""
        state, end_s = self.state(now_s), self.number("not_after")
        if end_s is None or state not in {"active", "rotating"}:
            return state
        if state == "rotating":
            return f"rotating until {moment(end_s)}"
        return f"expires in {_span(end_s - now_s)}" if end_s - now_s < _SOON_S else state

    def as_json(self, now_s: float) -> dict[str, Any]:
        """All of it, for `--output json`. Times are ISO 8601 in UTC; what isn't set is null."""
        return {
            "key_id": self.key_id,
            "tenant": self.text("tenant"),
            "name": self.text("name"),
            "subject": self.text("subject"),
            "scopes": self.text("scopes").split(),
            "models": self.items("models"),
            "residency": self.items("residency"),
            "allow": self.items("allow") or [],
            "requests_per_minute": self.number("requests_per_minute"),
            "limits": self.limits(),
            "state": self.state(now_s),
            "created": iso(self.number("created_at")),
            "created_by": self.text("created_by") or None,
            "expires": iso(self.number("not_after")),
            "revoked": iso(self.number("revoked_at")),
            "revoked_by": self.text("revoked_by") or None,
            "last_used": self.last_used,
            "family": self.text("family") or None,
            "rotated_from": self.text("rotated_from") or None,
            "rotated_to": self.text("rotated_to") or None,
        }

    def _is_broken(self) -> bool:
        try:
            read_record(self.key_id, self.attributes, NetworkSet)
        except ValueError:
            return True
        return False


def moment(epoch_s: int) -> str:
    """A time for people, such as `2027-01-31 08:30 UTC`."""
    at = _at(epoch_s)
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else str(epoch_s)


def day(epoch_s: int | None) -> str:
    """A day for people, `-` where there is none."""
    at = None if epoch_s is None else _at(epoch_s)
    return f"{at:%Y-%m-%d}" if at else "-"


def iso(epoch_s: int | None) -> str | None:
    """A time for programs: ISO 8601 in UTC, None where there is none."""
    at = None if epoch_s is None else _at(epoch_s)
    return at.isoformat() if at else None


def _at(epoch_s: int) -> datetime | None:
    """None for a number that is no time: anybody who may write the table may store one."""
    try:
        return datetime.fromtimestamp(epoch_s, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _span(seconds: float) -> str:
    for unit, unit_s in (("days", 86_400), ("hours", 3600)):
        if seconds >= 2 * unit_s:
            return f"{math.floor(seconds / unit_s)} {unit}"
    return f"{max(1, math.floor(seconds / 60))} min"
