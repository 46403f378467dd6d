"""Where requests may go, as the routers read it: a document's upstreams replace the stack's; broken ones never."""

import json
from typing import Any

import pytest

from sallyport.policy.effective import CompiledPolicyError
from sallyport.policy.limit_rules import ModelRules, Price, RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, AppRules, Target, UpstreamRules

TENANT: dict[str, Any] = {"residency": None, "models": None, "suspended": False}
PRICE = {"input": 2_500_000, "output": 10_000_000, "cached_input": 1_250_000}
OPENAI: dict[str, Any] = {
    "provider": "openai", "base_url": "https://eu.api.openai.com/v1", "region": "eu-west-1", "secret": "openai-eu",
    "credential_header": "", "store": False, "hosted_tools": [], "is_proved": False,
}  # fmt: skip
BEDROCK_URL = "https://bedrock-runtime.eu-central-1.amazonaws.com"
BEDROCK: dict[str, Any] = {
    **OPENAI, "provider": "bedrock", "base_url": BEDROCK_URL, "region": "eu-central-1", "secret": "", "is_proved": True,
}  # fmt: skip
APP: dict[str, Any] = {**OPENAI, "provider": "app", "base_url": "https://app.internal", "secret": "app"}
UPSTREAMS = {"up": OPENAI, "fra": BEDROCK, "mine": APP}
TARGET: dict[str, Any] = {"upstream": "up", "model": "", "regions": ["eu-west-1"], "price": None}
DEFAULT_TARGET = {**TARGET, "upstream": "default", "regions": None}
SUMMARIZER: dict[str, Any] = {"upstream": "mine", "tenants": ["acme"], "request_headers": [], "answer_headers": ["x-a"]}
STACK = UpstreamRules(DEFAULT_UPSTREAM, "openai", "https://api.openai.com/v1", "us-east-1", "gate/openai")
PARAMETERS = RouterRules(
    0, (), {}, None, {"default": STACK}, allowed_regions=frozenset({"eu-west-1"}), secret_prefix="gate/upstreams/"
)


def compiled(**sections: Any) -> dict[str, Any]:
    """Give a document as it comes from the store."""
    document = json.loads(json.dumps({"format": 3, "ip": {}, **sections}))
    assert isinstance(document, dict)
    return document


def model(*targets: Any) -> dict[str, Any]:
    """Give a compiled model with these targets."""
    return {"max_output_tokens": None, "price": None, "targets": list(targets)}


def placed(*targets: Any, **sections: Any) -> dict[str, Any]:
    """Give a document with upstreams, and a model `m` with these targets."""
    return compiled(upstreams=UPSTREAMS, models={"m": model(*targets)}, **sections)


def test_upstreams_replace_the_parameters() -> None:
    merged = merge_router(PARAMETERS, placed(TARGET, apps={"summarizer": SUMMARIZER}), 1)
    assert list(merged.upstreams) == ["up", "fra", "mine"]
    assert merged.upstreams["up"] == UpstreamRules(
        "up", "openai", "https://eu.api.openai.com/v1", "eu-west-1", "gate/upstreams/openai-eu"
    )
    assert merged.upstreams["fra"] == UpstreamRules("fra", "bedrock", BEDROCK_URL, "eu-central-1", is_proved=True)
    assert merged.apps == {"summarizer": AppRules("mine", ("acme",), (), ("x-a",))}
    assert (merged.allowed_regions, merged.secret_prefix) == (PARAMETERS.allowed_regions, PARAMETERS.secret_prefix)


def test_without_upstreams_the_parameters_stay() -> None:
    merged = merge_router(PARAMETERS, compiled(models={"m": model(DEFAULT_TARGET), "n": model()}), 1)
    assert merged.upstreams == PARAMETERS.upstreams
    assert merged.models == {"m": ModelRules(targets=(Target("default", "", ("us-east-1",)),)), "n": ModelRules()}


def test_targets_keep_their_order_and_have_their_own_prices() -> None:
    nova = {"upstream": "fra", "model": "eu.amazon.nova", "regions": ["eu-central-1", "eu-north-1"], "price": PRICE}
    [rules] = (merge_router(PARAMETERS, placed(nova, TARGET), 1).models or {}).values()
    price = Price(2_500_000, 10_000_000, 1_250_000)
    assert rules.targets == (
        Target("fra", "eu.amazon.nova", ("eu-central-1", "eu-north-1"), price),
        Target("up", "", ("eu-west-1",)),
    )


@pytest.mark.parametrize(
    ("name", "declared", "regions"),
    [
        ("amazon.nova-pro-v1:0", None, ("eu-central-1",)),
        ("amazon.nova-pro-v1:0", ["eu-west-1"], ("eu-central-1", "eu-west-1")),
        ("eu.amazon.nova-pro-v1:0", None, ("eu-central-1", "global")),
        ("eu.amazon.nova-pro-v1:0", ["eu-west-1", "eu-central-1"], ("eu-central-1", "eu-west-1")),
        ("global.amazon.nova-pro-v1:0", None, ("eu-central-1", "global")),
        ("xx.amazon.nova-pro-v1:0", None, ("eu-central-1", "global")),
    ],
)
@pytest.mark.parametrize("as_alias", [False, True])
def test_the_stack_s_bedrock_is_anywhere_unless_the_id_tells(
    name: str, declared: Any, regions: tuple[str, ...], as_alias: bool
) -> None:
    stack = UpstreamRules(DEFAULT_UPSTREAM, "bedrock", BEDROCK_URL, "eu-central-1", is_proved=True)
    target = {**DEFAULT_TARGET, "model": "" if as_alias else name, "regions": declared}
    document = compiled(models={name if as_alias else "m": model(target)})
    [rules] = (merge_router(PARAMETERS._replace(upstreams={"default": stack}), document, 1).models or {}).values()
    assert rules.targets[0].regions == regions


def test_endpoints_and_tenants_that_may_go_anywhere() -> None:
    urls = {"us-east-1": "https://us.example.com"}
    tenants = {"acme": {**TENANT, "allow_global": True}, "globex": {**TENANT, "allow_global": False}, "initech": TENANT}
    merged = merge_router(PARAMETERS, compiled(residency={"zones": {}, "endpoints": urls}, tenants=tenants), 1)
    assert merged.endpoints == urls
    assert merged.global_tenants == frozenset({"acme"})
    assert merge_router(PARAMETERS, compiled(residency={"zones": {}}), 1).endpoints == {}


MISPLACED: list[dict[str, Any]] = [
    placed(),
    placed({**TARGET, "upstream": "default"}),
    placed({**TARGET, "upstream": "other"}),
    placed({**TARGET, "upstream": "mine"}),
    placed({**TARGET, "upstream": None}),
    placed({**TARGET, "regions": []}),
    placed({**TARGET, "regions": None}),
    placed({**TARGET, "regions": "eu-west-1"}),
    placed({**TARGET, "regions": ["us-east-1"]}),
    placed({**TARGET, "regions": ["eu-west-1", "europe"]}),
    placed({**TARGET, "regions": ["eu-west-1", 5]}),
    placed({**TARGET, "model": None}),
    placed({**TARGET, "price": {"input": 1}}),
    placed({**TARGET, "upstream": "fra", "model": "global.amazon.nova", "regions": ["eu-central-1"]}),
    placed({name: value for name, value in TARGET.items() if name != "regions"}),
    placed("up"),
    compiled(models={"m": {**model(), "targets": TARGET}}),
    compiled(models={"m": model(TARGET)}),
    compiled(models={"m": model({**DEFAULT_TARGET, "regions": []})}),
    placed(TARGET, apps={"a": {**SUMMARIZER, "upstream": "up"}}),
    placed(TARGET, apps={"a": {**SUMMARIZER, "upstream": "other"}}),
    placed(TARGET, apps={"a": {**SUMMARIZER, "tenants": "acme"}}),
    placed(TARGET, apps={"a": {**SUMMARIZER, "request_headers": None}}),
    placed(TARGET, apps=["a"]),
    compiled(apps={"a": SUMMARIZER}),
    compiled(residency={"zones": {}, "endpoints": {"europe": "https://us.example.com"}}),
    compiled(residency={"zones": {}, "endpoints": {"us-east-1": "http://us.example.com"}}),
    compiled(residency={"zones": {}, "endpoints": []}),
    compiled(residency=None),
    compiled(tenants={"acme": {**TENANT, "allow_global": "yes"}}),
    compiled(tenants={"acme": {**TENANT, "allow_global": 1}}),
]


@pytest.mark.parametrize("document", MISPLACED)
def test_a_document_that_sends_requests_nowhere_certain_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(CompiledPolicyError):
        merge_router(PARAMETERS, document, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "azure"},
        {"base_url": "http://eu.api.openai.com/v1"},
        {"base_url": "https://user@eu.api.openai.com/v1"},
        {"base_url": None},
        {"region": "europe"},
        {"region": "global"},
        {"region": None},
        {"secret": None},
        {"credential_header": "cookie"},
        {"credential_header": None},
        {"store": 1},
        {"hosted_tools": "web_search"},
        {"hosted_tools": [1]},
        {"is_proved": True},
        {"is_proved": 0},
        {"unknown": 1},
        {"provider": "app", "secret": ""},
        {"provider": "bedrock", "secret": ""},
        {**BEDROCK, "is_proved": False},
        {**BEDROCK, "region": "us-east-1"},
        {**BEDROCK, "secret": "a"},
        {**BEDROCK, "credential_header": "api-key"},
        {**BEDROCK, "base_url": "http://127.0.0.1:9001"},
    ],
)
def test_a_broken_upstream_is_refused_with_its_document(changes: dict[str, Any]) -> None:
    document = compiled(upstreams={"up": {**OPENAI, **changes}})
    with pytest.raises(CompiledPolicyError):
        merge_router(PARAMETERS, document, 1)


def test_an_emulated_bedrock_proves_nothing() -> None:
    emulated = {**BEDROCK, "base_url": "http://127.0.0.1:9001", "is_proved": False}
    merged = merge_router(PARAMETERS, compiled(upstreams={"up": emulated}), 1)
    assert not merged.upstreams["up"].is_proved
