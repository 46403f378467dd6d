"""What the section on verification asks of itself, and of a document's routes, tenants, apps and upstreams."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from sallyport.errors import SchemaViolationError, UnsupportedFieldError
from sallyport.policy.compiled_verification import COUNTS, REQUEST_ROUTES
from sallyport.policy.upstream_rules import GUARD
from sallyport.policy.verification_rules import UNKNOWN_FIELDS
from sallyport.providers.hosted_tools import check_hosted_tools
from sallyport.providers.kept_data import check_kept_data
from sallyport.verification.schema import RequestSchema, read_built_in
from sallyport_cli.policy.problems import field_name
from sallyport_cli.policy.verification import GuardHook, Leaks, Prompts, Request, Verification
from sallyport_cli.policy.verification_types import api_fields
from sallyport_cli.policy.yaml_reading import Path

if TYPE_CHECKING:
    from sallyport_cli.policy.model import Policy

_SHOWN: Final = 6
_GENERAL: Final = "verification.request"
_OUTPUT_TOKENS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""Fields of these APIs that say how long an answer may be."""

type Problems = Iterator[tuple[Path, str]]
type Rule = Leaks | Prompts | GuardHook


def verification_problems(policy: Policy) -> Problems:
    """Tell what is wrong with the section on verification, by their paths."""
    section = policy.verification
    if section is None:
        return
    yield from _request_problems(section)
    yield from _unknown(("verification", "tenants"), list(section.tenants), policy.tenants, "tenants")
    for name, rules in (("leaks", section.leaks or ()), ("prompts", section.prompts), ("guards", section.guards)):
        yield from _rule_problems(policy, ("verification", name), rules)
    for place, guard in enumerate(section.guards):
        yield from _guard_problems(policy, ("verification", "guards", place, "upstream"), guard.upstream)


def requests_of(section: Verification) -> Iterator[tuple[Path, Request]]:
    """Give every part about requests with its path, the general one first."""
    if section.request is not None:
        yield ("verification", "request"), section.request
    for route, part in section.routes.items():
        if part.request is not None:
            yield ("verification", "routes", route, "request"), part.request
    for tenant, own in section.tenants.items():
        yield ("verification", "tenants", tenant, "request"), own.request


def _request_problems(section: Verification) -> Problems:
    for path, request in requests_of(section):
        routes = (str(path[2]),) if path[1] == "routes" else REQUEST_ROUTES
        yield from _forced_problems((*path, "forced"), request, routes, is_of_a_route=path[1] == "routes")
        yield from _forbidden_problems((*path, "forbidden"), request, routes)
        if section.request is not None and request is not section.request:
            yield from _widening(path, section.request, request)
    yield from _contradictions(section)


def _widening(path: Path, general: Request, own: Request) -> Problems:
    """Refuse what would look as if it allowed more: the narrower of both counts."""
    for name in COUNTS:
        most, given = getattr(general, name), getattr(own, name)
        if most is not None and given is not None and given > most:
            yield (*path, name), f"is above {_GENERAL}.{name}, {most:,}, which counts here too; only less narrows it"
    if own.unknown_fields is not None and general.unknown_fields is not None:
        order = UNKNOWN_FIELDS.index
        if order(own.unknown_fields) < order(general.unknown_fields):
            reason = f"is less than {_GENERAL}.unknown_fields, {general.unknown_fields}, which counts here too"
            yield (*path, "unknown_fields"), reason
    for name, value in own.forced.items():
        if general.forced.get(name, value) != value:
            yield (*path, "forced", name), f"is forced to another value in {_GENERAL}"
    for name in sorted({*general.forbidden} & {*own.forced}):
        yield (*path, "forced", name), f"is forbidden in {_GENERAL}"
    for name in sorted({*own.forbidden} & {*general.forced}):
        yield (*path, "forbidden"), f"{name} is forced in {_GENERAL}"


def _contradictions(section: Verification) -> Problems:
    """Refuse what is forced where another part that counts as well makes it a refusal, or forces something else."""
    parts = list(requests_of(section))
    forcing = [(path, own) for path, own in parts if own.forced]
    for path, own in forcing:
        for beside, other in parts:
            if _count_together(path, beside):
                yield from _too_many_tokens((*path, "forced"), own, other, field_name((*beside, "max_output_tokens")))
            if path[1] == "tenants" and beside[1] == "routes":
                yield from _forced_twice((*path, "forced"), own, other, field_name(beside))


def _count_together(one: Path, other: Path) -> bool:
    """Say whether two parts can count for one request: those of two routes can't, nor those of two tenants."""
    return one == other or one[1] != other[1]


def _too_many_tokens(path: Path, own: Request, other: Request, name: str) -> Problems:
    for field in _OUTPUT_TOKENS:
        tokens = json.loads(own.forced.get(field, "null"))
        if isinstance(tokens, int) and other.max_output_tokens is not None and tokens > other.max_output_tokens:
            yield (*path, field), f"is above {name}, {other.max_output_tokens:,}: every request would be refused"


def _forced_twice(path: Path, own: Request, other: Request, name: str) -> Problems:
    for field, value in own.forced.items():
        if other.forced.get(field, value) != value:
            yield (*path, field), f"is forced to another value in {name}"


def _forced_problems(path: Path, request: Request, routes: Sequence[str], *, is_of_a_route: bool) -> Problems:
    """Refuse values that no API takes, and those that the routers refuse of a client: they move data elsewhere."""
    for name, text in request.forced.items():
        knowing = [route for route in routes if name in api_fields(route)]
        if not knowing and not is_of_a_route:
            yield (*path, name), "is no field of these APIs; for one of your upstream's own, name the route"
        for route in knowing:
            reason = _refusal(route, name, json.loads(text))
            if reason is not None:
                yield (*path, name), f"is refused by {route}: {reason}"
                break
    body = {name: json.loads(text) for name, text in request.forced.items()}
    for route in routes:
        try:
            check_hosted_tools(route, body, ())
            check_kept_data(route, body)
        except UnsupportedFieldError as error:
            yield (*path, error.param or ""), f"is refused, as of a client: {error.message.rstrip('.')}"
            return


def _forbidden_problems(path: Path, request: Request, routes: Sequence[str]) -> Problems:
    for name in request.forbidden:
        needing = [route for route in routes if name in read_built_in(route)["required"]]
        if needing:
            yield path, f"{name} is what every request of {', '.join(needing)} has; all of them would be refused"


def verification_warnings(policy: Policy) -> Problems:
    """Tell of fields that are forbidden and that no API has: most likely another one was meant, which stays allowed."""
    for path, request in () if policy.verification is None else requests_of(policy.verification):
        known = {name for route in REQUEST_ROUTES for name in api_fields(route)}
        for name in request.forbidden:
            if name not in known:
                close = get_close_matches(name, known, 1)
                hint = f"; did you mean {close[0]}?" if close else ""
                yield (*path, "forbidden"), f"warning: {name} is no field of these APIs{hint}"


def _refusal(route: str, name: str, value: Any) -> str | None:
    """Say why an API doesn't take a value of its field, None where it does."""
    whole = read_built_in(route)
    schema = {key: part for key, part in whole.items() if key != "required"}
    try:
        RequestSchema({**schema, "properties": {name: whole["properties"][name]}}).check({name: value})
    except SchemaViolationError as error:
        return error.message.removeprefix("Invalid request: ").rstrip(".")
    return None


def _rule_problems(policy: Policy, path: Path, rules: Sequence[Rule]) -> Problems:
    names = [rule.name for rule in rules]
    for place, rule in enumerate(rules):
        first = names.index(rule.name)
        if first != place:
            yield (*path, place, "name"), f"is that of {path[-1]}[{first}] already"
        yield from _unknown((*path, place, "tenants"), rule.tenants, policy.tenants, "tenants")
        yield from _unknown((*path, place, "apps"), rule.scope.apps, policy.apps or (), "apps")


def _unknown(path: Path, names: Sequence[str], known: Collection[str] | None, section: str) -> Problems:
    unknown = [name for name in names if known is not None and name not in known]
    if unknown:
        yield path, f"not in {section}: {_listed(unknown)} (known: {_listed(list(known or ()))})"


def _guard_problems(policy: Policy, path: Path, name: str) -> Problems:
    upstream = (policy.upstreams or {}).get(name)
    if upstream is None:
        yield path, f"not in upstreams: {name} (known: {_listed(list(policy.upstreams or ()))})"
    elif upstream.provider != GUARD:
        yield path, f"{name} is no upstream of the provider {GUARD}, and speaks {upstream.provider}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "") or "none"
