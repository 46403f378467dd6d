"""Canaries that are likely meant otherwise: nothing of it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from sallyport.policy.canary_rules import FULL_WEIGHT
from sallyport.policy.compiled_canaries import CANARY_ROUTES
from sallyport_cli.policy.canaries import Canary, CanaryMatch
from sallyport_cli.policy.canary_types import hundredths
from sallyport_cli.policy.yaml_reading import Path

if TYPE_CHECKING:
    from sallyport_cli.policy.model import Policy

_LISTS: Final = ("tenants", "regions", "countries")

type Warnings = Iterator[tuple[Path, str]]
type Finding = tuple[Path, str]


def canary_warnings(policy: Policy) -> Warnings:
    """Tell of canaries that do nothing, or not what one may think, by their paths."""
    for place, canary in enumerate(policy.canaries or ()):
        found = (*_of_arms(policy, place), *_of_weights(canary), *_of_units(canary), *_of_callers(policy, canary))
        yield from ((("canaries", place, *path), f"warning: {reason}") for path, reason in found)


def _of_arms(policy: Policy, place: int) -> Iterator[Finding]:
    canaries = policy.canaries or ()
    canary = canaries[place]
    before = next((one for one in canaries[:place] if _decides_for_all(policy, one, canary)), None)
    if before is not None:
        yield (), f"{before.name} stands before it and decides for all that it is for"
    if _is_the_same(policy, canary):
        yield ("target",), "is the stable target, so both arms are the same"


def _of_weights(canary: Canary) -> Iterator[Finding]:
    if canary.guard is None:
        if len(canary.steps) > 1:
            yield ("guard",), "is off, so the steps follow one another by the clock, however the canary does"
    elif hundredths(canary.all_steps[0].weight) == FULL_WEIGHT:
        at = ("weight",) if canary.weight is not None else ("steps", 0, "weight")
        yield at, "gives it all traffic at once, so the guard has nothing to compare it with"


def _of_units(canary: Canary) -> Iterator[Finding]:
    kind, _, name = canary.sticky_by.partition(":")
    if name:
        yield ("sticky_by",), f"who sends no {kind} {name} stays on one arm by its subject instead"
    tenants = len(canary.match.tenants)
    if kind == "tenant" and canary.guard is not None and 0 < tenants < 2 * canary.guard.min_subjects:
        reason = (
            f"waits for {canary.guard.min_subjects} tenants on each arm (min_subjects), and it is for {tenants} in all"
        )
        yield ("guard",), f"{reason}: nothing is ever decided"


def _of_callers(policy: Policy, canary: Canary) -> Iterator[Finding]:
    access, identity, match = policy.access, policy.identity, canary.match
    if match.countries and access is not None and not access.trusted_proxies:
        yield ("match", "countries"), "without trusted_proxies no country is known, so it is for nobody"
    if match.claims and identity is not None and not identity.issuers:
        yield ("match", "claims"), "without issuers nobody has a token, so it is for nobody"


def _decides_for_all(policy: Policy, before: Canary, canary: Canary) -> bool:
    """Say whether the one before is for every request that the other is for."""
    return _has_all(policy, before, canary) and _matches_all(before.match, canary.match)


def _has_all(policy: Policy, before: Canary, canary: Canary) -> bool:
    if canary.app is not None:
        return before.app == canary.app
    if canary.model_names:
        return set(before.model_names) >= set(canary.model_names) or set(before.route_names) >= set(CANARY_ROUTES)
    has_models = policy.models is not None and set(before.model_names) >= set(policy.models)
    return has_models or set(before.route_names) >= set(canary.route_names)


def _matches_all(before: CanaryMatch, match: CanaryMatch) -> bool:
    """Say whether all that one asks for is asked for by the other, too, or by it of fewer."""
    lists = ((set(getattr(before, name)), set(getattr(match, name))) for name in _LISTS)
    return (
        all(not wide or (narrow and narrow <= wide) for wide, narrow in lists)
        and before.claims.items() <= match.claims.items()
        and before.headers.items() <= match.headers.items()
    )


def _is_the_same(policy: Policy, canary: Canary) -> bool:
    """Say whether its target is the first of each of its models, with nothing else set."""
    target, models = canary.target, [(policy.models or {}).get(name) for name in canary.model_names]
    if target is None or canary.parameters or not models:
        return False
    return all(
        model is not None
        and bool(model.targets)
        and (model.targets[0].upstream, model.targets[0].model or name) == (target.upstream, target.model or name)
        for name, model in zip(canary.model_names, models, strict=True)
    )
