"""Whether a source may come in: deny beats allow, an empty allow list admits everyone who isn't denied."""

from collections.abc import Sequence
from typing import NamedTuple

from sallyport.access.networks import NetworkSet
from sallyport.access.source import UNREADABLE_COUNTRY, Source

_NOWHERE: frozenset[str] = frozenset()


class Refusal(NamedTuple):
    """`code` is what the client is told, `reason` is for the log."""

    code: str
    reason: str


class AccessLists:
    """The lists of one scope: global, a tenant's, or a key's. Each list of networks is the union of several sets."""

    def __init__(
        self,
        allow: Sequence[NetworkSet] = (),
        deny: Sequence[NetworkSet] = (),
        countries_allow: frozenset[str] = _NOWHERE,
        countries_deny: frozenset[str] = _NOWHERE,
    ) -> None:
        """`allow` and `countries_allow` admit everyone where they are empty; countries are ISO 3166-1 alpha-2."""
        self._allow = tuple(networks for networks in allow if len(networks))
        self._deny = tuple(networks for networks in deny if len(networks))
        self._countries_allow = countries_allow
        self._countries_deny = countries_deny

    def refusal(self, source: Source) -> Refusal | None:
        """Give why the source is refused, None if it may pass. Deny lists come first, then allow, then countries."""
        if _holds(self._deny, source):
            return Refusal("ip_denied", "denied_by_list")
        if self._allow and not _holds(self._allow, source):
            return Refusal("ip_denied", "not_on_allow_list")
        if reason := self._country_reason(source.country):
            return Refusal("country_denied", reason)
        return None

    def _country_reason(self, country: str) -> str:
        if country == UNREADABLE_COUNTRY and (self._countries_allow or self._countries_deny):
            return "country_unreadable"
        if country in self._countries_deny:
            return "country_denied"
        if not self._countries_allow or country in self._countries_allow:
            return ""
        return "country_not_allowed" if country else "country_unknown"


def _holds(sets: Sequence[NetworkSet], source: Source) -> bool:
    return any(networks.contains(source.version, source.number) for networks in sets)
