"""What `sallyport residency explain` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from sallyport.gateway.canarying import MODEL_NOT_ALLOWED
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from sallyport.routing.residency import (
    ELIGIBLE,
    GLOBAL_NOT_PERMITTED,
    OPERATION_UNSUPPORTED,
    OUTSIDE_ALLOWED_REGIONS,
    OUTSIDE_RESIDENCY,
    UNKNOWN_UPSTREAM,
    Considered,
)
from sallyport_cli.printable import printable
from sallyport_cli.residency.canary_prospects import (
    DECIDED_BEFORE,
    OTHER_REGIONS,
    OTHER_TENANTS,
    CanaryProspect,
)
from sallyport_cli.residency.output import print_rows
from sallyport_cli.residency.prospects import GuardProspect, Prospect, Question

_HEADINGS: Final = ("", "UPSTREAM", "MODEL", "REGIONS", "HOST", "BASIS", "VERDICT")
_CANARY_HEADINGS: Final = ("CANARY", "ONLY WITH", *_HEADINGS[1:])
_GUARD_HEADINGS: Final = ("GUARD", "UPSTREAM", "REGIONS", "HOST", "BASIS", "ON FAILURE", "VERDICT")
_AS_STABLE: Final = ("(as stable)", "(as stable)", "-", "-", "-")
_IN_WORDS: Final[Mapping[str, str]] = {
    ELIGIBLE: "may be used",
    OUTSIDE_RESIDENCY: "no: outside of the tenant's residency",
    OUTSIDE_ALLOWED_REGIONS: "no: outside of the regions that the stack allows",
    GLOBAL_NOT_PERMITTED: "no: it processes anywhere, which the tenant isn't permitted",
    UNKNOWN_UPSTREAM: "no: the policy has no such upstream",
    OPERATION_UNSUPPORTED: "no: the upstream doesn't serve this route",
    MODEL_NOT_ALLOWED: "no: the tenant may not use this model",
    OTHER_TENANTS: "no: it is for other tenants",
    OTHER_REGIONS: "no: it is for stacks of other regions",
    DECIDED_BEFORE: "no: one before it decides",
}


def prospect_json(question: Question, found: Prospect, rules: RouterRules) -> Mapping[str, Any]:
    """Give an explanation as JSON has it."""
    return {
        "tenant": question.tenant,
        "model": question.model,
        "operation": question.operation,
        "home": question.home_region,
        "policy_version": rules.version,
        "residency": list(found.residency),
        "allowed_regions": sorted(rules.allowed_regions),
        "considered": [_target_json(one, rules) for one in found.considered],
        "first": found.first,
        "canaries": [_canary_json(one, rules) for one in found.canaries],
        "guards": [_guard_json(one, rules) for one in found.guards],
        "refusal": {"status": found.status, "code": found.code, "message": found.reason} if found.code else None,
    }


def print_prospect(question: Question, found: Prospect, rules: RouterRules) -> None:
    """Print what would happen, and why."""
    policy = f"policy version {rules.version}" if rules.version else "no policy applied"
    print(printable(f"tenant {question.tenant}: residency {', '.join(found.residency) or 'none'} ({policy})"))
    print(printable(f"this stack: in {question.home_region}, allows {', '.join(sorted(rules.allowed_regions))}"))
    if found.considered:
        print_rows([_HEADINGS, *_rows(found, rules)])
    for line in _result(question, found):
        print(printable(line))
    if found.canaries:
        print_rows([_CANARY_HEADINGS, *(_canary_row(one, rules) for one in found.canaries)])
    if found.guards:
        print_rows([_GUARD_HEADINGS, *(_guard_row(one, rules) for one in found.guards)])


def _result(question: Question, found: Prospect) -> Iterator[str]:
    asked = f"{question.operation} with {question.model}"
    if found.first is None:
        yield f"{asked}: refused, {found.status} {found.code}: {found.reason}"
        return
    yield f"{asked}: goes to {found.considered[found.first].target.upstream} first"
    others = sum(one.verdict == ELIGIBLE for one in found.considered) - 1
    if others:
        yield f"then, if that fails before its first byte: {others:,} more that may be used"


def _rows(found: Prospect, rules: RouterRules) -> Iterator[Sequence[str]]:
    for place, (target, verdict) in enumerate(found.considered):
        yield "->" if place == found.first else "", *_place(target, rules), _IN_WORDS.get(verdict, verdict)


def _canary_row(one: CanaryProspect, rules: RouterRules) -> Sequence[str]:
    place = _AS_STABLE if one.target is None else _place(one.target, rules)
    return one.canary.name, "; ".join(one.conditions) or "-", *place, _IN_WORDS.get(one.verdict, one.verdict)


def _guard_row(one: GuardProspect, rules: RouterRules) -> Sequence[str]:
    upstream, _, regions, host, basis = _place(one.considered.target, rules)
    verdict = "is shown the prompt" if one.considered.verdict == ELIGIBLE else _IN_WORDS[one.considered.verdict]
    return one.guard.name, upstream, regions, host, basis, one.guard.on_failure, verdict


def _place(target: Target, rules: RouterRules) -> Sequence[str]:
    upstream = rules.upstreams.get(target.upstream)
    regions = ", ".join(target.regions) or "none"
    return target.upstream, target.model or "(as called)", regions, _host(upstream), _basis(upstream)


def _canary_json(one: CanaryProspect, rules: RouterRules) -> Mapping[str, Any]:
    """Give a canary; its parameters by name alone, since a value may be a prompt."""
    match = one.canary.match
    return {
        "canary": one.canary.name,
        "countries": list(match.countries),
        "claims": dict(match.claims),
        "headers": dict(match.headers),
        "parameters": sorted(one.canary.parameters),
        "target": None if one.target is None else _place_json(one.target, rules),
        "verdict": one.verdict,
    }


def _guard_json(one: GuardProspect, rules: RouterRules) -> Mapping[str, Any]:
    place = {name: value for name, value in _target_json(one.considered, rules).items() if name != "model"}
    return {"guard": one.guard.name, "on_failure": one.guard.on_failure, **place}


def _target_json(one: Considered, rules: RouterRules) -> Mapping[str, Any]:
    return {**_place_json(one.target, rules), "verdict": one.verdict}


def _place_json(target: Target, rules: RouterRules) -> Mapping[str, Any]:
    upstream = rules.upstreams.get(target.upstream)
    return {
        "upstream": target.upstream,
        "model": target.model,
        "regions": list(target.regions),
        "host": _host(upstream),
        "basis": _basis(upstream),
    }


def _host(upstream: UpstreamRules | None) -> str:
    return "-" if upstream is None else urlsplit(upstream.base_url).netloc


def _basis(upstream: UpstreamRules | None) -> str:
    if upstream is None:
        return "-"
    return "proved" if upstream.is_proved else "declared"
