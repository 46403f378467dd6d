"""What a route goes by: a document's limits replace the parameters', tenants' come on top, a broken one is refused."""

import json
from typing import Any

import pytest

from sallyport.policy.effective import CompiledPolicyError
from sallyport.policy.limit_rules import (
    NO_WINDOW,
    LimitMatch,
    LimitRule,
    ModelRules,
    Price,
    RouterRules,
    Window,
)
from sallyport.policy.router_rules import merge_router, read_rule, rule_as_json

PER_KEY = LimitRule("key-requests-1m", ("key",), "requests", 60, Window(60))
BUDGET = LimitRule(
    "budget", ("tenant", "model"), "usd", 10**11, Window(calendar="month"),
    LimitMatch(routes=("chat_completions",), models=("gpt-4o",), tenants=("acme",), scopes=("chat",)), "deny", True,
)  # fmt: skip
AT_ONCE = LimitRule("tenant-concurrent", ("tenant",), "concurrent", 4, NO_WINDOW)
PARAMETERS = RouterRules(0, (PER_KEY,), {}, None)
TENANT: dict[str, Any] = {"residency": None, "models": None, "suspended": False}
PRICE = {"input": 2_500_000, "output": 10_000_000, "cached_input": 1_250_000}
RULE = rule_as_json(PER_KEY)


def compiled(**sections: Any) -> dict[str, Any]:
    """Give a document as it comes from the store."""
    document = json.loads(json.dumps({"format": 2, "ip": {}, **sections}))
    assert isinstance(document, dict)
    return document


def test_without_a_document_the_parameters_are_in_force() -> None:
    assert merge_router(PARAMETERS, None, 0) is PARAMETERS


@pytest.mark.parametrize("document", [compiled(), {"format": 1, "ip": {}, "tenants": {"acme": TENANT}}])
def test_a_document_without_limits_changes_nothing_but_the_version(document: dict[str, Any]) -> None:
    assert merge_router(PARAMETERS, document, 7) == PARAMETERS._replace(version=7)


def test_limits_replace_the_parameters() -> None:
    document = compiled(limits=[rule_as_json(BUDGET), rule_as_json(AT_ONCE)])
    assert merge_router(PARAMETERS, document, 1).limits == (BUDGET, AT_ONCE)
    assert merge_router(PARAMETERS, compiled(limits=[]), 1).limits == ()


def test_a_tenant_s_limits_come_on_top() -> None:
    own = {"key-requests-1m": None, "budget": rule_as_json(BUDGET)}
    tenants = {"acme": {**TENANT, "limits": own}, "globex": TENANT, "initech": {**TENANT, "limits": {}}}
    merged = merge_router(PARAMETERS, compiled(tenants=tenants), 1)
    assert merged.limits == PARAMETERS.limits
    assert merged.tenant_limits == {"acme": {"key-requests-1m": None, "budget": BUDGET}}


def test_models_on_offer() -> None:
    models = {"gpt-4o": {"max_output_tokens": 16_384, "price": PRICE}, "m": {"max_output_tokens": None, "price": None}}
    merged = merge_router(PARAMETERS, compiled(models=models), 1)
    priced = ModelRules(16_384, Price(2_500_000, 10_000_000, 1_250_000))
    assert merged.models == {"gpt-4o": priced, "m": ModelRules()}


@pytest.mark.parametrize("rule", [PER_KEY, BUDGET, AT_ONCE])
def test_a_rule_is_read_as_it_was_written(rule: LimitRule) -> None:
    assert read_rule(json.loads(json.dumps(rule_as_json(rule)))) == rule


BROKEN: list[dict[str, Any]] = [
    {},
    {"format": 6, "ip": {}},
    compiled(limits=None),
    compiled(limits={"a": RULE}),
    compiled(limits=[RULE, RULE]),
    compiled(tenants={"acme": {**TENANT, "limits": ["key-requests-1m"]}}),
    compiled(tenants={"acme": {**TENANT, "limits": {"other": RULE}}}),
    compiled(tenants={"acme": None}),
    compiled(models=["gpt-4o"]),
    compiled(models={"gpt-4o": {}}),
    compiled(models={"gpt-4o": {"max_output_tokens": 0, "price": None}}),
    compiled(models={"gpt-4o": {"max_output_tokens": None, "price": {"input": 1}}}),
    compiled(models={"gpt-4o": {"max_output_tokens": None, "price": {**PRICE, "input": -1}}}),
    compiled(models={"gpt-4o": {"max_output_tokens": None, "price": {**PRICE, "more": 1}}}),
    compiled(models={"gpt-4o": {"max_output_tokens": None, "price": {**PRICE, "input": 0.0}}}),
    compiled(models={"gpt-4o": {"max_output_tokens": None, "price": {**PRICE, "input": False}}}),
]


@pytest.mark.parametrize("document", BROKEN)
def test_a_broken_document_is_refused_whole(document: dict[str, Any]) -> None:
    with pytest.raises(CompiledPolicyError):
        merge_router(PARAMETERS, document, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 5},
        {"scope": []},
        {"scope": ["person"]},
        {"scope": ["tenant", "key"]},
        {"scope": ["key", "key"]},
        {"unit": "words"},
        {"unit": "concurrent"},
        {"unit": "concurrent", "window": "", "limit": 51},
        {"limit": 0},
        {"limit": True},
        {"limit": 1.5},
        {"window": ""},
        {"window": "1w"},
        {"window": None},
        {"match": {"people": ["a"]}},
        {"match": None},
        {"match": {"models": "gpt-4o"}},
        {"match": {"models": [5]}},
        {"on_store_failure": "perhaps"},
        {"enforce_cap": 1},
        {"unknown": 1},
    ],
)
def test_a_broken_limit_is_refused_with_its_document(changes: dict[str, Any]) -> None:
    with pytest.raises(CompiledPolicyError):
        merge_router(PARAMETERS, compiled(limits=[{**RULE, **changes}]), 1)
