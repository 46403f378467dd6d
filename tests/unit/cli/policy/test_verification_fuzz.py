"""Whatever section on verification `validate` takes, the routers read as it was meant, and can go by."""

import json
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.gateway.verifying import CurrentChecks
from sallyport.policy.compiled_verification import FORBIDDEN_CHARACTERS, REQUEST_ROUTES, ROLES
from sallyport.policy.limit_rules import ROUTES, RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.verification_parameters import VerificationSettings, with_verification
from sallyport.policy.verification_rules import (
    ACTIONS,
    DIRECTIONS,
    MODES,
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
from sallyport.verification.schema import RequestSchema
from sallyport_cli.policy.compiling import compile_policy
from sallyport_cli.policy.documents import Document, PolicyFileError, read_document

PLACES: dict[str, Any] = {
    "upstreams": {
        "up": {"provider": "openai", "base_url": "https://api.openai.com/v1", "region": "us-east-1", "secret": "up"},
        "checker": {"provider": "guard", "base_url": "https://guard.example", "region": "eu-west-1"},
        "mine": {"provider": "app", "base_url": "https://a.example", "region": "eu-west-1", "secret": "mine"},
    },
    "models": {"m": {"targets": [{"upstream": "up"}]}},
    "apps": {"a": {"upstream": "mine"}},
    "tenants": {"acme": {}, "globex": {}},
}
PARAMETERS = with_verification(RouterRules(0, (), {}, None), VerificationSettings("enforce", "strip", "redact"))


def some(*names: str, least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=least, max_size=3, unique=True)


def several(rule: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(rule, max_size=2, unique_by=lambda one: one["name"])


def optional(**fields: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return fields


COUNTS = {name: st.integers(1, 50) for name in RequestRules._fields if name.startswith("max_")}
SCHEMAS = st.sampled_from([{"required": ["user"]}, {"properties": {"user": {"const": None}}}, {"type": "object"}])
FORCED = st.dictionaries(
    st.sampled_from(["temperature", "top_p", "max_tokens", "user", "own_field"]),
    st.sampled_from([0, 1, "x", {"a": [1, None]}]),
    max_size=3,
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional=optional(
        **COUNTS,
        unknown_fields=st.sampled_from(UNKNOWN_FIELDS),
        forbidden=some("user", "logit_bias", "seed", least=0),
        forced=FORCED,
        schema=SCHEMAS,
    ),
)
PATTERNS = st.sampled_from(
    ["A-[0-9]{3}", "(?i)x+y", "\\bq\\b", "x.*y|z", "\\pL{3}", "a|b", "^q$", "(?s).{9}", "(a", "b*"]
)
OWN = st.fixed_dictionaries(
    {"name": st.sampled_from(["one", "two"]), "pattern": PATTERNS, "max_length": st.integers(1, 260)}
)
OWNS = st.lists(OWN, max_size=2, unique_by=lambda own: own["name"])
LETTERS = st.characters(exclude_categories=("C", "Z")) | st.just(" ")
WORDS = st.lists(st.text(LETTERS, min_size=4, max_size=12).map(str.strip), max_size=3, unique=True)
FOR = optional(tenants=some("acme", "globex"), routes=some(*REQUEST_ROUTES))
LEAKS = st.fixed_dictionaries(
    {"name": st.sampled_from("abc"), "action": st.sampled_from(ACTIONS)}
    | {"detectors": some("cards", "credentials", "email", least=0)},
    optional=optional(
        patterns=OWNS,
        words=WORDS,
        where=some(*DIRECTIONS),
        tenants=some("acme"),
        routes=some(*ROUTES),
    ),
) | st.fixed_dictionaries({"name": st.just("d"), "action": st.just("block"), "words": WORDS, "apps": some("a")})
PROMPTS = st.fixed_dictionaries(
    {"name": st.sampled_from("abc"), "action": st.sampled_from(["report", "block"])}
    | {"deny": st.lists(PATTERNS, max_size=2, unique=True)},
    optional=optional(
        roles=some(*ROLES), allow=st.lists(PATTERNS, max_size=2, unique=True),
        forbid=some(*FORBIDDEN_CHARACTERS), max_repetition=st.integers(2, 9), **FOR,
    ),
)  # fmt: skip
GUARDS = st.fixed_dictionaries(
    {"name": st.sampled_from("abc"), "upstream": st.sampled_from([*["checker"] * 9, "up"])},
    optional=optional(timeout_ms=st.integers(49, 10_001), on_failure=st.sampled_from(["open", "closed"]), **FOR),
)
MODE = st.sampled_from(MODES)
STRIP = st.lists(st.sampled_from(["usage.cost", "choices[*].logprobs", "a..b"]), max_size=2, unique=True)
ROUTE = st.fixed_dictionaries({}, optional=optional(request=REQUESTS, response=MODE, strip=STRIP))
PARTS: dict[str, st.SearchStrategy[Any]] = optional(
    request=REQUESTS,
    response=MODE,
    routes=st.dictionaries(st.sampled_from(REQUEST_ROUTES), ROUTE, max_size=2),
    tenants=st.dictionaries(st.sampled_from(["acme", "globex"]), st.builds(lambda r: {"request": r}, REQUESTS)),
    leaks=several(LEAKS),
    prompts=several(PROMPTS),
    guards=several(GUARDS),
)


def taken(section: dict[str, Any]) -> Document | None:
    """Give the document, None where its section is refused, which is told by its place alone."""
    values = {"version": 1, **PLACES, "verification": section}
    try:
        return read_document(json.dumps(values), "policy.json", local=False)
    except PolicyFileError as error:
        found = error.problems
    assert all(problem.field.startswith("verification") for problem in found), found
    assert all(problem.line is not None and problem.reason for problem in found)
    return None


def in_force(document: Document) -> VerificationRules:
    """Give the rules that a router reads out of the stored document."""
    return merge_router(PARAMETERS, json.loads(compile_policy(document)), 1).verification


@cache
def schema(route: str) -> RequestSchema:
    return RequestSchema.built_in(route)


def check_usable(rules: VerificationRules) -> None:
    """Have each route's function compile what it would for these tenants; it raises for what it can't go by."""
    for route in REQUEST_ROUTES:
        checks = CurrentChecks(route, schema(route))
        for tenant in ("acme", "globex", "other"):
            assert checks.get(rules, tenant).route == route


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries({}, optional=PARTS))
def test_a_section_that_is_taken_is_read_and_gone_by(section: dict[str, Any]) -> None:
    document = taken(section)
    if document is not None:
        check_usable(in_force(document))


def listed(rule: dict[str, Any], name: str, usual: tuple[str, ...] = ()) -> tuple[str, ...]:
    return tuple(rule.get(name, usual))


def scope(rule: dict[str, Any]) -> Scope:
    apps = listed(rule, "apps")
    return Scope(("apps",) if apps else listed(rule, "routes"), apps, listed(rule, "tenants"))


@settings(max_examples=200, deadline=None)
@given(several(LEAKS), several(PROMPTS), several(GUARDS))
def test_rules_are_read_as_they_were_written(
    leaks: list[dict[str, Any]], prompts: list[dict[str, Any]], guards: list[dict[str, Any]]
) -> None:
    document = taken({"leaks": leaks, "prompts": prompts, "guards": guards})
    if document is None:
        return
    rules = in_force(document)
    assert list(rules.leaks) == [
        LeakRules(
            one["name"],
            listed(one, "detectors"),
            tuple(Pattern(**own) for own in one.get("patterns", ())),
            listed(one, "words"),
            one["action"],
            listed(one, "where", ("answers",)),
            scope(one),
        )
        for one in leaks
    ]
    assert list(rules.prompts) == [
        PromptRules(
            one["name"], listed(one, "roles", ("user",)), listed(one, "deny"), listed(one, "allow"),
            listed(one, "forbid"), one.get("max_repetition"), one["action"], scope(one),
        )
        for one in prompts
    ]  # fmt: skip
    assert list(rules.guards) == [
        GuardHookRules(
            one["name"], one["upstream"], one.get("timeout_ms", 800), one.get("on_failure", "closed"), scope(one)
        )
        for one in guards
    ]


@settings(max_examples=200, deadline=None)
@given(REQUESTS, REQUESTS, st.none() | MODE, st.none() | MODE, STRIP)
def test_a_route_has_the_narrower_of_what_is_said(
    general: dict[str, Any], own: dict[str, Any], mode: str | None, own_mode: str | None, strip: list[str]
) -> None:
    said = {"response": mode} if mode else {}
    own_said = {"response": own_mode} if own_mode else {}
    route = {"request": own, "strip": strip, **own_said}
    document = taken({"request": general, **said, "routes": {"chat_completions": route}})
    if document is None:
        return
    rules = in_force(document)
    read, parts = rules.requests["chat_completions"], (general, own)
    for name in COUNTS:
        assert getattr(read, name) == min((part[name] for part in parts if name in part), default=None)
    asked = [part["unknown_fields"] for part in parts if "unknown_fields" in part] or ["strip"]
    assert read.unknown_fields == max(asked, key=UNKNOWN_FIELDS.index), "the parameters' where nobody says"
    assert set(read.forbidden) == {name for part in parts for name in part.get("forbidden", ())}
    assert read.forced == general.get("forced", {}) | own.get("forced", {})
    assert list(read.schemas) == [part["schema"] for part in parts if "schema" in part]
    assert rules.answers["chat_completions"] == AnswerRules(own_mode or mode or "enforce", tuple(strip))
    assert rules.answers["apps"].mode == (mode or "enforce")
    assert set(rules.requests["embeddings"].forced) <= {"user"}, "fields of other APIs aren't set"
