"""What a change does to everyone: the allow list begins or loses its document, a deny list leaves nobody.

Judged by the document and the entries of `sallyport ip` alone; the stack's parameters aren't looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from sallyport.access.networks import parse_network
from sallyport_cli.policy.ip_rules import NO_IP_RULES, IpRules
from sallyport_cli.policy.model import Policy

_BITS: Final = {4: 32, 6: 128}


@dataclass(frozen=True)
class GlobalLists:
    """The networks of the global lists. `replaces_parameter`: the document's allow list counts, not the stack's."""

    allow: tuple[str, ...] = ()
    ip_allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    replaces_parameter: bool = False

    @classmethod
    def of(cls, policy: Policy | None, ip: IpRules = NO_IP_RULES) -> Self:
        """Give the lists of a document (None: there is none, or it can't be read) and of the entries beside it."""
        access = None if policy is None else policy.access
        allow, deny = ((), ()) if access is None else (access.allow, access.deny)
        by_command = tuple(entry.network for entry in ip.deny)
        return cls(allow, tuple(entry.network for entry in ip.allow), (*deny, *by_command), access is not None)


def warnings_of(before: GlobalLists, after: GlobalLists) -> list[str]:
    """Give the warnings, a line each, of what a change flips."""
    return [f"warning: {text}" for text in _flips(before, after)]


def covered_versions(networks: Iterable[str]) -> set[int]:
    """Give the IP versions of which networks together hold every address."""
    ranges = sorted(parse_network(network) for network in networks)
    return {version for version, bits in _BITS.items() if _holds_all(version, 1 << bits, ranges)}


def newly_covered(before: Iterable[str], after: Iterable[str]) -> set[int]:
    """Give the IP versions that `after` holds all of and `before` doesn't; a long `before` is mostly not looked at."""
    covered = covered_versions(after)
    return covered - covered_versions(before) if covered else covered


def _flips(before: GlobalLists, after: GlobalLists) -> Iterator[str]:
    if (after.allow or after.ip_allow) and not (before.allow or before.ip_allow):
        yield "the allow list was empty and isn't any more: only what is listed can call from now on"
    elif after.ip_allow and not after.allow and before.allow:
        others = "" if after.replaces_parameter else " and the stack's IpAllowList"
        yield f"the document allows no networks any more: only what `sallyport ip allow` added{others} can call"
    elif (before.allow or before.ip_allow) and not (after.allow or after.ip_allow):
        others = "" if after.replaces_parameter else ", unless the stack's IpAllowList has networks"
        yield f"the allow list is empty from now on: everyone who isn't denied can call{others}"
    for version in sorted(newly_covered(before.deny, after.deny)):
        yield f"all of IPv{version} is denied: nobody with such an address can call from now on"


def _holds_all(version: int, size: int, ranges: list[tuple[int, int, int]]) -> bool:
    end = 0
    for its_version, first, last in ranges:
        if its_version == version and first <= end:
            end = max(end, last + 1)
    return end == size
