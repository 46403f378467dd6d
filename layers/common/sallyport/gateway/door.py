"""One version of the policy, made ready: what the authorizer asks for every request under it."""

from typing import Protocol

from sallyport.access.decision import AccessLists
from sallyport.access.networks import NetworkSet
from sallyport.access.source import SourceReader
from sallyport.identity.principal import Identity
from sallyport.policy.rules import NO_NETWORKS, DoorRules, PackedNetworks, TenantRules

_MAX_REMEMBERED = 1000


class Verifier(Protocol):
    """Checks one kind of credential; `identity.api_keys` and `identity.tokens` do."""

    def verify(self, text: str, now_s: float) -> Identity:
        """Give whose it is. Raises `CredentialRefusedError`; any other error lets nobody in."""

    def verify_known(self, text: str, now_s: float) -> Identity | None:
        """Give whose it is if memory knows it to be genuine; None otherwise, at no cost. Raises as `verify` does."""


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
        """Unpack the global lists, and look at the tenants'. Raises `ValueError` and others for broken ones."""
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
        self._tenant_access: dict[str, AccessLists | None] = {}
        self._key_access: dict[tuple[str, ...], AccessLists] = {}
        for tenant in rules.tenants.values():
            _check_packed(tenant.allow)
            _check_packed(tenant.deny)

    def tenant_access(self, name: str) -> AccessLists | None:
        """Give a tenant's own lists, None if it has none; they are unpacked when first asked for."""
        if name not in self._tenant_access and (tenant := self.rules.tenants.get(name)) is not None:
            self._tenant_access[name] = _own_lists(tenant)
        return self._tenant_access.get(name)

    def key_access(self, allow: tuple[str, ...]) -> AccessLists:
        """Give the list of a key that may be used from these networks alone. Raises `ValueError` for a broken one."""
        lists = self._key_access.get(allow)
        if lists is None:
            if len(self._key_access) >= _MAX_REMEMBERED:
                self._key_access.clear()
            lists = AccessLists([NetworkSet(allow)])
            self._key_access[allow] = lists
        return lists


def _check_packed(packed: PackedNetworks) -> None:
    """Raise for what isn't packed networks; what is in them was checked when it was stored, under its hash."""
    if not isinstance(packed["count"], int) or len(packed["v4"]) % 4 or len(packed["v6"]) % 4:
        raise ValueError("a tenant's networks are broken")


def _own_lists(tenant: TenantRules) -> AccessLists | None:
    if tenant.allow == NO_NETWORKS and tenant.deny == NO_NETWORKS:
        return None
    allow, deny = NetworkSet.unpack(tenant.allow), NetworkSet.unpack(tenant.deny)
    return AccessLists([allow], [deny])
