"""What `sallyport residency explain` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_rules import UpstreamRules
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
from sallyport_cli.residency.output import print_rows
from sallyport_cli.residency.prospects import Prospect, Question

_HEADINGS: Final = ("", "UPSTREAM", "MODEL", "REGIONS", "HOST", "BASIS", "VERDICT")
_IN_WORDS: Final[Mapping[str, str]] = {
    ELIGIBLE: "may be used",
    OUTSIDE_RESIDENCY: "no: outside of the tenant's residency",
    OUTSIDE_ALLOWED_REGIONS: "no: outside of the regions that the stack allows",
    GLOBAL_NOT_PERMITTED: "no: it processes anywhere, which the tenant isn't permitted",
    UNKNOWN_UPSTREAM: "no: the policy has no such upstream",
    OPERATION_UNSUPPORTED: "no: the upstream doesn't serve this route",
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
        upstream = rules.upstreams.get(target.upstream)
        yield (
            "->" if place == found.first else "",
            target.upstream,
            target.model or "(as called)",
            ", ".join(target.regions) or "none",
            _host(upstream),
            _basis(upstream),
            _IN_WORDS.get(verdict, verdict),
        )


def _target_json(one: Considered, rules: RouterRules) -> Mapping[str, Any]:
    upstream = rules.upstreams.get(one.target.upstream)
    return {
        "upstream": one.target.upstream,
        "model": one.target.model,
        "regions": list(one.target.regions),
        "host": _host(upstream),
        "basis": _basis(upstream),
        "verdict": one.verdict,
    }


def _host(upstream: UpstreamRules | None) -> str:
    return "-" if upstream is None else urlsplit(upstream.base_url).netloc


def _basis(upstream: UpstreamRules | None) -> str:
    if upstream is None:
        return "-"
    return "proved" if upstream.is_proved else "declared"
