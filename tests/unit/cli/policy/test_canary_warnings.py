"""Canaries that are taken, though they do nothing, or not what one may think."""

import pytest

from tests.unit.cli.policy.documents import read

DOCUMENT = """\
version: 1
identity: {api_keys: {enabled: true}}
access: {}
upstreams:
  eu: {provider: bedrock, region: eu-west-1}
  us: {provider: bedrock, region: us-east-1}
  mine: {provider: app, base_url: "https://app.internal/x", region: eu-west-1, secret: mine}
  yours: {provider: app, base_url: "https://new.internal/x", region: us-east-1, secret: mine}
models: {amazon.m: {targets: [{upstream: eu}]}, amazon.n: {targets: [{upstream: eu}]}}
apps: {a: {upstream: mine, tenants: [acme]}}
tenants: {acme: {}, globex: {residency: [eu-west-1, us-east-1], models: [amazon.m]}}
residency: {default: [eu-west-1]}
"""
OTHER = "target: {upstream: eu, model: amazon.x}, weight: 5"


def warnings(*canaries: str) -> list[str]:
    """Give the warnings of canaries without file and line."""
    listed = "".join(f"  - {{name: c{place}, {canary}}}\n" for place, canary in enumerate(canaries))
    found = [line.partition(": ")[2] for line in read(f"{DOCUMENT}canaries:\n{listed}").warnings]
    return [line for line in found if line.startswith("canaries")]


def test_a_canary_that_does_what_it_says_is_told_nothing_of() -> None:
    ramp = "steps: [{weight: 1, hold: 1h}, {weight: 100}]"
    assert (
        warnings(
            f"model: amazon.m, {OTHER}",
            f"model: amazon.n, target: {{upstream: eu, model: amazon.x}}, {ramp}, sticky_by: tenant",
            "app: a, target: {upstream: yours}, weight: 5, match: {tenants: globex}",
            "route: responses, parameters: {top_p: 0.5}, weight: 5, guard: off, sticky_by: key",
        )
        == []
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("model: amazon.m", "model: amazon.m, match: {tenants: acme}"),
        ("models: [amazon.n, amazon.m]", "model: amazon.m"),
        ("route: responses", "routes: [responses]"),
        ("routes: [chat_completions, responses, embeddings, messages, count_tokens]", "model: amazon.m"),
        ("models: [amazon.n, amazon.m]", "route: responses"),
        ("model: amazon.m, match: {tenants: [acme, globex]}", "model: amazon.m, match: {tenants: globex}"),
        ("model: amazon.m, match: {regions: eu-west-1}", "model: amazon.m, match: {regions: eu-west-1, tenants: acme}"),
        (
            "model: amazon.m, match: {headers: {x-a: b}}",
            "model: amazon.m, match: {headers: {x-a: b, x-c: d}, regions: eu-west-1}",
        ),
    ],
)
def test_a_canary_that_another_leaves_nothing_to_decide_is_told(before: str, after: str) -> None:
    hidden = "canaries[1]: warning: c0 stands before it and decides for all that it is for"
    assert warnings(f"{before}, {OTHER}", f"{after}, {OTHER}") == [hidden]
    assert hidden not in warnings(f"model: amazon.n, match: {{regions: us-east-1}}, {OTHER}", f"{after}, {OTHER}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("model: amazon.m, match: {tenants: acme}", "model: amazon.m"),
        ("model: amazon.m, match: {tenants: acme}", "model: amazon.m, match: {tenants: [acme, globex]}"),
        ("model: amazon.m, match: {headers: {x-a: b}}", "model: amazon.m, match: {headers: {x-a: c}}"),
        ("model: amazon.m, match: {regions: eu-west-1}", "model: amazon.m, match: {tenants: acme}"),
        ("model: amazon.m", "models: [amazon.m, amazon.n]"),
        ("model: amazon.m", "route: responses"),
        ("routes: [responses, messages]", "model: amazon.m"),
        ("routes: [responses, messages]", "routes: [responses, chat_completions]"),
    ],
)
def test_a_canary_with_something_left_to_decide_is_not_told(before: str, after: str) -> None:
    assert warnings(f"{before}, {OTHER}", f"{after}, {OTHER}") == []


def test_canaries_of_models_and_of_apps_do_not_hide_each_other() -> None:
    app = "app: a, target: {upstream: yours}, weight: 5, match: {tenants: globex}"
    everything = f"routes: [chat_completions, responses, embeddings, messages, count_tokens], {OTHER}"
    assert warnings(everything, app) == []
    assert warnings(app, everything) == []
    assert warnings(app, app) == ["canaries[1]: warning: c0 stands before it and decides for all that it is for"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("target: {upstream: eu}, weight: 5", ".target: warning: is the stable target, so both arms are the same"),
        (
            "parameters: {top_p: 1}, weight: 100",
            ".weight: warning: gives it all traffic at once, so the guard has nothing to compare it with",
        ),
        ("parameters: {top_p: 1}, steps: [{weight: 100}]", ".steps[0].weight: warning: gives it all traffic at once"),
        (
            "parameters: {top_p: 1}, steps: [{weight: 1, hold: 1h}, {weight: 2}], guard: off",
            ".guard: warning: is off, so the steps follow one another by the clock, however the canary does",
        ),
        (
            f"{OTHER}, sticky_by: 'cookie:session'",
            ".sticky_by: warning: who sends no cookie session stays on one arm by its subject instead",
        ),
        (f"{OTHER}, sticky_by: 'header:x-a'", ".sticky_by: warning: who sends no header x-a stays on one arm by its"),
        (
            f"{OTHER}, sticky_by: tenant, match: {{tenants: [acme, globex]}}",
            ".guard: warning: waits for 20 tenants on each arm (min_subjects), and it is for 2 in all: nothing is ever",
        ),
        (
            f"{OTHER}, match: {{countries: DE}}",
            ".match.countries: warning: without trusted_proxies no country is known, so it is for nobody",
        ),
        (
            f"{OTHER}, match: {{claims: {{plan: beta}}}}",
            ".match.claims: warning: without issuers nobody has a token, so it is for nobody",
        ),
        (
            "target: {upstream: us}, weight: 5, match: {tenants: acme}",
            ".target: warning: us-east-1 is in no residency of those it is for: nobody is offered it",
        ),
        (
            "target: {upstream: eu, model: global.amazon.x}, weight: 5",
            ".target: warning: may process anywhere, and none of those it is for has allow_global: nobody is offered",
        ),
    ],
)
def test_what_is_likely_meant_otherwise_is_told(fields: str, told: str) -> None:
    [line] = warnings(f"model: amazon.m, {fields}")
    assert line.startswith(f"canaries[0]{told}")


def test_a_target_for_some_is_not_told() -> None:
    assert warnings("model: amazon.m, target: {upstream: us}, weight: 5") == []
    assert warnings("model: amazon.m, target: {upstream: us}, weight: 5, match: {tenants: [acme, globex]}") == []


def test_an_app_s_canary_is_for_the_app_s_tenants() -> None:
    [line] = warnings("app: a, target: {upstream: yours}, weight: 5")
    assert line == "canaries[0].target: warning: us-east-1 is in no residency of those it is for: nobody is offered it"
