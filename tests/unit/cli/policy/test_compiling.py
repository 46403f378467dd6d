"""The compiled policy: what the functions make of it is what the document says."""

import json
from typing import Any

import pytest

from sallyport.access.networks import NetworkSet, parse_address
from sallyport.identity.principal import MAX_CONTEXT_BYTES, Principal, to_context
from sallyport.policy.canary_rules import CanaryMatch, CanaryRules, CanaryStep, GuardRules
from sallyport.policy.effective import merge
from sallyport.policy.limit_rules import (
    NO_WINDOW,
    LimitMatch,
    LimitRule,
    ModelRules,
    Price,
    RouterRules,
    Window,
)
from sallyport.policy.limit_texts import parse_limits
from sallyport.policy.router_rules import merge_router
from sallyport.policy.rules import SCOPES, AccessRules, DoorRules
from sallyport.policy.upstream_rules import AppRules, Target, UpstreamRules
from sallyport_cli.policy.compiling import compile_policy, with_ip_rules
from sallyport_cli.policy.ip_rules import IpEntry, IpRules
from tests.unit.cli.policy.documents import EVERY_KEY, flow, read, with_issuer

BEDROCK_URL = "https://bedrock-runtime.eu-central-1.amazonaws.com"
OPENAI = Target("openai-eu", "", ("eu-west-1",))
BEDROCK = Target(
    "bedrock-fra", "eu.anthropic.claude-x-v1:0", ("eu-central-1", "eu-west-1"), Price(3_000_000, 15_000_000, 3_000_000)
)
DEFAULTS = DoorRules(0, True, (), ("embeddings",), AccessRules(), {}, ("us-east-1",), {})
NO_LIMITS = RouterRules(0, (), {}, None)
LONGEST_LIMITS = parse_limits(",".join(f"input_tokens=1000000000000000/{2_678_300 + n}s" for n in range(10)))
ONE_DENIED = IpRules(deny=(IpEntry("203.0.113.9"),))


def merged(text: str) -> DoorRules:
    return merge(DEFAULTS, json.loads(compile_policy(read(text))), 7)


def holds(packed: Any, address: str) -> bool:
    return NetworkSet.unpack(packed).contains(*parse_address(address))


def test_the_functions_read_every_key() -> None:
    rules = merged(EVERY_KEY)
    first, second = rules.issuers
    assert (rules.version, rules.api_keys) == (7, True)
    assert first.discovery_url == "https://login.example.com/.well-known/openid-configuration"
    assert (first.jwks_url, first.hmac_secret, first.leeway_s, first.token_type) == ("", "", 60, "at+jwt")
    assert (first.tenant_claim, first.scopes_claims, first.residency_claim) == ("org_id", ("scope", "/roles/0"), "zone")
    assert (first.tenants, first.scope_prefix, first.default_scopes) == (("acme", "globex"), "ai/", ("chat",))
    assert (second.hmac_secret, second.discovery_url, second.tenant) == ("internal", "", "internal")
    assert second.default_scopes == ("chat", "models")
    assert (rules.access.origin_secret, rules.access.countries_allow) == ("cloudfront", frozenset({"DE", "NO"}))
    assert holds(rules.access.trusted_proxies, "192.0.2.1")
    assert (rules.zones, rules.default_residency) == (
        {"eu": ("eu-central-1", "eu-west-1")},
        ("eu-central-1", "eu-west-1"),
    )
    acme = rules.tenants["acme"]
    assert (acme.residency, acme.models) == (("eu-central-1", "eu-west-1", "eu-north-1"), ("gpt-4o",))
    assert holds(acme.deny, "198.51.100.9")
    assert rules.tenants["NO"].suspended


def test_the_routers_read_limits_and_models() -> None:
    rules = merge_router(NO_LIMITS, json.loads(compile_policy(read(EVERY_KEY))), 7)
    per_ip, at_once, budget = rules.limits
    assert per_ip == LimitRule("ip-requests-1m", ("ip",), "requests", 120, Window(60))
    assert at_once == LimitRule("tenant-concurrent", ("tenant",), "concurrent", 10, NO_WINDOW)
    match = LimitMatch(("chat_completions",), ("gpt-4o",), ("acme", "NO"), ("chat",))
    month = Window(calendar="month")
    assert budget == LimitRule("budget", ("tenant", "model"), "usd", 500_250_000_000, month, match, "allow", True)
    assert rules.tenant_limits == {"acme": {"budget": None, "ip-requests-1m": per_ip._replace(limit=5)}}
    assert rules.models == {
        "gpt-4o": ModelRules(16_384, Price(2_500_000, 10_000_000, 1_250_000), (OPENAI, BEDROCK)),
        "text-embedding-3-small": ModelRules(None, Price(20_000, 0, 20_000), (OPENAI,)),
    }


def test_the_routers_read_where_requests_may_go() -> None:
    parameters = NO_LIMITS._replace(secret_prefix="gate/upstreams/", allowed_regions=frozenset({"eu-west-1"}))
    rules = merge_router(parameters, json.loads(compile_policy(read(EVERY_KEY))), 7)
    assert rules.upstreams == {
        "openai-eu": UpstreamRules(
            "openai-eu", "openai", "https://eu.api.openai.com/v1", "eu-west-1", "gate/upstreams/openai-eu", "api-key",
            store=True, hosted_tools=("web_search",),
        ),
        "bedrock-fra": UpstreamRules("bedrock-fra", "bedrock", BEDROCK_URL, "eu-central-1", is_proved=True),
        "my-app-eu": UpstreamRules(
            "my-app-eu", "app", "https://app.internal.example/base", "eu-west-1", "gate/upstreams/my-app"
        ),
        "guard-eu": UpstreamRules(
            "guard-eu", "guard", "https://guard.example/check", "eu-west-1", "gate/upstreams/guard"
        ),
        "my-app-new": UpstreamRules(
            "my-app-new", "app", "https://new.internal.example", "eu-west-1", "gate/upstreams/my-app-new"
        ),
    }  # fmt: skip
    assert rules.apps == {"summarizer": AppRules("my-app-eu", ("acme",), ("x-custom",), ("x-other",))}
    assert rules.endpoints == {"us-east-1": "https://abc.execute-api.us-east-1.amazonaws.com/prod"}
    assert rules.global_tenants == {"acme"}
    assert rules.allowed_regions == parameters.allowed_regions


def test_the_routers_read_canaries_and_the_authorizer_the_claims_that_they_ask_for() -> None:
    nova = Target("bedrock-fra", "amazon.nova-x-v1:0", ("eu-central-1",), Price(1_000_000, 2_000_000, 1_000_000))
    following, cool, newer = merge_router(NO_LIMITS, json.loads(compile_policy(read(EVERY_KEY))), 7).canaries
    assert following == CanaryRules(
        name="next",
        models=("gpt-4o",),
        routes=(),
        apps=(),
        target=nova,
        parameters={"temperature": 0.2, "logit_bias": {"50256": -100}},
        steps=(CanaryStep(25, 600), CanaryStep(1000, 120), CanaryStep(10_000)),
        sticky_by="header:x-session",
        match=CanaryMatch(
            ("acme",), ("eu-central-1",), ("NO", "DE"), (("/org/beta", "true"), ("plan", "beta")), (("x-beta", "1"),)
        ),
        starts=False,
        guard=GuardRules(0.02, 0.03, 200, 30, 8000, 3000, 0.1),
    )
    routes = ("chat_completions", "messages")
    assert cool == CanaryRules("cool", (), routes, (), None, {"temperature": 0}, (CanaryStep(500),), guard=None)
    app = Target("my-app-new", "", ("eu-west-1",))
    assert newer == CanaryRules("newer", (), (), ("summarizer",), app, {}, (CanaryStep(100),))
    assert merged(EVERY_KEY).claims_told == ("/org/beta", "plan")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("tenants: {a: {limits: []}}", 1),
        ("residency: {endpoints: {}}", 1),
        ("tenants: {a: {allow_global: false}}", 1),
        ("tenants: {a: {allow_global: true}}", 3),
        ("residency: {endpoints: {us-east-1: https://us.example.com}}", 3),
        ("models: {m: {targets: []}}", 2),
        ("models: {m: {targets: [{upstream: default}]}}", 3),
        ("limits: []", 2),
        ("canaries: []", 4),
        ("verification: {}", 5),
        ("canaries: []\nverification: {response: off}", 5),
        ("canaries: [{name: a, model: m, parameters: {top_p: 1}, weight: 1}]", 4),
        ("models: {m: {}}", 2),
        ("tenants: {a: {limits: [{scope: key, unit: requests, limit: 1, window: 1m}]}}", 2),
    ],
)
def test_functions_of_before_refuse_what_they_would_pass_over(text: str, form: int) -> None:
    compiled = compile_policy(read(f"version: 1\n{text}\n"))
    assert json.loads(compiled)["format"] == form
    assert json.loads(with_ip_rules(compiled, ONE_DENIED))["format"] == form


def test_what_a_document_leaves_out_stays_with_the_parameters() -> None:
    compiled = json.loads(compile_policy(read("version: 1")))
    assert sorted(compiled) == ["format", "ip"]
    [issuer] = merged(with_issuer("algorithms: [RS256]")).issuers
    assert issuer.default_scopes == ("embeddings",)
    assert merged("version: 1\nresidency: {zones: {}}").default_residency == ("us-east-1",)
    assert merged("version: 1\ntenants: {a: {models: []}, b: {}}").tenants["a"].models == ()
    assert merged("version: 1\ntenants: {a: {models: []}, b: {}}").tenants["b"].models is None


def test_the_text_is_canonical_ascii() -> None:
    text = compile_policy(read("version: 1\nidentity: {issuers: []}\n"))
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert text == compile_policy(read("identity: {}  # the same\nversion: 1\n"))


def test_ip_entries_are_changed_without_the_document() -> None:
    document = read("version: 1\naccess: {deny: [192.0.2.0/24]}")
    assert with_ip_rules(compile_policy(document), ONE_DENIED) == compile_policy(document, ONE_DENIED)
    alone = merge(DEFAULTS, json.loads(compile_policy(None, ONE_DENIED)), 1)
    assert any(holds(packed, "203.0.113.9") for packed in alone.access.deny)


def test_a_tenant_s_longest_rules_fit_into_the_authorizer_s_answer() -> None:
    models = [f"m{number:02}{'x' * 16}" for number in range(100)]
    regions = [f"ab-cdefgh{letter}-{number}" for letter in "abcdefg" for number in range(10, 20)]
    text = f"version: 1\ntenants: {{acme: {{models: {flow(models)}, residency: {flow(regions)}}}}}\n"
    acme = merged(text).tenants["acme"]
    assert (len(",".join(acme.models or ())), len(",".join(acme.residency or ()))) == (1999, 979)
    subject, residency = "\U0001f600" * 256, acme.residency or ()
    principal = Principal(
        "jwt", "a" * 64, subject, "k" * 16, SCOPES, acme.models, residency, LONGEST_LIMITS, "f" * 16, "a" * 39
    )
    assert len(json.dumps(to_context(principal))) < MAX_CONTEXT_BYTES - 500
