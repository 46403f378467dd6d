"""Every rule that judges an address, with where it comes from: a stack parameter, the policy document, or a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sallyport.access.networks import parse_network
from sallyport_cli.policy.countries import check_country
from sallyport_cli.policy.documents import Document
from sallyport_cli.policy.ip_rules import NO_IP_RULES, IpEntry, IpRules
from sallyport_cli.policy.operating import read_stored
from sallyport_cli.policy.table import Applied
from sallyport_cli.policy.yaml_reading import Path
from sallyport_cli.stack_parameters import Parameters

_CHECKS: Final[Mapping[str, Callable[[str], object]]] = {
    **dict.fromkeys(("IpAllowList", "IpDenyList", "TrustedProxies"), parse_network),
    **dict.fromkeys(("CountryAllowList", "CountryDenyList"), check_country),
    **dict.fromkeys(("OriginSecret", "WebAcl"), str),
}
PARAMETERS: Final = tuple(_CHECKS)
"""Those that say who may call from where."""


@dataclass(frozen=True)
class Rule:
    """A network or a country on a list, and where that list is to be changed."""

    value: str
    origin: str


@dataclass(frozen=True)
class Lists:
    """The rules of one scope: global, a tenant's or a key's."""

    allow: Sequence[Rule] = ()
    deny: Sequence[Rule] = ()


@dataclass(frozen=True)
class Sources:
    """All that the operator has decided. `document` None: none is applied."""

    parameters: Parameters
    document: Document | None = None
    ip: IpRules = NO_IP_RULES

    def networks(self) -> Lists:
        """Give the global lists: every deny list counts, a document's allow list replaces the parameter's."""
        allow = self._document_rules("allow") if self.has_access() else self._parameter_rules("IpAllowList")
        deny = [*self._parameter_rules("IpDenyList"), *self._document_rules("deny")]
        return Lists([*allow, *_by_command("allow", self.ip.allow)], [*deny, *_by_command("deny", self.ip.deny)])

    def countries(self) -> Lists:
        """Give the countries: the document's, or the parameters' where it says nothing of access."""
        if not self.has_access():
            return Lists(self._parameter_rules("CountryAllowList"), self._parameter_rules("CountryDenyList"))
        return Lists(self._document_rules("countries", "allow"), self._document_rules("countries", "deny"))

    def trusts_a_proxy(self) -> bool:
        """Say whether there is a proxy that tells of callers' countries."""
        access = None if self.document is None else self.document.policy.access
        if access is not None:
            return bool(access.trusted_proxies)
        return all(self.parameters.get(name, "").strip(" ,") for name in ("TrustedProxies", "OriginSecret"))

    def requires_origin_secret(self) -> bool:
        """Say whether the document refuses what doesn't come through a trusted proxy."""
        access = None if self.document is None else self.document.policy.access
        return access is not None and access.require_origin_secret

    def document_counts(self) -> dict[str, int]:
        """Give how many networks the document itself has on each global list."""
        return {name: len(self._document_rules(name)) for name in ("allow", "deny")}

    def origins(self, network: str) -> list[str]:
        """Give where else than among the commands' entries a network is listed."""
        wanted, lists = parse_network(network), Sources(self.parameters, self.document).networks()
        return [rule.origin for rule in (*lists.allow, *lists.deny) if parse_network(rule.value) == wanted]

    def of_tenant(self, tenant: str) -> Lists:
        """Give a tenant's own lists."""
        paths: list[Path] = [("tenants", tenant, name) for name in ("allow", "deny")]
        return Lists(*(list(_in_document(self.document, path)) for path in paths))

    def is_suspended(self, tenant: str) -> bool:
        """Say whether the document suspends a tenant."""
        tenants = (self.document and self.document.policy.tenants) or {}
        return tenant in tenants and tenants[tenant].suspended

    def has_access(self) -> bool:
        """Say whether the document's `access` replaces the parameters."""
        return self.document is not None and self.document.policy.access is not None

    def _document_rules(self, *names: str) -> list[Rule]:
        return list(_in_document(self.document, ("access", *names)))

    def _parameter_rules(self, name: str) -> list[Rule]:
        values = (value.strip() for value in self.parameters.get(name, "").split(","))
        return [Rule(value, f"stack parameter {name}") for value in values if value]


def sources_of(applied: Applied | None, parameters: Parameters) -> Sources:
    """Give what is in force. Raises `PolicyFileError` where this version refuses the document that another took."""
    if applied is None:
        return Sources(parameters)
    return Sources(parameters, read_stored(applied.source), applied.source.ip)


def check_parameters(parameters: Parameters) -> Parameters:
    """Give parameters back. Raises `ValueError` for one that isn't known or that the stack would refuse."""
    for name, text in parameters.items():
        if name not in _CHECKS:
            raise ValueError(f"{name} is none of {', '.join(_CHECKS)}")
        try:
            for value in filter(None, map(str.strip, text.split(","))):
                _CHECKS[name](value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return parameters


def _in_document(document: Document | None, path: Path) -> Iterator[Rule]:
    if document is None:
        return
    for place, value in enumerate(_values(document, path)):
        yield Rule(value, f"policy document, line {document.lines.of_value((*path, place))}")


def _values(document: Document, path: Path) -> Sequence[str]:
    here: object = document.policy
    for name in path:
        here = here.get(name) if isinstance(here, Mapping) else getattr(here, str(name), None)
    return here if isinstance(here, tuple) else ()


def _by_command(name: str, entries: Sequence[IpEntry]) -> list[Rule]:
    notes = (f": {entry.note}" if entry.note else "" for entry in entries)
    return [Rule(entry.network, f"sallyport ip {name}{note}") for entry, note in zip(entries, notes, strict=True)]
