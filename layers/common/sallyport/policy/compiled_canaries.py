"""Canaries, read from a compiled document: each part as strictly as if somebody else had written it.

A canary that is read wrongly sends people's prompts to another place than its writer meant, so nothing is passed over.
All readers raise `KeyError`, `TypeError`, `AttributeError` or `ValueError` for what is broken.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.policy.canary_rules import (
    FULL_WEIGHT,
    PARAMETER_CANARY,
    STICKY_BY,
    CanaryMatch,
    CanaryRules,
    CanaryStep,
    GuardRules,
)
from sallyport.policy.compiled_upstreams import read_targets
from sallyport.policy.limit_rules import ROUTES
from sallyport.policy.upstream_rules import Target, UpstreamRules

CANARY_NAME = "[a-z0-9-]{1,40}"
HEADER_NAME = "[a-z0-9][a-z0-9-]{0,63}"
COOKIE_NAME = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}"
"""RFC 6265, 4.1.1: a token."""

PARAMETER_NAME = "[a-z_][a-z0-9_]{0,63}"
"""In small letters: to an upstream in Go or .NET `Model` is `model`, and would pass every check of that name."""

MAX_CANARIES = 20
MAX_STEPS = 20
MIN_HOLD_S, MAX_HOLD_S = 60, 30 * 86_400
MIN_ALPHA, MAX_ALPHA = 0.0001, 0.2
MAX_PARAMETERS_BYTES = 4096
"""Of JSON, as `json.dumps` writes it."""

CANARY_ROUTES = tuple(route for route in ROUTES if route != "apps")
"""The routes that a canary may be for; of the applications each has its own."""

FORBIDDEN_PARAMETERS = frozenset({
    "model", "stream", "stream_options", "messages", "input", "tools", "store", "n", "background",
    "previous_response_id",
})  # fmt: skip
"""What a canary never sets: the words themselves, where they go, what is kept of them, how the answer comes back."""

_NAME = re.compile(CANARY_NAME)
_PARAMETER = re.compile(PARAMETER_NAME)
_STICKY = re.compile(f"{'|'.join(STICKY_BY)}|header:{HEADER_NAME}|cookie:{COOKIE_NAME}")
_SHARES = ("alpha", "max_error_increase", "max_slow_increase")
_COUNTS = ("min_requests", "min_subjects")
_TIMES = ("slow_ms", "slow_first_token_ms")


def read_canaries(raw: Sequence[Mapping[str, Any]], upstreams: Mapping[str, UpstreamRules]) -> tuple[CanaryRules, ...]:
    """Give a document's canaries in their order.

    Who knows no `upstreams` at all, such as the list of models, gets targets without a region: nobody may go there.
    """
    canaries = tuple(_canary(one, upstreams) for one in _list(raw))
    names = {canary.name for canary in canaries}
    _check(len(names) == len(canaries) <= MAX_CANARIES and PARAMETER_CANARY not in names)
    return canaries


def _canary(raw: Mapping[str, Any], upstreams: Mapping[str, UpstreamRules]) -> CanaryRules:
    _check_fields(raw, CanaryRules._fields)
    models, apps, guard = _texts(raw["models"]), _texts(raw["apps"]), raw["guard"]
    read = {
        "name": _text(raw["name"]),
        "models": models,
        "routes": _texts(raw["routes"]),
        "apps": apps,
        "target": None if raw["target"] is None else _target(raw["target"], models, bool(apps), upstreams),
        "parameters": _parameters(raw["parameters"]),
        "steps": tuple(_step(one) for one in _list(raw["steps"])),
        "match": _match(raw["match"]),
        "guard": None if guard is None else _guard(guard),
    }
    canary = CanaryRules(**{**raw, **read})
    _check(_is_sound(canary))
    return canary


def _is_sound(canary: CanaryRules) -> bool:
    """Say whether it is for something, does something, and climbs."""
    weights = [step.weight for step in canary.steps]
    return (
        _NAME.fullmatch(canary.name) is not None
        and [bool(canary.models), bool(canary.routes), bool(canary.apps)].count(True) == 1
        and all((*canary.models, *canary.apps))  # of a call to an app the model is empty, and the reverse
        and set(CANARY_ROUTES).issuperset(canary.routes)
        and (canary.target is not None if canary.apps else canary.target is not None or bool(canary.parameters))
        and not (canary.apps and canary.parameters)
        and 1 <= len(weights) <= MAX_STEPS
        and weights == sorted(set(weights))
        and (weights[0] > 0 or len(weights) == 1)
        and all(step.hold_s for step in canary.steps[:-1])
        and _STICKY.fullmatch(canary.sticky_by) is not None
        and type(canary.starts) is bool
    )


def _target(
    raw: Mapping[str, Any], models: tuple[str, ...], is_app: bool, upstreams: Mapping[str, UpstreamRules]
) -> Target:
    if not upstreams:
        return Target(_text(raw["upstream"]), _text(raw["model"]), ())
    if is_app:
        upstream = upstreams[_text(raw["upstream"])]
        _check(upstream.provider == "app" and raw["model"] == "" and raw["price"] is None)
        _check(raw["regions"] == [upstream.region])
        return Target(upstream.name, "", (upstream.region,))
    [target] = read_targets([raw], models[0] if len(models) == 1 else "", upstreams)
    return target


def _parameters(raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise TypeError("must be an object")
    _check(FORBIDDEN_PARAMETERS.isdisjoint(raw) and all(map(_PARAMETER.fullmatch, raw)))
    _check(len(json.dumps(raw, allow_nan=False)) <= MAX_PARAMETERS_BYTES)
    return raw


def _step(raw: Mapping[str, Any]) -> CanaryStep:
    _check_fields(raw, CanaryStep._fields)
    step = CanaryStep(**raw)
    _check(type(step.weight) is int and 0 <= step.weight <= FULL_WEIGHT)
    _check(type(step.hold_s) is int and (step.hold_s == 0 or MIN_HOLD_S <= step.hold_s <= MAX_HOLD_S))
    return step


def _match(raw: Mapping[str, Any]) -> CanaryMatch:
    _check_fields(raw, CanaryMatch._fields)
    lists = {name: _texts(raw[name]) for name in ("tenants", "regions", "countries")}
    return CanaryMatch(**lists, claims=_pairs(raw["claims"]), headers=_pairs(raw["headers"]))


def _guard(raw: Mapping[str, Any]) -> GuardRules:
    _check_fields(raw, GuardRules._fields)
    guard = GuardRules(**raw)
    values = guard._asdict()
    _check(all(_is_share(values[name]) for name in _SHARES) and MIN_ALPHA <= guard.alpha <= MAX_ALPHA)
    _check(all(type(values[name]) is int and values[name] >= 1 for name in _COUNTS))
    _check(all(values[name] is None or (type(values[name]) is int and values[name] >= 1) for name in _TIMES))
    return guard


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _pairs(raw: object) -> tuple[tuple[str, str], ...]:
    """Give pairs, each of another name. A text of two letters would be taken for a pair of them."""
    pairs = tuple((_text(name), _text(value)) for name, value in map(_list, _list(raw)))
    _check(len(dict(pairs)) == len(pairs))
    return pairs


def _texts(raw: object) -> tuple[str, ...]:
    """Give a list of texts; a text alone would be taken for its letters."""
    return tuple(_text(one) for one in _list(raw))


def _check_fields(raw: object, names: Sequence[str]) -> None:
    """Refuse what lacks a field, or has another one."""
    _check(isinstance(raw, dict) and raw.keys() == set(names))


def _list(raw: object) -> list[Any]:
    if not isinstance(raw, list):
        raise TypeError("must be a list")
    return raw


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError("must be a text")
    return raw


def _check(is_sound: object) -> None:
    if not is_sound:
        raise ValueError("a canary is broken")
