"""What a route goes by: limits and upstreams of the stack's parameters, or of the applied document, and its models."""

from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.policy.compiled_canaries import read_canaries
from sallyport.policy.compiled_upstreams import (
    read_apps,
    read_endpoints,
    read_global_tenants,
    read_price,
    read_targets,
    read_upstreams,
)
from sallyport.policy.compiled_verification import read_verification
from sallyport.policy.effective import CompiledPolicyError, check_format
from sallyport.policy.limit_rules import (
    LIMIT_SCOPES,
    MAX_CONCURRENT,
    NO_WINDOW,
    STORE_FAILURE,
    UNITS,
    LimitMatch,
    LimitRule,
    ModelRules,
    RouterRules,
    parse_window,
)
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.policy.verification_rules import AnswerRules

_MATCHES = LimitMatch._fields


def merge_router(parameters: RouterRules, compiled: Mapping[str, Any] | None, version: int) -> RouterRules:
    """Give what is in force: `parameters` alone, or under the compiled document of this version.

    `limits` of the document replace those of the parameters, tenants' own come on top of either. So do `upstreams`; the
    regions that are allowed and where secrets are stay the parameters'. So does their canary, unless the document has
    `canaries`, or `upstreams`, with which the canary's place is gone. Of verification `unknown_fields`, `response` and
    `leaks` each replace their own parameter. Raises `CompiledPolicyError` for a document of another format, or a
    broken one.
    """
    if compiled is None:
        return parameters
    check_format(compiled)
    try:
        return _merge(parameters, compiled, version)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CompiledPolicyError(f"the stored policy is broken: {type(error).__name__}") from None


def _merge(parameters: RouterRules, compiled: Mapping[str, Any], version: int) -> RouterRules:
    merged = parameters._replace(version=version)
    if "limits" in compiled:
        merged = merged._replace(limits=_limits(compiled["limits"]))
    if "tenants" in compiled:
        tenants = compiled["tenants"]
        merged = merged._replace(tenant_limits=_tenant_limits(tenants), global_tenants=read_global_tenants(tenants))
    return _merge_places(merged, compiled)


def _merge_places(merged: RouterRules, compiled: Mapping[str, Any]) -> RouterRules:
    """Put in where requests may go. With `upstreams` of its own a document gives every model its targets."""
    if "upstreams" in compiled:
        upstreams = read_upstreams(compiled["upstreams"], merged.secret_prefix)
        merged = merged._replace(upstreams=upstreams, canaries=())
    if "canaries" in compiled:
        merged = merged._replace(canaries=read_canaries(compiled["canaries"], merged.upstreams))
    if "verification" in compiled:
        verification = read_verification(compiled["verification"], merged.verification, merged.upstreams)
        merged = merged._replace(verification=verification)
    if "apps" in compiled:
        mode = merged.verification.answers.get("apps", AnswerRules()).mode
        merged = merged._replace(apps=read_apps(compiled["apps"], merged.upstreams, mode))
    if "models" in compiled:
        models = {name: _model(name, raw, merged.upstreams) for name, raw in compiled["models"].items()}
        if "upstreams" in compiled and not all(model.targets for model in models.values()):
            raise ValueError("a model has no targets")
        merged = merged._replace(models=models)
    endpoints = compiled.get("residency", {}).get("endpoints")
    return merged if endpoints is None else merged._replace(endpoints=read_endpoints(endpoints))


def rule_as_json(rule: LimitRule) -> dict[str, Any]:
    """Write a rule as a compiled document holds it: its fields, the window as text."""
    window = "" if rule.window == NO_WINDOW else rule.window.text
    return {**rule._asdict(), "window": window, "match": _match_json(rule)}


def read_rule(raw: Mapping[str, Any]) -> LimitRule:
    """Read what `rule_as_json` wrote. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
    _check_rule(raw)
    window = NO_WINDOW if raw["window"] == "" else parse_window(raw["window"])
    match = LimitMatch(**{name: tuple(values) for name, values in raw["match"].items()})
    return LimitRule(**{**raw, "scope": tuple(raw["scope"]), "window": window, "match": match})


def _check_rule(raw: Mapping[str, Any]) -> None:
    """Refuse what would count nothing, or other things than its writer meant."""
    places = [LIMIT_SCOPES.index(part) for part in raw["scope"]]
    is_sound = (
        isinstance(raw["name"], str)
        and raw["unit"] in UNITS
        and bool(places)
        and places == sorted(set(places))
        and _is_count(raw["limit"])
        and (raw["unit"] == "concurrent") == (raw["window"] == "")
        and (raw["unit"] != "concurrent" or raw["limit"] <= MAX_CONCURRENT)
        and raw["on_store_failure"] in STORE_FAILURE
        and isinstance(raw["enforce_cap"], bool)
        and all(_are_texts(values) for values in raw["match"].values())
    )
    if not is_sound:
        raise ValueError("a limit is broken")


def _are_texts(values: object) -> bool:
    """Say whether it is a list of texts; a text alone would be taken for its letters, and match nothing."""
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _is_count(value: object) -> bool:
    """Say whether a value is a whole number from 1; JSON's true is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _limits(raw: Sequence[Mapping[str, Any]]) -> tuple[LimitRule, ...]:
    limits = tuple(read_rule(one) for one in raw)
    if len({rule.name for rule in limits}) != len(limits):
        raise ValueError("two limits have one name")
    return limits


def _match_json(rule: LimitRule) -> dict[str, list[str]]:
    """Give what isn't empty, so that a document of many rules stays short."""
    return {name: list(values) for name, values in zip(_MATCHES, rule.match, strict=True) if values}


def _tenant_limits(tenants: Mapping[str, Any]) -> dict[str, Mapping[str, LimitRule | None]]:
    """Give the limits of the tenants that have their own; documents from before there were any have none."""
    return {tenant: _own(raw["limits"]) for tenant, raw in tenants.items() if raw.get("limits")}


def _own(limits: Mapping[str, Any]) -> dict[str, LimitRule | None]:
    return {name: None if raw is None else _named(name, read_rule(raw)) for name, raw in limits.items()}


def _named(name: str, rule: LimitRule) -> LimitRule:
    if rule.name != name:
        raise ValueError("a tenant's limit has two names")
    return rule


def _model(name: str, raw: Mapping[str, Any], upstreams: Mapping[str, UpstreamRules]) -> ModelRules:
    """Read a model. Documents from before there were any have no targets; who knows no upstreams asks for none."""
    price, cap = raw["price"], raw["max_output_tokens"]
    if cap is not None and not _is_count(cap):
        raise ValueError("a model is broken")
    targets = read_targets(raw.get("targets", []), name, upstreams) if upstreams else ()
    return ModelRules(cap, None if price is None else read_price(price), targets)
