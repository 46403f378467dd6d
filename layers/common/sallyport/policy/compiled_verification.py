"""What requests and answers are held to, as a compiled document holds it: written, and read again.

It is read as strictly as if somebody else had written it: a rule that is read wrongly lets pass what its writer meant
to stop. All readers raise `KeyError`, `TypeError`, `AttributeError` or `ValueError` for what is broken.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.policy.compiled_canaries import FORBIDDEN_PARAMETERS, PARAMETER_NAME
from sallyport.policy.limit_rules import ROUTES
from sallyport.policy.upstream_rules import GUARD, UpstreamRules
from sallyport.policy.verification_rules import (
    ACTIONS,
    BLOCK,
    CLOSED,
    DIRECTIONS,
    IGNORE,
    MODES,
    OPEN,
    REPORT,
    UNKNOWN_FIELDS,
    AnswerRules,
    GuardHookRules,
    LeakRules,
    Pattern,
    PromptRules,
    RequestRules,
    Scope,
    VerificationRules,
)

RULE_NAME = "[a-z0-9][a-z0-9_-]{0,39}"
FINDING_NAME = "[a-z][a-z0-9_]{0,39}"
"""Of a detector, or of an operator's own pattern: both stand in logs as what was found."""

REQUEST_ROUTES = tuple(route for route in ROUTES if route != "apps")
"""The routes whose requests are held to rules; an application's are held to its OpenAPI document."""

NEVER_FORCED = FORBIDDEN_PARAMETERS
"""What no policy sets in a request: the words themselves, where they go, what is kept of them, how the answer comes."""

NEVER_FORBIDDEN = frozenset({"model", "messages", "input"})
"""What every request of some route has."""

COUNTS = {
    "max_messages": (1, 100_000),
    "max_images": (0, 100_000),
    "max_tools": (0, 100_000),
    "max_prompt_bytes": (1, 5_242_880),
    "max_output_tokens": (1, 1_000_000_000),
}
"""The least and the most that each maximum may be; a body has 5 MiB."""

ROLES = ("system", "developer", "user", "assistant", "tool")
FORBIDDEN_CHARACTERS = ("control", "bidi")
PROMPT_ACTIONS = (REPORT, BLOCK)
FAILURES = (CLOSED, OPEN)
MAX_RULES, MAX_GUARDS = 50, 5
MAX_PATTERNS, MAX_WORDS, MAX_NAMES = 50, 100, 100
MAX_PATTERN_CHARS = 512
MIN_WORD_CHARS, MAX_MATCH_CHARS = 4, 256
"""Of a word, and of what a pattern may match: so much of a stream is held back at most."""

MIN_TIMES, MAX_TIMES = 2, 1_000_000
MIN_TIMEOUT_MS, MAX_TIMEOUT_MS = 50, 10_000

_RULE = re.compile(RULE_NAME)
_FINDING = re.compile(FINDING_NAME)
_PARAMETER = re.compile(PARAMETER_NAME)
_SECTIONS = ("requests", "tenant_requests", "answers", "leaks", "prompts", "guards")

type Upstreams = Mapping[str, UpstreamRules]


def request_json(rules: RequestRules, *, says_unknown_fields: bool = True) -> dict[str, Any]:
    """Write rules for requests. `says_unknown_fields` False: as the stack's parameters say."""
    return {**rules._asdict(), "unknown_fields": rules.unknown_fields if says_unknown_fields else None}


def leak_json(rules: LeakRules) -> dict[str, Any]:
    """Write a rule of the leak guard."""
    patterns = [pattern._asdict() for pattern in rules.patterns]
    return {**rules._asdict(), "patterns": patterns, "scope": rules.scope._asdict()}


def scoped_json(rules: PromptRules | GuardHookRules) -> dict[str, Any]:
    """Write a rule for prompts, or an external guard."""
    return {**rules._asdict(), "scope": rules.scope._asdict()}


def read_verification(raw: Mapping[str, Any], parameters: VerificationRules, upstreams: Upstreams) -> VerificationRules:
    """Give what is in force: what the document doesn't say, None or left out, is as the `parameters` say."""
    _check_fields(raw, _SECTIONS)
    asked = {route: parameters.requests.get(route, RequestRules()).unknown_fields for route in REQUEST_ROUTES}
    modes = {route: parameters.answers.get(route, AnswerRules()).mode for route in ROUTES}
    requests = {route: _request(one, asked[route]) for route, one in raw["requests"].items()}
    answers = {route: _answer(one, modes[route]) for route, one in raw["answers"].items()}
    leaks = raw["leaks"]
    return VerificationRules(
        requests={**parameters.requests, **requests},
        tenant_requests={tenant: _of_tenant(routes) for tenant, routes in raw["tenant_requests"].items()},
        answers={**parameters.answers, **answers},
        leaks=parameters.leaks if leaks is None else _distinct([_leak(one) for one in _list(leaks, MAX_RULES)]),
        prompts=_distinct([_prompt(one) for one in _list(raw["prompts"], MAX_RULES)]),
        guards=_distinct([_guard(one, upstreams) for one in _list(raw["guards"], MAX_GUARDS)]),
    )


def _of_tenant(raw: Mapping[str, Any]) -> dict[str, RequestRules]:
    """Give a tenant's rules by route, under "" those for all routes: both count."""
    _check(set(raw) <= {"", *REQUEST_ROUTES})
    return {route: _request(one, IGNORE) for route, one in raw.items()}


def _request(raw: Mapping[str, Any], unknown_fields: str) -> RequestRules:
    _check_fields(raw, RequestRules._fields)
    said = raw["unknown_fields"]
    forced, schemas = raw["forced"], _list(raw["schemas"])
    _check(isinstance(forced, dict) and all(isinstance(schema, dict) for schema in schemas))
    _check(all(_may_be_forced(name) for name in forced))
    read = {
        "unknown_fields": unknown_fields if said is None else _one_of(said, UNKNOWN_FIELDS),
        "forbidden": tuple(_parameter(name) for name in _list(raw["forbidden"])),
        "schemas": tuple(schemas),
    }
    _check(not NEVER_FORBIDDEN.intersection(read["forbidden"]))
    counts = {name: _count(raw[name], *bounds) for name, bounds in COUNTS.items()}
    return RequestRules(**{**raw, **read, **counts})


def _answer(raw: Mapping[str, Any], mode: str) -> AnswerRules:
    _check_fields(raw, AnswerRules._fields)
    return AnswerRules(mode if raw["mode"] is None else _one_of(raw["mode"], MODES), _texts(raw["strip"]))


def _leak(raw: Mapping[str, Any]) -> LeakRules:
    _check_fields(raw, LeakRules._fields)
    rules = LeakRules(
        name=_matching(raw["name"], _RULE),
        detectors=tuple(_matching(name, _FINDING) for name in _list(raw["detectors"], MAX_NAMES)),
        patterns=_distinct([_pattern(one) for one in _list(raw["patterns"], MAX_PATTERNS)]),
        words=_texts(raw["words"], MAX_WORDS),
        action=_one_of(raw["action"], ACTIONS),
        directions=_some_of(raw["directions"], DIRECTIONS),
        scope=_scope(raw["scope"], ROUTES),
    )
    _check(rules.detectors or rules.patterns or rules.words)
    _check(rules.directions and all(MIN_WORD_CHARS <= len(word) <= MAX_MATCH_CHARS for word in rules.words))
    return rules


def _pattern(raw: Mapping[str, Any]) -> Pattern:
    _check_fields(raw, Pattern._fields)
    length = _count(raw["max_length"], 1, MAX_MATCH_CHARS)
    _check(length is not None)
    return Pattern(_matching(raw["name"], _FINDING), _expression(raw["pattern"]), length or 0)


def _prompt(raw: Mapping[str, Any]) -> PromptRules:
    _check_fields(raw, PromptRules._fields)
    rules = PromptRules(
        name=_matching(raw["name"], _RULE),
        roles=_some_of(raw["roles"], ROLES),
        deny=tuple(_expression(one) for one in _list(raw["deny"], MAX_PATTERNS)),
        allow=tuple(_expression(one) for one in _list(raw["allow"], MAX_PATTERNS)),
        forbid=_some_of(raw["forbid"], FORBIDDEN_CHARACTERS),
        max_repetition=_count(raw["max_repetition"], MIN_TIMES, MAX_TIMES),
        action=_one_of(raw["action"], PROMPT_ACTIONS),
        scope=_scope(raw["scope"], REQUEST_ROUTES),
    )
    _check(rules.roles and (rules.deny or rules.allow or rules.forbid or rules.max_repetition))
    return rules


def _guard(raw: Mapping[str, Any], upstreams: Upstreams) -> GuardHookRules:
    _check_fields(raw, GuardHookRules._fields)
    timeout_ms = _count(raw["timeout_ms"], MIN_TIMEOUT_MS, MAX_TIMEOUT_MS)
    _check(timeout_ms is not None and upstreams[_text(raw["upstream"])].provider == GUARD)
    return GuardHookRules(
        name=_matching(raw["name"], _RULE),
        upstream=raw["upstream"],
        timeout_ms=timeout_ms or 0,
        on_failure=_one_of(raw["on_failure"], FAILURES),
        scope=_scope(raw["scope"], REQUEST_ROUTES),
    )


def _scope(raw: Mapping[str, Any], routes: Sequence[str]) -> Scope:
    _check_fields(raw, Scope._fields)
    scope = Scope(_some_of(raw["routes"], routes), _texts(raw["apps"]), _texts(raw["tenants"]))
    _check(not scope.apps or scope.routes == ("apps",))
    return scope


def _distinct[Rule: LeakRules | PromptRules | GuardHookRules | Pattern](rules: Sequence[Rule]) -> tuple[Rule, ...]:
    _check(len({rule.name for rule in rules}) == len(rules))
    return tuple(rules)


def _may_be_forced(name: str) -> bool:
    return _PARAMETER.fullmatch(name) is not None and name not in NEVER_FORCED


def _parameter(raw: object) -> str:
    return _matching(raw, _PARAMETER)


def _expression(raw: object) -> str:
    text = _text(raw)
    _check(0 < len(text) <= MAX_PATTERN_CHARS)
    return text


def _count(raw: object, least: int, most: int) -> int | None:
    """Give a whole number within bounds, or None; JSON's true is none."""
    if raw is None:
        return None
    if type(raw) is not int or not least <= raw <= most:
        raise ValueError("a number is broken")
    return raw


def _some_of(raw: object, known: Sequence[str]) -> tuple[str, ...]:
    return tuple(_one_of(one, known) for one in _list(raw))


def _one_of(raw: object, known: Sequence[str]) -> str:
    text = _text(raw)
    _check(text in known)
    return text


def _matching(raw: object, pattern: re.Pattern[str]) -> str:
    text = _text(raw)
    _check(pattern.fullmatch(text) is not None)
    return text


def _texts(raw: object, most: int = 10_000) -> tuple[str, ...]:
    return tuple(_text(one) for one in _list(raw, most))


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError("must be a text")
    return raw


def _list(raw: object, most: int = 10_000) -> list[Any]:
    if not isinstance(raw, list) or len(raw) > most:
        raise TypeError("must be a list, and not too long")
    return raw


def _check_fields(raw: Mapping[str, Any], names: Sequence[str]) -> None:
    if set(raw) != set(names):
        raise ValueError("verification has other fields")


def _check(is_sound: object) -> None:
    if not is_sound:
        raise ValueError("verification is broken")
