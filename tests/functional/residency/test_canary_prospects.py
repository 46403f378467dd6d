"""What `sallyport residency explain` finds out about canaries."""

import json
from typing import Any, Final

import pytest

from sallyport.policy.canary_rules import CanaryMatch, CanaryRules, CanaryStep
from sallyport.policy.limit_rules import ModelRules
from sallyport.policy.rules import TenantRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from tests.functional.residency.conftest import Run
from tests.functional.residency.test_prospects import ALLOWED, EU, POLICY, TARGETS, US, explain, explained, rules

TWO_REGIONS: Final = Target("openai-eu", "g", (EU, "eu-west-1"))


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


def test_where_the_policy_names_no_models_a_canary_s_is_one_to_be_permitted_like_any_other() -> None:
    default = UpstreamRules("default", "openai", "https://eu.example.com/v1", EU)
    at_default = canary(target=Target("default", "other", (EU,)))
    router = rules(models=None, upstreams={"default": default}, canaries=(at_default,))
    for models, verdict in ((("m",), "model_not_allowed"), (("m", "other"), "eligible"), (None, "eligible")):
        found = explained(TenantRules(models=models), router)
        assert [one.verdict for one in found.canaries] == [verdict]


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
