"""What `sallyport residency explain` finds out."""

import json
import re
from typing import Any, Final

import pytest

from sallyport.policy.canary_rules import CanaryMatch, CanaryRules, CanaryStep
from sallyport.policy.limit_rules import ModelRules, RouterRules
from sallyport.policy.rules import AccessRules, DoorRules, TenantRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from sallyport.providers import provider
from sallyport_cli.local.template_file import read_template
from sallyport_cli.residency.in_force import check_parameters, rules_of
from sallyport_cli.residency.prospects import OPERATIONS, Prospect, Question, prospect
from tests.functional.residency.conftest import Run
from tests.support.aws import ROOT

EU, US = "eu-central-1", "us-east-1"
UPSTREAMS: Final = {
    "openai-eu": UpstreamRules("openai-eu", "openai", "https://eu.example.com/v1", EU),
    "claude": UpstreamRules("claude", "anthropic", "https://api.example.com", US),
}
TARGETS: Final = (Target("claude", "c", (US,)), Target("openai-eu", "g", (EU,)))


def rules(**changes: Any) -> RouterRules:
    defaults: dict[str, Any] = {
        "models": {"m": ModelRules(targets=TARGETS)},
        "upstreams": UPSTREAMS,
        "allowed_regions": frozenset({EU, US}),
    }
    return RouterRules(version=3, limits=(), tenant_limits={}, **defaults | changes)


def explained(
    tenant: TenantRules, router: RouterRules | None = None, *, operation: str = "chat", home: str = EU, model: str = "m"
) -> Prospect:
    door = DoorRules(3, True, (), (), AccessRules(), {}, (EU,), {"acme": tenant})
    return prospect(Question("acme", model, OPERATIONS[operation], home), door, router or rules())


def test_the_first_target_inside_the_residency_is_named() -> None:
    found = explained(TenantRules(residency=(EU,)))
    assert [one.verdict for one in found.considered] == ["outside_residency", "eligible"]
    assert (found.first, found.code) == (1, "")


def test_a_tenant_without_a_residency_has_the_default_one() -> None:
    assert explained(TenantRules()).residency == (EU,)
    assert explained(TenantRules(residency=(US, EU))).first == 0


@pytest.mark.parametrize(
    ("tenant", "options", "status", "code"),
    [
        (TenantRules(suspended=True), {}, 403, "tenant_suspended"),
        (TenantRules(residency=(US,)), {}, 421, "misdirected_region"),
        (TenantRules(residency=()), {}, 403, "residency_violation"),
        (TenantRules(models=("other",)), {}, 403, "model_not_allowed"),
        (TenantRules(), {"model": "unknown"}, 404, "model_not_found"),
        (TenantRules(), {"router": rules(allowed_regions=frozenset({US}))}, 403, "residency_violation"),
        (TenantRules(), {"router": rules(upstreams={})}, 403, "residency_violation"),
        (TenantRules(), {"home": ""}, 503, "service_unavailable"),
    ],
    ids=["suspended", "elsewhere", "nowhere", "other-model", "no-model", "allowed-regions", "no-upstream", "no-home"],
)
def test_a_refusal_is_told_as_clients_would_get_it(
    tenant: TenantRules, options: dict[str, Any], status: int, code: str
) -> None:
    found = explained(tenant, **options)
    assert (found.first, found.status, found.code) == (None, status, code)
    assert found.reason


def test_an_operation_that_no_target_serves_is_a_refusal() -> None:
    found = explained(TenantRules(), operation="messages")
    assert [one.verdict for one in found.considered] == ["outside_residency", "operation_unsupported"]
    assert found.first is None


def test_parameters_make_the_rules_that_the_functions_make_of_them() -> None:
    door, router = rules_of({"UpstreamProvider": "bedrock", "UpstreamRegion": EU, "DefaultResidency": f"{EU},{US}"})
    (upstream,) = router.upstreams.values()
    assert (upstream.base_url, upstream.is_proved) == (f"https://bedrock-runtime.{EU}.amazonaws.com", True)
    assert door.default_residency == (EU, US)
    assert router.allowed_regions == {EU, US}
    assert rules_of({"AllowedRegions": US}).router.allowed_regions == {US}


def canary(name: str = "next", target: Target | None = TARGETS[1], **changes: Any) -> CanaryRules:
    return CanaryRules(name, ("m",), (), (), target, {}, (CanaryStep(500),))._replace(**changes)


def verdicts(*canaries: CanaryRules, tenant: TenantRules | None = None, **options: Any) -> dict[str, str]:
    found = explained(tenant or TenantRules(residency=(EU,)), rules(canaries=canaries), **options)
    return {one.canary.name: one.verdict for one in found.canaries}


@pytest.mark.parametrize(
    ("changes", "tenant", "verdict"),
    [
        ({}, TenantRules(), "eligible"),
        ({"target": None, "parameters": {"temperature": 0}}, TenantRules(), "eligible"),
        ({"target": TARGETS[0]}, TenantRules(), "outside_residency"),
        (
            {"target": Target("openai-eu", "g", (EU, "eu-west-1"))},
            TenantRules(residency=(EU, "eu-west-1")),
            "outside_allowed_regions",
        ),
        ({"target": Target("openai-eu", "g", ())}, TenantRules(), "outside_residency"),
        ({"target": Target("openai-eu", "g", (EU, "global"))}, TenantRules(), "global_not_permitted"),
        ({"target": Target("gone", "g", (EU,))}, TenantRules(), "unknown_upstream"),
        ({"target": Target("claude", "c", (US,))}, TenantRules(residency=(EU, US)), "operation_unsupported"),
        ({"target": Target("openai-eu", "other", (EU,))}, TenantRules(models=("m",)), "model_not_allowed"),
        ({"target": Target("openai-eu", "unlisted", (EU,))}, TenantRules(models=("m",)), "eligible"),
        ({"target": Target("openai-eu", "other", (EU,))}, TenantRules(models=("m", "other")), "eligible"),
        ({"match": CanaryMatch(tenants=("globex",))}, TenantRules(), "other_tenants"),
        ({"match": CanaryMatch(tenants=("globex", "acme"))}, TenantRules(), "eligible"),
        ({"match": CanaryMatch(regions=(US,))}, TenantRules(), "other_regions"),
        ({"models": (), "routes": ("responses",)}, TenantRules(), "eligible"),
        ({"models": (), "routes": ("chat_completions",)}, TenantRules(), None),
        ({"models": ("other",)}, TenantRules(), None),
        ({"models": (), "apps": ("m",)}, TenantRules(), None),
    ],
)  # fmt: skip
def test_a_canary_s_target_is_judged_as_any_other_target(
    changes: dict[str, Any], tenant: TenantRules, verdict: str | None
) -> None:
    models = {"m": ModelRules(targets=TARGETS), "other": ModelRules(targets=TARGETS)}
    found = explained(tenant, rules(canaries=(canary(**changes),), models=models), operation="responses")
    assert [one.verdict for one in found.canaries] == ([] if verdict is None else [verdict])


def test_the_first_canary_that_is_for_every_such_request_decides() -> None:
    of_germans = canary("germans", match=CanaryMatch(countries=("DE",)))
    elsewhere = canary("elsewhere", TARGETS[0])
    assert verdicts(canary("others", match=CanaryMatch(tenants=("globex",))), of_germans, elsewhere, canary()) == {
        "others": "other_tenants",
        "germans": "eligible",
        "elsewhere": "outside_residency",
        "next": "decided_before",
    }


def test_where_a_request_is_refused_no_canary_is_for_it() -> None:
    assert verdicts(canary(), tenant=TenantRules(models=())) == {}
    assert verdicts(canary(), home=US) == {}


@pytest.mark.parametrize("broken", ["CanaryWeight=101", "UpstreamRegion=Frankfurt", "Nonsense=1", "UpstreamRegion"])
def test_a_parameter_that_is_none_is_refused(run: Run, broken: str) -> None:
    result = run("residency", "explain", "--tenant", "acme", "--model", "m", "--parameter", broken)
    assert result.exit_code == 2


def explain(run: Run, *options: str) -> Any:
    return run("residency", "explain", "--tenant", "acme", "--model", "m", *options)


def test_explain_shows_the_parameters_upstream(run: Run) -> None:
    result = explain(run, "--parameter", f"UpstreamRegion={EU}", "--parameter", f"DefaultResidency={US},{EU}")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"tenant acme: residency {US}, {EU} (no policy applied)"
    assert lines[1] == f"this stack: in {US}, allows {EU}, {US}"
    assert lines[3].split("  ")[0] == "->"
    assert lines[3].endswith("may be used")
    assert lines[4] == "chat_completions with m: goes to default first"


def test_explain_says_why_nothing_is_sent(run: Run) -> None:
    result = explain(run, "--parameter", f"DefaultResidency={EU}")
    assert result.stdout.splitlines()[-1].startswith("chat_completions with m: refused, 421 misdirected_region: ")


def test_explain_tells_as_json(run: Run) -> None:
    result = explain(run, "--json", "--region", US)
    assert "stack parameters weren't looked at" in result.stderr
    found = json.loads(result.stdout)
    assert (found["first"], found["refusal"], found["home"]) == (0, None, US)
    assert found["considered"] == [
        {
            "upstream": "default",
            "model": "",
            "regions": [US],
            "host": "api.openai.com",
            "basis": "declared",
            "verdict": "eligible",
        }
    ]


def test_operations_are_those_of_providers() -> None:
    assert set(OPERATIONS.values()) == {
        provider.CHAT_COMPLETIONS,
        provider.RESPONSES,
        provider.EMBEDDINGS,
        provider.MESSAGES,
        provider.COUNT_TOKENS,
    }


def of_parameters(run: Run, **parameters: str) -> Any:
    given = {"DefaultResidency": f"{US},{EU}", "AllowedRegions": US, "CanaryWeight": "5"} | parameters
    options = [part for name, value in given.items() for part in ("--parameter", f"{name}={value}")]
    result = explain(run, *options, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["canaries"]


def test_explain_shows_the_parameters_canary(run: Run) -> None:
    [found] = of_parameters(run, CanaryModel="gpt-next")
    assert found == {
        "canary": "parameters",
        "countries": [],
        "claims": {},
        "headers": {},
        "parameters": [],
        "target": {
            "upstream": "default",
            "model": "gpt-next",
            "regions": [US],
            "host": "api.openai.com",
            "basis": "declared",
        },
        "verdict": "eligible",
    }
    assert of_parameters(run, CanaryModel="gpt-next", CanaryWeight="0") == []


@pytest.mark.parametrize(
    ("region", "verdict"),
    [(US, "eligible"), ("", "eligible"), (EU, "outside_allowed_regions"), ("eu-west-1", "outside_residency")],
)
def test_the_parameters_canary_s_own_upstream_has_a_region_of_its_own(run: Run, region: str, verdict: str) -> None:
    [found] = of_parameters(run, CanaryUpstreamBaseUrl="https://next.example.com/v1", CanaryUpstreamRegion=region)
    assert (found["target"]["upstream"], found["target"]["regions"]) == ("canary", [region or US])
    assert (found["target"]["host"], found["verdict"]) == ("next.example.com", verdict)


def test_the_parameters_canary_on_another_provider_serves_its_routes_alone(run: Run) -> None:
    claude = {"CanaryUpstreamBaseUrl": "https://api.example.com", "CanaryUpstreamProvider": "anthropic"}
    assert [one["verdict"] for one in of_parameters(run, **claude)] == ["eligible"]
    frankfurt = {
        "CanaryUpstreamProvider": "bedrock",
        "CanaryUpstreamRegion": EU,
        "CanaryModel": "anthropic.claude-x-v1:0",
    }
    url = f"https://bedrock-runtime.{EU}.amazonaws.com"
    [found] = of_parameters(run, AllowedRegions=f"{US},{EU}", CanaryUpstreamBaseUrl=url, **frankfurt)
    assert (found["target"]["basis"], found["target"]["regions"], found["verdict"]) == ("proved", [EU], "eligible")
    result = explain(
        run, "--parameter", "CanaryWeight=5", "--parameter", "CanaryModel=n", "--operation", "embeddings", "--json"
    )
    assert json.loads(result.stdout)["canaries"] == []


PLACES: Final = (
    "UpstreamProvider",
    "UpstreamBaseUrl",
    "UpstreamRegion",
    "DefaultResidency",
    "AllowedRegions",
    "Models",
)


@pytest.mark.parametrize("given", [{}, {"CanaryWeight": "5", "CanaryUpstreamBaseUrl": "https://next.example.com/v1"}])
def test_a_parameter_that_is_not_given_has_the_template_s_default(given: dict[str, str]) -> None:
    parameters = read_template(ROOT / "template.yaml")["Parameters"]
    names = [*PLACES, *(name for name in parameters if re.match("Canary(Weight|StickyBy|Model|Upstream.*)$", name))]
    defaults = {name: str(parameters[name]["Default"]) for name in names}
    assert check_parameters({**defaults, **given}) == {**defaults, **given}
    assert rules_of({**defaults, **given}) == rules_of(given)


POLICY: Final = """
version: 1
residency:
  zones: {eu: [eu-central-1, eu-west-1], us: [us-east-1]}
  default: eu
  endpoints: {eu-central-1: https://abc.execute-api.eu-central-1.amazonaws.com/prod}
upstreams:
  openai-eu: {provider: openai, base_url: https://eu.api.openai.com/v1, region: eu-west-1, secret: openai-eu}
  bedrock-us: {provider: bedrock, region: us-east-1}
models:
  m:
    max_output_tokens: 100
    targets: [{upstream: openai-eu, model: gpt-4o}, {upstream: bedrock-us, model: "anthropic.claude-x-v1:0"}]
tenants:
  acme: {residency: us}
"""
ALLOWED: Final = ("--parameter", "AllowedRegions=us-east-1,eu-central-1,eu-west-1")


@pytest.fixture
def applied(run: Run) -> Run:
    assert run("policy", "apply", "policy.yaml", text=POLICY).exit_code == 0
    return run


def test_explain_goes_by_the_applied_policy(applied: Run) -> None:
    result = explain(applied, *ALLOWED)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "tenant acme: residency us-east-1 (policy version 1)",
        "this stack: in us-east-1, allows eu-central-1, eu-west-1, us-east-1",
        "UPSTREAM MODEL REGIONS HOST BASIS VERDICT",
        "openai-eu gpt-4o eu-west-1 eu.api.openai.com declared no: outside of the tenant's residency",
        "-> bedrock-us anthropic.claude-x-v1:0 us-east-1 bedrock-runtime.us-east-1.amazonaws.com proved may be used",
        "chat_completions with m: goes to bedrock-us first",
    ]


def test_explain_names_where_to_go_instead(applied: Run) -> None:
    result = applied("residency", "explain", "--tenant", "other", "--model", "m", *ALLOWED)
    assert "421 misdirected_region" in result.stdout
    assert "eu-central-1 at https://abc.execute-api.eu-central-1.amazonaws.com/prod" in result.stdout


def test_explain_says_what_a_route_cannot_be_asked(applied: Run) -> None:
    result = explain(applied, *ALLOWED, "--operation", "embeddings")
    assert "no: the upstream doesn't serve this route" in result.stdout
    assert "refused, " in result.stdout


CANARIES: Final = """
canaries:
  - name: mine
    model: m
    target: {upstream: openai-eu, model: gpt-next}
    weight: 5
    match: {tenants: [acme], countries: [DE, AT], claims: {plan: beta}, headers: {x-beta: "1"}}
  - {name: fresh, model: m, target: {upstream: bedrock-us, model: "anthropic.claude-y-v1:0"}, weight: 5}
  - {name: late, model: m, parameters: {temperature: 0.5, stop: "say nothing of it"}, weight: 5}
"""


@pytest.fixture
def with_canaries(run: Run) -> Run:
    assert run("policy", "apply", "policy.yaml", text=POLICY + CANARIES).exit_code == 0
    return run


def test_explain_shows_a_policy_s_canaries_with_conditions_and_verdicts(with_canaries: Run) -> None:
    given = (*ALLOWED, "--parameter", "CanaryWeight=5", "--parameter", "CanaryModel=replaced-by-the-policy-s")
    lines = [" ".join(line.split()) for line in explain(with_canaries, *given).stdout.splitlines()]
    assert lines[5:] == [
        "chat_completions with m: goes to bedrock-us first",
        "CANARY ONLY WITH UPSTREAM MODEL REGIONS HOST BASIS VERDICT",
        "mine country DE or AT; claim plan=beta; header x-beta=1 "
        "openai-eu gpt-next eu-west-1 eu.api.openai.com declared no: outside of the tenant's residency",
        "fresh - "
        "bedrock-us anthropic.claude-y-v1:0 us-east-1 bedrock-runtime.us-east-1.amazonaws.com proved may be used",
        "late - (as stable) (as stable) - - - no: one before it decides",
    ]


def test_explain_tells_a_policy_s_canaries_as_json(with_canaries: Run) -> None:
    text = explain(with_canaries, *ALLOWED, "--json").stdout
    mine, fresh, late = json.loads(text)["canaries"]
    assert (mine["countries"], mine["claims"], mine["headers"]) == (["DE", "AT"], {"plan": "beta"}, {"x-beta": "1"})
    assert [one["verdict"] for one in (mine, fresh, late)] == ["outside_residency", "eligible", "decided_before"]
    assert (late["target"], late["parameters"]) == (None, ["stop", "temperature"])
    assert "say nothing of it" not in text
