"""What requests and answers are held to, as the routers read it: written and read the same; broken never."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sallyport.policy.effective import (
    CANARY_FORMAT,
    FORMAT,
    LIMITS_FORMAT,
    SOVEREIGNTY_FORMAT,
    VERIFICATION_FORMAT,
    CompiledPolicyError,
)
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.upstream_rules import AppRules
from sallyport.policy.verification_parameters import VerificationSettings, with_verification
from sallyport.policy.verification_rules import AnswerRules, GuardHookRules, RequestRules, Scope

UPSTREAM: dict[str, Any] = {
    "provider": "app", "base_url": "https://app.example", "region": "eu-west-1", "secret": "app",
    "credential_header": "", "store": False, "hosted_tools": [], "is_proved": False,
}  # fmt: skip
GUARD = {**UPSTREAM, "provider": "guard", "base_url": "https://guard.example/check"}
SCOPE: dict[str, list[str]] = {"routes": [], "apps": [], "tenants": []}
REQUEST: dict[str, Any] = {
    "unknown_fields": "strip", "max_messages": 20, "max_images": 0, "max_tools": None, "max_prompt_bytes": 1000,
    "max_output_tokens": 10, "forbidden": ["user"], "forced": {"temperature": 0}, "schemas": [{"required": ["a"]}],
}  # fmt: skip
PATTERN = {"name": "ticket", "pattern": "A-[0-9]+", "max_length": 11}
LEAK: dict[str, Any] = {
    "name": "ours", "detectors": ["cards"], "patterns": [PATTERN], "words": ["zebra"], "action": "redact",
    "directions": ["answers"], "scope": SCOPE,
}  # fmt: skip
PROMPT: dict[str, Any] = {
    "name": "p", "roles": ["user"], "deny": ["x+"], "allow": [], "forbid": ["bidi"], "max_repetition": 5,
    "action": "block", "scope": SCOPE,
}  # fmt: skip
HOOK: dict[str, Any] = {
    "name": "g", "upstream": "guard", "timeout_ms": 800, "on_failure": "closed", "scope": SCOPE,
}  # fmt: skip
ALL: dict[str, Any] = {
    "requests": {"chat_completions": REQUEST},
    "tenant_requests": {"acme": {"": REQUEST, "messages": REQUEST}},
    "answers": {"messages": {"mode": "enforce", "strip": ["a.b"]}},
    "leaks": [LEAK],
    "prompts": [PROMPT],
    "guards": [HOOK],
}
NOTHING: dict[str, Any] = {
    "requests": {}, "tenant_requests": {}, "answers": {}, "leaks": None, "prompts": [], "guards": [],
}  # fmt: skip
PARAMETERS = with_verification(RouterRules(0, (), {}, None), VerificationSettings("enforce", "refuse", "block"))


def merged(verification: dict[str, Any], **sections: Any) -> RouterRules:
    """Give what is in force under a document with this section, as it comes from the store."""
    places = {"upstreams": {"mine": UPSTREAM, "guard": GUARD}}
    document = {"format": VERIFICATION_FORMAT, "ip": {}, **places, "verification": verification, **sections}
    return merge_router(PARAMETERS, json.loads(json.dumps(document)), 1)


def test_everything_is_read() -> None:
    rules = merged(ALL).verification
    request = RequestRules("strip", 20, 0, None, 1000, 10, ("user",), {"temperature": 0}, ({"required": ["a"]},))
    assert rules.requests["chat_completions"] == request
    assert rules.tenant_requests == {"acme": {"": request, "messages": request}}
    assert rules.answers["messages"] == AnswerRules("enforce", ("a.b",))
    assert [leak.name for leak in rules.leaks] == ["ours"], "the document's replace the parameters'"
    assert [prompt.deny for prompt in rules.prompts] == [("x+",)]
    assert rules.guards == (GuardHookRules("g", "guard", 800, "closed", Scope()),)


def test_what_isnt_said_is_as_the_parameters_say() -> None:
    assert merged(NOTHING).verification == PARAMETERS.verification
    unsaid = {**REQUEST, "unknown_fields": None}
    rules = merged(NOTHING | {"requests": {"messages": unsaid}, "answers": {"messages": {"mode": None, "strip": []}}})
    assert rules.verification.requests["messages"].unknown_fields == "refuse"
    assert rules.verification.answers["messages"].mode == "enforce"


@pytest.mark.parametrize("stored", [FORMAT, LIMITS_FORMAT, SOVEREIGNTY_FORMAT, CANARY_FORMAT, VERIFICATION_FORMAT])
def test_a_document_from_before_leaves_the_parameters_in_force(stored: int) -> None:
    app: dict[str, Any] = {"upstream": "mine", "tenants": None, "request_headers": [], "answer_headers": []}
    document = {"format": stored, "ip": {}, "upstreams": {"mine": UPSTREAM}, "apps": {"a": app}}
    rules = merge_router(PARAMETERS, json.loads(json.dumps(document)), 1)
    assert rules.verification == PARAMETERS.verification
    assert rules.apps == {"a": AppRules("mine", answers=AnswerRules("off"))}


def test_a_tenant_who_says_nothing_of_unknown_fields_narrows_nothing() -> None:
    tenants = {"acme": {"": {**REQUEST, "unknown_fields": None}}}
    assert (
        merged(NOTHING | {"tenant_requests": tenants}).verification.tenant_requests["acme"][""].unknown_fields
        == "ignore"
    )


def test_no_leaks_end_the_parameters() -> None:
    assert merged(NOTHING | {"leaks": []}).verification.leaks == ()


def test_apps_are_held_to_their_own_document() -> None:
    app: dict[str, Any] = {"upstream": "mine", "tenants": None, "request_headers": [], "answer_headers": []}
    apps: dict[str, Any] = {"plain": app, "held": {**app, "openapi": {"a": 1}, "response": None}}
    apps["told"] = {**app, "openapi": {"a": 1}, "response": "off"}
    read = merged(NOTHING, apps=apps).apps
    assert read["plain"] == AppRules("mine")
    assert (read["held"].openapi, read["held"].answers) == ({"a": 1}, AnswerRules("enforce"))
    assert read["told"].answers == AnswerRules("off")
    document = NOTHING | {"answers": {"apps": {"mode": "report", "strip": []}}}
    assert merged(document, apps=apps).apps["held"].answers == AnswerRules("report")


@pytest.mark.parametrize("app", [{"response": "enforce"}, {"openapi": []}, {"openapi": {}, "response": "maybe"}])
def test_a_broken_app_is_refused(app: dict[str, Any]) -> None:
    whole = {"upstream": "mine", "tenants": None, "request_headers": [], "answer_headers": [], **app}
    with pytest.raises(CompiledPolicyError):
        merged(NOTHING, apps={"a": whole})


@pytest.mark.parametrize("field", ALL)
def test_a_section_that_is_missing_is_never_guessed(field: str) -> None:
    with pytest.raises(CompiledPolicyError):
        merged({name: value for name, value in ALL.items() if name != field})


def _with(section: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    document = json.loads(json.dumps(ALL))
    document[section] = change(document[section])
    return dict(document)


RULES: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "requests": (REQUEST, lambda one: {"chat_completions": one}),
    "tenant_requests": (REQUEST, lambda one: {"acme": {"": one}}),
    "answers": (ALL["answers"]["messages"], lambda one: {"messages": one}),
    "leaks": (LEAK, lambda one: [one]),
    "prompts": (PROMPT, lambda one: [one]),
    "guards": (HOOK, lambda one: [one]),
}
FIELDS = [(section, field) for section, (rule, _) in RULES.items() for field in rule]


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_a_field_that_is_missing_is_never_guessed(section: str, field: str) -> None:
    rule, around = RULES[section]
    assert merged(_with(section, lambda _: around(rule)))
    with pytest.raises(CompiledPolicyError):
        merged(_with(section, lambda _: around({name: value for name, value in rule.items() if name != field})))


SOUND: list[tuple[str, Any]] = [("forced", {"a": []}), ("name", "text")]


@pytest.mark.parametrize(("section", "field"), FIELDS)
@pytest.mark.parametrize("value", [True, -1, 1.5, "text", ["text", 1], {"a": []}, 10**12])
def test_a_field_of_another_type_is_refused(section: str, field: str, value: Any) -> None:
    rule, around = RULES[section]
    if (field, value) in SOUND:
        return
    with pytest.raises(CompiledPolicyError):
        merged(_with(section, lambda _: around({**rule, field: value})))


BROKEN: list[tuple[str, Any]] = [
    ("requests", {"apps": REQUEST}),
    ("requests", {"": REQUEST}),
    ("requests", {"messages": {**REQUEST, "max_messages": 0}}),
    ("requests", {"messages": {**REQUEST, "forbidden": ["model"]}}),
    ("requests", {"messages": {**REQUEST, "forbidden": ["User"]}}),
    ("requests", {"messages": {**REQUEST, "schemas": [True]}}),
    *(
        ("requests", {"messages": {**REQUEST, "forced": {name: 1}}})
        for name in ["model", "messages", "input", "stream", "tools", "store", "n", "previous_response_id", "Top_P", ""]
    ),
    ("tenant_requests", {"acme": {"apps": REQUEST}}),
    ("tenant_requests", {"acme": REQUEST}),
    ("answers", {"other": {"mode": None, "strip": []}}),
    ("answers", {"messages": {"mode": "redact", "strip": []}}),
    ("leaks", [LEAK, LEAK]),
    ("leaks", [{**LEAK, "name": f"n{number}"} for number in range(51)]),
    ("leaks", [{**LEAK, "detectors": [], "patterns": [], "words": []}]),
    ("leaks", [{**LEAK, "detectors": ["../x"]}]),
    ("leaks", [{**LEAK, "words": ["abc"]}]),
    ("leaks", [{**LEAK, "words": ["a" * 257]}]),
    ("leaks", [{**LEAK, "directions": []}]),
    ("leaks", [{**LEAK, "patterns": [PATTERN, PATTERN]}]),
    ("leaks", [{**LEAK, "patterns": [{**PATTERN, "max_length": 257}]}]),
    ("leaks", [{**LEAK, "patterns": [{**PATTERN, "pattern": ""}]}]),
    ("leaks", [{**LEAK, "scope": {**SCOPE, "apps": ["a"]}}]),
    ("leaks", [{**LEAK, "scope": {**SCOPE, "routes": ["models"]}}]),
    ("prompts", [PROMPT, PROMPT]),
    ("prompts", [{**PROMPT, "roles": []}]),
    ("prompts", [{**PROMPT, "action": "redact"}]),
    ("prompts", [{**PROMPT, "deny": [], "forbid": [], "max_repetition": None}]),
    ("prompts", [{**PROMPT, "max_repetition": 1}]),
    ("prompts", [{**PROMPT, "scope": {**SCOPE, "routes": ["apps"]}}]),
    ("guards", [HOOK, HOOK]),
    ("guards", [{**HOOK, "upstream": "mine"}]),
    ("guards", [{**HOOK, "upstream": "nowhere"}]),
    ("guards", [{**HOOK, "timeout_ms": None}]),
    ("guards", [{**HOOK, "timeout_ms": 10_001}]),
    ("guards", [{**HOOK, "name": f"n{number}"} for number in range(6)]),
]


@pytest.mark.parametrize(("section", "value"), BROKEN)
def test_a_tampered_document_is_refused_whole(section: str, value: Any) -> None:
    with pytest.raises(CompiledPolicyError):
        merged(_with(section, lambda _: value))


def test_no_model_is_at_a_guard() -> None:
    target = {"upstream": "guard", "model": "", "regions": ["eu-west-1"], "price": None}
    model = {"max_output_tokens": None, "price": None, "targets": [target]}
    with pytest.raises(CompiledPolicyError):
        merged(NOTHING, models={"m": model})
