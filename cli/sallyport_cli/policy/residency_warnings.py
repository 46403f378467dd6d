"""Targets that nobody can be sent to, and tenants that can be sent to none: mistakes that fail closed and show late.

Residencies of keys and of tokens aren't known here, nor the stack's DefaultResidency and AllowedRegions, which can only
take away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from sallyport.policy.upstream_rules import GLOBAL
from sallyport.policy.verification_rules import CLOSED
from sallyport_cli.policy.targets import Regions
from sallyport_cli.policy.yaml_reading import Path

if TYPE_CHECKING:
    from sallyport_cli.policy.canaries import Canary
    from sallyport_cli.policy.model import Policy, Tenant

_SHOWN: Final = 6

type Problems = Iterator[tuple[Path, str]]


def residency_warnings(policy: Policy, regions: Regions) -> Problems:
    """Tell of targets and tenants that don't meet. Without a default residency in the document nothing is certain."""
    if policy.residency is None or policy.residency.default is None:
        return
    of_models = {path: places for path, places in regions.items() if path[0] == "models"}
    yield from _unreachable(policy, of_models)
    yield from _stranded(policy, of_models)
    yield from _unoffered(policy, regions)
    yield from _unasked(policy)


def _unreachable(policy: Policy, regions: Regions) -> Problems:
    residencies = _residencies(policy)
    global_is_allowed = any(tenant.allow_global for tenant in (policy.tenants or {}).values())
    for path, places in regions.items():
        if places is None:
            continue
        if GLOBAL in places and not global_is_allowed:
            yield path, "warning: may process anywhere, and no tenant has allow_global: nobody can be sent there"
        elif not any(residency.issuperset(set(places) - {GLOBAL}) for residency in residencies):
            yield path, f"warning: {', '.join(places)} is in no residency: nobody can be sent there"


def _unoffered(policy: Policy, regions: Regions) -> Problems:
    """Tell of canaries whose target is for none of those that they are for."""
    for place, canary in enumerate(policy.canaries or ()):
        path: Path = ("canaries", place, "target")
        places, insides = regions.get(path), _insides(policy, canary)
        if places is not None and insides and not any(inside.issuperset(places) for inside in insides):
            yield path, f"warning: {_told(places, insides)}: nobody is offered it"


def _unasked(policy: Policy) -> Problems:
    """Tell of guards that lie where the data of some of those that they are for may not go."""
    for place, guard in enumerate(policy.verification.guards if policy.verification else ()):
        upstream = (policy.upstreams or {}).get(guard.upstream)
        outside = [] if upstream is None else _outside(policy, upstream.region, guard.tenants)
        if upstream is not None and outside:
            result = "their requests are refused" if guard.on_failure == CLOSED else "their prompts aren't shown to it"
            reason = f"{upstream.region} is outside of the residency of {_listed(outside)}: {result}"
            yield ("verification", "guards", place, "upstream"), f"warning: {reason}"


def _outside(policy: Policy, region: str, named: Sequence[str]) -> list[str]:
    """Give the tenants, of those named or of all, whose data may not go to a region."""
    tenants = policy.tenants or {}
    asked = named or tenants
    outside = [name for name in asked if name in tenants and region not in _residency(policy, tenants[name])]
    is_usual = not named and region not in policy.resolved_residency(None)
    return [*outside, *(["every tenant without one of its own"] if is_usual else [])]


def _told(places: Sequence[str], insides: set[frozenset[str]]) -> str:
    if GLOBAL in places and not any(GLOBAL in inside for inside in insides):
        return "may process anywhere, and none of those it is for has allow_global"
    return f"{', '.join(places)} is in no residency of those it is for"


def _insides(policy: Policy, canary: Canary) -> set[frozenset[str]]:
    """Give the residencies, `GLOBAL` among each that may have it, of those that a canary is for."""
    tenants = policy.tenants or {}
    app = (policy.apps or {}).get(canary.app or "")
    named = canary.match.tenants or (app.tenants if app is not None else None)
    if named:
        return {_inside(policy, tenants[name]) for name in named if name in tenants}
    everywhere = frozenset({GLOBAL} if any(tenant.allow_global for tenant in tenants.values()) else ())
    return {residency | everywhere for residency in _residencies(policy)}


def _inside(policy: Policy, tenant: Tenant) -> frozenset[str]:
    residency = _residency(policy, tenant)
    return residency | {GLOBAL} if tenant.allow_global else residency


def _stranded(policy: Policy, regions: Regions) -> Problems:
    targets: dict[str, list[tuple[str, ...]]] = {}
    for path, places in regions.items():
        if places is not None:
            targets.setdefault(str(path[1]), []).append(places)

    @cache  # thousands of tenants have a few residencies
    def usable(residency: frozenset[str], *, allow_global: bool) -> frozenset[str]:
        inside = residency | {GLOBAL} if allow_global else residency
        return frozenset(
            model for model, listed in targets.items() if any(inside.issuperset(places) for places in listed)
        )

    for name, tenant in (policy.tenants or {}).items():
        can_use = usable(_residency(policy, tenant), allow_global=tenant.allow_global)
        unusable = _unusable(tenant, targets, can_use)
        if unusable:
            yield ("tenants", name), f"warning: {name} can use none of the targets of {_listed(unusable)}"


def _unusable(tenant: Tenant, targets: dict[str, list[tuple[str, ...]]], usable: frozenset[str]) -> list[str]:
    """Give the models that a tenant is given by name and can't use; without names all, if it can use none."""
    if tenant.models is not None:
        return [model for model in tenant.models if model in targets and model not in usable]
    return [] if usable else list(targets)


def _residencies(policy: Policy) -> set[frozenset[str]]:
    zones = policy.residency.zones if policy.residency else {}
    tenants = (policy.tenants or {}).values()
    return {frozenset(regions) for regions in zones.values()} | {
        policy.resolved_residency(names) for names in (None, *(tenant.residency for tenant in tenants))
    }


def _residency(policy: Policy, tenant: Tenant) -> frozenset[str]:
    return policy.resolved_residency(tenant.residency)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
