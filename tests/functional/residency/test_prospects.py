"""What `sallyport residency explain` finds out."""

import json
import re
from typing import Any, Final

import pytest

from sallyport.policy.limit_rules import ModelRules, RouterRules
from sallyport.policy.rules import AccessRules, DoorRules, TenantRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from sallyport.policy.verification_rules import GuardHookRules, Scope, VerificationRules
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


GUARDED: Final = {
    **UPSTREAMS,
    "near": UpstreamRules("near", "guard", "https://near.example.com/check", EU),
    "far": UpstreamRules("far", "guard", "https://far.example.com/check", US),
}


def guarded(*guards: GuardHookRules) -> RouterRules:
    return rules(upstreams=GUARDED, verification=VerificationRules(guards=guards))


def test_guards_are_judged_as_places_are() -> None:
    near, far = GuardHookRules("a", "near", 800, "closed"), GuardHookRules("b", "far", 800, "open")
    found = explained(TenantRules(residency=(EU,)), guarded(near, far))
    assert [(one.guard, one.considered.verdict) for one in found.guards] == [
        (near, "eligible"),
        (far, "outside_residency"),
    ]
    assert (found.first, found.code) == (1, "")


def test_a_guard_that_must_be_asked_and_may_not_be_is_a_refusal() -> None:
    far = GuardHookRules("b", "far", 800, "closed")
    found = explained(TenantRules(residency=(EU,)), guarded(far))
    assert (found.first, found.status, found.code) == (None, 403, "residency_violation")
    assert explained(TenantRules(residency=(EU, US)), guarded(far)).first == 0


@pytest.mark.parametrize("scope", [Scope(routes=("embeddings",)), Scope(tenants=("other",))])
def test_guards_for_others_are_left_out(scope: Scope) -> None:
    found = explained(TenantRules(residency=(EU,)), guarded(GuardHookRules("b", "far", 800, "closed", scope)))
    assert (found.guards, found.code) == ((), "")


def test_operations_are_those_of_providers() -> None:
    assert set(OPERATIONS.values()) == {
        provider.CHAT_COMPLETIONS,
        provider.RESPONSES,
        provider.EMBEDDINGS,
        provider.MESSAGES,
        provider.COUNT_TOKENS,
    }


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


GUARDS: Final = """
  checker: {provider: guard, base_url: https://guard.example.com/check, region: eu-west-1, secret: checker}
"""


def test_explain_names_the_guards_that_are_asked(run: Run) -> None:
    text = POLICY.replace("models:\n", f"{GUARDS.strip(chr(10))}\nmodels:\n", 1)
    text += "verification: {guards: [{name: external, upstream: checker, on_failure: open}]}\n"
    result = run("policy", "apply", "policy.yaml", text=text)
    assert result.exit_code == 0
    assert "eu-west-1 is outside of the residency of acme: their prompts aren't shown to it" in result.stderr
    lines = [" ".join(line.split()) for line in explain(run, *ALLOWED).stdout.splitlines()]
    assert lines[-2:] == [
        "GUARD UPSTREAM REGIONS HOST BASIS ON FAILURE VERDICT",
        "external checker eu-west-1 guard.example.com declared open no: outside of the tenant's residency",
    ]
    (guard,) = json.loads(explain(run, *ALLOWED, "--json").stdout)["guards"]
    assert guard == {
        "guard": "external", "on_failure": "open", "upstream": "checker", "regions": ["eu-west-1"],
        "host": "guard.example.com", "basis": "declared", "verdict": "outside_residency",
    }  # fmt: skip


def test_explain_names_where_to_go_instead(applied: Run) -> None:
    result = applied("residency", "explain", "--tenant", "other", "--model", "m", *ALLOWED)
    assert "421 misdirected_region" in result.stdout
    assert "eu-central-1 at https://abc.execute-api.eu-central-1.amazonaws.com/prod" in result.stdout


def test_explain_says_what_a_route_cannot_be_asked(applied: Run) -> None:
    result = explain(applied, *ALLOWED, "--operation", "embeddings")
    assert "no: the upstream doesn't serve this route" in result.stdout
    assert "refused, " in result.stdout
