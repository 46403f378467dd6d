"""Data sovereignty: which of a model's targets a caller's data may go to, and whether it may be handled here at all.

Whatever is missing or unknown means nowhere, never anywhere: an upstream that isn't in the policy, a target without
regions, a caller without a residency.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sallyport.errors import (
    MisdirectedRegionError,
    ResidencyViolationError,
    ServiceUnavailableError,
    UnsupportedOperationError,
)
from sallyport.policy.bedrock_ids import regions_by_name
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, GLOBAL, GUARD, Target, UpstreamRules

ELIGIBLE = "eligible"
UNKNOWN_UPSTREAM = "unknown_upstream"
OUTSIDE_RESIDENCY = "outside_residency"
OUTSIDE_ALLOWED_REGIONS = "outside_allowed_regions"
GLOBAL_NOT_PERMITTED = "global_not_permitted"
OPERATION_UNSUPPORTED = "operation_unsupported"


class Caller(NamedTuple):
    """Whose data it is, and the regions that it may go to; none: nowhere."""

    tenant: str
    residency: tuple[str, ...]


class Considered(NamedTuple):
    """A target and why it may be used or not: `ELIGIBLE`, or the first reason against it."""

    target: Target
    verdict: str


def targets_of(model: str, rules: RouterRules) -> tuple[Target, ...]:
    """Give where a model is, the most wanted first; none where the policy knows no place for it.

    A model without targets, and any where the policy names no models, is at the stack parameters' upstream.
    """
    known = None if rules.models is None else rules.models.get(model)
    if known is not None and known.targets:
        return tuple(placed(target, model, rules) for target in known.targets)
    upstream = rules.upstreams.get(DEFAULT_UPSTREAM)
    if upstream is None or (rules.models is not None and known is None):
        return ()
    return (Target(DEFAULT_UPSTREAM, "", regions_by_name(upstream, model)),)


def placed(target: Target, model: str, rules: RouterRules) -> Target:
    """Judge a model id at the stack's own upstream by its name, whatever one region a document declares.

    Who applied the document didn't know whether that upstream is Bedrock.
    """
    upstream = rules.upstreams.get(target.upstream)
    if target.upstream != DEFAULT_UPSTREAM or upstream is None or set(target.regions) != {upstream.region}:
        return target
    return target._replace(regions=regions_by_name(upstream, target.model or model))


def consider(
    targets: Sequence[Target], rules: RouterRules, caller: Caller, serves: Callable[[UpstreamRules], bool]
) -> tuple[Considered, ...]:
    """Judge each target for a caller, in their order. `serves`: whether an upstream can be asked this operation."""
    residency = _region_set(caller.residency)
    may_go_anywhere = caller.tenant in rules.global_tenants
    considered = []
    for target in targets:
        upstream = rules.upstreams.get(target.upstream)
        if upstream is None:
            verdict = UNKNOWN_UPSTREAM
        else:
            verdict = _place_verdict(target.regions, upstream.region, residency, rules.allowed_regions, may_go_anywhere)
            if verdict == ELIGIBLE and not serves(upstream):
                verdict = OPERATION_UNSUPPORTED
        considered.append(Considered(target, verdict))
    return tuple(considered)


def consider_guard(name: str, rules: RouterRules, caller: Caller) -> Considered:
    """Judge an external guard for a caller, whose prompts it would get: its upstream is a place like any other."""
    upstream = rules.upstreams.get(name)
    target = Target(name, "", (upstream.region,) if upstream is not None else ())
    return consider((target,), rules, caller, lambda one: one.provider == GUARD)[0]


def eligible(considered: Iterable[Considered]) -> tuple[Target, ...]:
    """Give the targets that may be used, at least one.

    Raises `UnsupportedOperationError` if those inside the caller's regions don't serve the operation, and
    `ResidencyViolationError` if none is inside.
    """
    verdicts = set()
    targets = []
    for target, verdict in considered:
        verdicts.add(verdict)
        if verdict == ELIGIBLE:
            targets.append(target)
    if targets:
        return tuple(targets)
    if OPERATION_UNSUPPORTED in verdicts:
        raise UnsupportedOperationError("No upstream of this model that your data may go to serves this route.")
    raise ResidencyViolationError("No upstream for this model lies in a region that your data may go to.")


def check_home(caller: Caller, home_region: str, endpoints: Mapping[str, str]) -> None:
    """Refuse a caller whose data may not even be handled in this gateway's own region.

    `endpoints` are this gateway's URLs by region. Raises `MisdirectedRegionError`, which names where to go instead,
    `ResidencyViolationError` for a caller that may go nowhere, `ServiceUnavailableError` if the gateway doesn't know
    its own region.
    """
    if not home_region:
        raise ServiceUnavailableError("The gateway does not know the region that it runs in.")
    residency = _region_set(caller.residency)
    if not residency:
        raise ResidencyViolationError("There is no region that your data may go to.")
    if home_region not in residency:
        places = " or ".join(_place(region, endpoints) for region in sorted(residency, key=caller.residency.index))
        raise MisdirectedRegionError(
            f"Your data may not be handled in {home_region}, where this gateway runs. Call the one in {places}."
        )


def _place(region: str, endpoints: Mapping[str, str]) -> str:
    url = endpoints.get(region)
    return f"{region} at {url}" if url else region


@lru_cache(maxsize=1024)
def _region_set(residency: tuple[str, ...]) -> frozenset[str]:
    """Give the regions of a residency; `global` is none, and can't make one out of what may process anywhere."""
    return frozenset(residency) - {GLOBAL, ""}


def _place_verdict(
    regions: tuple[str, ...],
    own_region: str,
    residency: frozenset[str],
    allowed_regions: frozenset[str],
    may_go_anywhere: bool,
) -> str:
    """Judge where a target may process. Its upstream's own region must be among its regions."""
    is_global = GLOBAL in regions
    named = [region for region in regions if region != GLOBAL] if is_global else regions
    if own_region not in named or not residency.issuperset(named):
        return OUTSIDE_RESIDENCY
    if is_global and not may_go_anywhere:
        return GLOBAL_NOT_PERMITTED
    return ELIGIBLE if allowed_regions.issuperset(named) else OUTSIDE_ALLOWED_REGIONS
