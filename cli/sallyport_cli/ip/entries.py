"""Changes of the entries that `sallyport ip` keeps, and the lists of networks that it is given."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from sallyport.access.networks import parse_network
from sallyport_cli.policy.ip_rules import IpEntry, IpRules
from sallyport_cli.policy.operating import RefusedError

type ListName = Literal["allow", "deny"]

MAX_ENTRIES: Final = 10_000
_MAX_SHOWN: Final = 20


def read_networks(arguments: Sequence[str], file: str | None) -> list[str]:
    """Give the networks of the arguments and of a file: one in a line, `#` begins a comment, `-` is stdin.

    Raises `RefusedError` that names every one that can't be read, and where there are none.
    """
    named = [("", text) for text in arguments]
    named += [] if file is None else _lines(file)
    if not named:
        raise RefusedError(f"{file}: has no networks")
    problems = [f"{place}{reason}" for place, text in named if (reason := _fault(text))]
    if len(problems) > _MAX_SHOWN:
        problems[_MAX_SHOWN:] = [f"and {len(problems) - _MAX_SHOWN:,} more"]
    if problems:
        raise RefusedError("\n".join(problems))
    networks: dict[Hashable, str] = {}
    for _, text in named:
        networks.setdefault(parse_network(text), text)
    return list(networks.values())


def entries_of(rules: IpRules, name: ListName) -> tuple[IpEntry, ...]:
    """Give one of the two lists."""
    return rules.allow if name == "allow" else rules.deny


def with_entries(rules: IpRules, name: ListName, added: Sequence[IpEntry]) -> IpRules:
    """Add entries to a list, but for networks that are in it already. Raises `RefusedError` where it gets too long."""
    entries = entries_of(rules, name)
    known = networks_in(entries)
    fresh = tuple(entry for entry in added if parse_network(entry.network) not in known)
    if len(entries) + len(fresh) > MAX_ENTRIES:
        raise RefusedError(f"at most {MAX_ENTRIES:,} entries; longer lists go into the policy document")
    return _with_list(rules, name, (*entries, *fresh))


def without_networks(rules: IpRules, networks: Sequence[str]) -> IpRules:
    """Take networks out of both lists."""
    gone = {parse_network(network) for network in networks}
    kept = [
        tuple(entry for entry in entries if parse_network(entry.network) not in gone)
        for entries in (rules.allow, rules.deny)
    ]
    return IpRules(*kept)


def networks_in(entries: Sequence[IpEntry]) -> set[Hashable]:
    """Give the networks of entries, for comparing: two spellings of one are the same."""
    return {parse_network(entry.network) for entry in entries}


def _with_list(rules: IpRules, name: ListName, entries: tuple[IpEntry, ...]) -> IpRules:
    return replace(rules, allow=entries) if name == "allow" else replace(rules, deny=entries)


def _lines(file: str) -> list[tuple[str, str]]:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except OSError as error:
        raise RefusedError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RefusedError(f"{file}: isn't UTF-8") from None
    texts = [line.partition("#")[0].strip() for line in lines]
    return [(f"{file}:{number}: ", text) for number, text in enumerate(texts, 1) if text]


def _fault(text: str) -> str:
    try:
        parse_network(text)
    except ValueError as error:
        return str(error)
    return ""
