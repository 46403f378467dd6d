"""Which canaries would be for a request, and whether their targets may be used for it: as every other target is judged.

How far a canary has come isn't looked at: `sallyport canary status` tells that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sallyport.gateway.canarying import MODEL_NOT_ALLOWED
from sallyport.policy.canary_rules import CanaryMatch, CanaryRules
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from sallyport.routing.residency import ELIGIBLE, Caller, consider, placed

OTHER_TENANTS: Final = "other_tenants"
OTHER_REGIONS: Final = "other_regions"
DECIDED_BEFORE: Final = "decided_before"


@dataclass(frozen=True)
class Asking:
    """Who asks for what, by which operation, at the stack of which region. `models`: the tenant's, None for all."""

    model: str
    operation: str
    home_region: str
    caller: Caller
    models: Sequence[str] | None
    serves: Callable[[UpstreamRules], bool]


@dataclass(frozen=True)
class CanaryProspect:
    """A canary and the verdict on it: `eligible`, or why the request stays on the stable arm whatever its weight.

    Even an eligible one is only for requests that meet `match`'s countries, claims and headers.
    """

    canary: CanaryRules
    verdict: str

    @property
    def target(self) -> Target | None:
        """Give the canary's target; None: the stable ones, with other parameters."""
        return self.canary.target

    @property
    def conditions(self) -> Sequence[str]:
        """Give what a request must have beside its tenant and region, such as `claim plan=beta`."""
        match = self.canary.match
        countries = [f"country {' or '.join(match.countries)}"] if match.countries else []
        claims = [f"claim {name}={value}" for name, value in match.claims]
        return (*countries, *claims, *(f"header {name}={value}" for name, value in match.headers))


def canary_prospects(asking: Asking, rules: RouterRules) -> Iterator[CanaryProspect]:
    """Judge the canaries of the model and of the route, in the order in which the first that fits decides."""
    is_decided = False
    for canary in rules.canaries:
        if asking.model not in canary.models and asking.operation not in canary.routes:
            continue
        elsewhere = _elsewhere(canary.match, asking)
        if elsewhere or is_decided:
            yield CanaryProspect(canary, elsewhere or DECIDED_BEFORE)
            continue
        found = CanaryProspect(canary, _verdict(canary, asking, rules))
        is_decided = not found.conditions
        yield found


def _elsewhere(match: CanaryMatch, asking: Asking) -> str:
    if match.tenants and asking.caller.tenant not in match.tenants:
        return OTHER_TENANTS
    return OTHER_REGIONS if match.regions and asking.home_region not in match.regions else ""


def _verdict(canary: CanaryRules, asking: Asking, rules: RouterRules) -> str:
    if canary.target is None:
        return ELIGIBLE
    [considered] = consider((placed(canary.target, asking.model, rules),), rules, asking.caller, asking.serves)
    if considered.verdict == ELIGIBLE and not _may_use(canary.target.model, asking, rules):
        return MODEL_NOT_ALLOWED
    return considered.verdict


def _may_use(model: str, asking: Asking, rules: RouterRules) -> bool:
    """Say whether the tenant may use a canary's model, where that is also one that callers ask for by its name.

    Where the policy names no models, every one is.
    """
    is_offered = model != "" and (rules.models is None or model in rules.models)
    return asking.models is None or not is_offered or model in asking.models
