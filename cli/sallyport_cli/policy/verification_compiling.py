"""The section on verification in the form that the functions read: by route, with what is said for all routes in it.

What is said in several places is narrowed here: the smaller maximum, all that is forbidden, every schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sallyport.policy.compiled_verification import COUNTS, REQUEST_ROUTES, leak_json, request_json, scoped_json
from sallyport.policy.limit_rules import ROUTES
from sallyport.policy.verification_rules import (
    IGNORE,
    UNKNOWN_FIELDS,
    GuardHookRules,
    LeakRules,
    Pattern,
    PromptRules,
    RequestRules,
)
from sallyport_cli.policy.verification import GuardHook, Leaks, Prompts, Request, Verification
from sallyport_cli.policy.verification_types import api_fields, is_file

type Schemas = Mapping[str, Mapping[str, Any]]
"""What the files with JSON Schemas hold, by their names in the document."""


def compile_verification(section: Verification, schemas: Schemas) -> dict[str, Any]:
    """Give what `read_verification` reads. Raises `KeyError` without the files that it names."""
    return {
        "requests": _requests(section, schemas),
        "tenant_requests": {name: _of_tenant(own.request, schemas) for name, own in section.tenants.items()},
        "answers": _answers(section),
        "leaks": None if section.leaks is None else [leak_json(leak_rules(rule)) for rule in section.leaks],
        "prompts": [scoped_json(_prompt(rule)) for rule in section.prompts],
        "guards": [scoped_json(_guard(rule)) for rule in section.guards],
    }


def _requests(section: Verification, schemas: Schemas) -> dict[str, Any]:
    """Give the rules of each route of which something is said."""
    compiled: dict[str, Any] = {}
    for route in REQUEST_ROUTES:
        own = section.routes[route].request if route in section.routes else None
        parts = [part for part in (section.request, own) if part is not None]
        if parts:
            forced = {**_known(section.request, route), **_forced(own)}
            says = any(part.unknown_fields is not None for part in parts)
            compiled[route] = request_json(_narrowed(parts, forced, schemas), says_unknown_fields=says)
    return compiled


def _of_tenant(request: Request, schemas: Schemas) -> dict[str, Any]:
    """Give a tenant's rules for all routes, and what is forced on those whose API has it."""
    general = {"": request_json(_narrowed([request], {}, schemas))}
    forced = {route: _known(request, route) for route in REQUEST_ROUTES}
    return general | {route: request_json(RequestRules(forced=fields)) for route, fields in forced.items() if fields}


def _narrowed(parts: Sequence[Request], forced: Mapping[str, Any], schemas: Schemas) -> RequestRules:
    return RequestRules(
        unknown_fields=max((part.unknown_fields or IGNORE for part in parts), key=UNKNOWN_FIELDS.index),
        **{name: _least(getattr(part, name) for part in parts) for name in COUNTS},
        forbidden=tuple(dict.fromkeys(name for part in parts for name in part.forbidden)),
        forced=forced,
        schemas=tuple(_schema(part.own_schema, schemas) for part in parts if part.own_schema is not None),
    )


def _least(given: Iterable[int | None]) -> int | None:
    return min((number for number in given if number is not None), default=None)


def _schema(schema: str, schemas: Schemas) -> Mapping[str, Any]:
    if is_file(schema):
        return schemas[schema]
    read: Mapping[str, Any] = json.loads(schema)
    return read


def _known(request: Request | None, route: str) -> dict[str, Any]:
    """Give what is forced on all routes and is a field of this one's API; others would refuse every request for it."""
    return {name: value for name, value in _forced(request).items() if name in api_fields(route)}


def _forced(request: Request | None) -> dict[str, Any]:
    return {} if request is None else {name: json.loads(text) for name, text in request.forced.items()}


def _answers(section: Verification) -> dict[str, Any]:
    compiled = {}
    for route in ROUTES:
        own = section.routes.get(route)
        mode = (own.response if own is not None else None) or section.response
        strip = own.strip if own is not None else ()
        if mode is not None or strip:
            compiled[route] = {"mode": mode, "strip": strip}
    return compiled


def leak_rules(rule: Leaks) -> LeakRules:
    """Give a rule of the leak guard as the functions have it."""
    patterns = tuple(Pattern(own.name, own.pattern, own.max_length) for own in rule.patterns)
    return LeakRules(rule.name, rule.detectors, patterns, rule.words, rule.action, rule.where, rule.scope)


def _prompt(rule: Prompts) -> PromptRules:
    return PromptRules(
        rule.name, rule.roles, rule.deny, rule.allow, rule.forbid, rule.max_repetition, rule.action, rule.scope
    )


def _guard(rule: GuardHook) -> GuardHookRules:
    return GuardHookRules(rule.name, rule.upstream, rule.timeout_ms, rule.on_failure, rule.scope)
