"""What `sallyport ip` adds: networks beside the document's, which stay when another document is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from sallyport.access.networks import NetworkSet


@dataclass(frozen=True)
class IpEntry:
    """A network, as the operator wrote it; since when (epoch seconds), by whom and why."""

    network: str
    note: str = ""
    added_at: int = 0
    added_by: str = ""


@dataclass(frozen=True)
class IpRules:
    """The entries of both lists, in the order in which they came."""

    allow: tuple[IpEntry, ...] = ()
    deny: tuple[IpEntry, ...] = ()

    def as_json(self) -> dict[str, list[dict[str, Any]]]:
        """Give the form in which they are stored."""
        return {"allow": [asdict(entry) for entry in self.allow], "deny": [asdict(entry) for entry in self.deny]}

    def packed(self) -> dict[str, Any]:
        """Give the form that the functions read."""
        return {"allow": _pack(self.allow), "deny": _pack(self.deny)}


_FIELDS: Final = tuple(field.name for field in fields(IpEntry))
NO_IP_RULES: Final = IpRules()


def read_ip_rules(stored: Mapping[str, Sequence[Mapping[str, Any]]]) -> IpRules:
    """Read what `as_json` gave, or another version of it. Raises `KeyError` and `TypeError`."""
    return IpRules(_entries(stored["allow"]), _entries(stored["deny"]))


def _entries(stored: Sequence[Mapping[str, Any]]) -> tuple[IpEntry, ...]:
    return tuple(IpEntry(**{name: entry[name] for name in _FIELDS if name in entry}) for entry in stored)


def _pack(entries: Sequence[IpEntry]) -> dict[str, Any]:
    return NetworkSet(entry.network for entry in entries).pack()
