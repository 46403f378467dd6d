"""One version of the policy, made ready: what the authorizer asks for every request under it."""

from typing import Protocol

from sallyport.access.decision import AccessLists
from sallyport.access.networks import NetworkSet
from sallyport.access.source import SourceReader
from sallyport.identity.principal import Identity
from sallyport.policy.rules import DoorRules

_NO_COUNTRIES: frozenset[str] = frozenset()
_MAX_REMEMBERED = 1000


class Verifier(Protocol):
    """Checks one kind of credential; `identity.api_keys` and `identity.tokens` do."""

    def verify(self, text: str, now_s: float) -> Identity:
        """Give whose it is. Raises `CredentialRefusedError`; any other error lets nobody in."""

    def verify_cached(self, text: str, now_s: float) -> Identity | None:
        """Give whose it is if it was found good a moment ago, without asking anybody; None otherwise."""


class Door:
    """The rules with their lists unpacked and their verifiers made. A verifier that is None accepts nobody."""

    __slots__ = ("_key_access", "_tenant_access", "access", "api_keys", "rules", "sources", "tokens")

    def __init__(
        self,
        rules: DoorRules,
        sources: SourceReader,
        *,
        api_keys: Verifier | None,
        tokens: Verifier | None,
    ) -> None:
        """Unpack the global lists. Raises `ValueError` for broken ones."""
        self.rules = rules
        self.sources = sources
        self.api_keys = api_keys
        self.tokens = tokens
        self.access = AccessLists(
            [NetworkSet.unpack(packed) for packed in rules.access.allow],
            [NetworkSet.unpack(packed) for packed in rules.access.deny],
            rules.access.countries_allow,
            rules.access.countries_deny,
        )
        self._tenant_access: dict[str, AccessLists] = {}
        self._key_access: dict[tuple[str, ...], AccessLists] = {}

    def tenant_access(self, name: str) -> AccessLists | None:
        """Give a tenant's own lists, None if it has no rules. Raises `ValueError` for broken ones."""
        tenant = self.rules.tenants.get(name)
        if tenant is None:
            return None
        lists = self._tenant_access.get(name)
        if lists is None:
            allow, deny = NetworkSet.unpack(tenant.allow), NetworkSet.unpack(tenant.deny)
            lists = AccessLists([allow], [deny], _NO_COUNTRIES, _NO_COUNTRIES)
            self._tenant_access[name] = lists
        return lists

    def key_access(self, allow: tuple[str, ...]) -> AccessLists:
        """Give the list of a key that may be used from these networks alone. Raises `ValueError` for a broken one."""
        lists = self._key_access.get(allow)
        if lists is None:
            if len(self._key_access) >= _MAX_REMEMBERED:
                self._key_access.clear()
            lists = AccessLists([NetworkSet(allow)], [], _NO_COUNTRIES, _NO_COUNTRIES)
            self._key_access[allow] = lists
        return lists
