"""Upstreams, targets and apps: which are refused, which are warned of, with line and reason."""

import pytest

from sallyport_cli.policy.documents import read_document
from sallyport_cli.policy.targets import canary_targets_of, targets_of
from tests.unit.cli.policy.documents import EVERY_KEY, problems, read

UPSTREAMS = """\
version: 1
upstreams:
  up: {provider: openai, base_url: "https://api.openai.com/v1", region: us-east-1, secret: up}
  fra: {provider: bedrock, region: eu-central-1}
  mine: {provider: app, base_url: "https://app.internal/x", region: eu-west-1, secret: mine}
"""
SOUND = UPSTREAMS + "models: {m: {targets: [{upstream: up}, {upstream: fra, model: amazon.nova}]}}\n"
SOUND += "apps: {a: {upstream: mine}}\n"


def with_upstream(fields: str) -> str:
    """Give a document with one upstream, whose fields these are, and an app or a model that uses it."""
    use = (
        "apps: {a: {upstream: up}}"
        if "provider: app" in fields
        else "models: {amazon.nova: {targets: [{upstream: up}]}}"
    )
    return f"version: 1\nupstreams: {{up: {{{fields}}}}}\n{use}\n"


def test_a_sound_document() -> None:
    assert read(SOUND).warnings == ()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("provider: azure, region: eu-west-1", "up.provider: 'azure' is no provider; known are openai, anthropic, bed"),
        ("region: eu-west-1", "up.provider: is missing"),
        ("provider: bedrock", "up.region: is missing"),
        ("provider: bedrock, region: westeurope", "up.region: 'westeurope' is no name of a region"),
        ("provider: bedrock, region: global", "up.region: 'global' is no name of a region"),
        ("provider: openai, region: eu-west-1", "up.base_url: is missing"),
        ("provider: app, region: eu-west-1, secret: a", "up.base_url: is missing"),
        ("provider: openai, region: eu-west-1, base_url: 'http://a.de'", "up.base_url: must begin with https://"),
        ("provider: openai, region: eu-west-1, base_url: 'https://a.internal'", "up.base_url: must have a public name"),
        ("provider: openai, region: eu-west-1, base_url: 'https://10.0.0.1'", "up.base_url: must have a name"),
        ("provider: app, secret: a, region: eu-west-1, base_url: 'https://10.0.0.1'", "up.base_url: must have a name"),
        ("provider: app, secret: a, region: eu-west-1, base_url: 'https://metadata.goog'", "is the host of a metadata"),
        ("provider: app, region: eu-west-1, base_url: 'https://a.de'", "up.secret: is missing: with it the caller's"),
        ("provider: bedrock, region: eu-west-1, secret: a", "up.secret: doesn't go with bedrock"),
        ("provider: bedrock, region: eu-west-1, credential_header: api-key", "up.credential_header: doesn't go with b"),
        ("provider: bedrock, region: eu-west-1, store: true", "up.store: goes with openai alone"),
        ("provider: anthropic, region: eu-west-1, store: true", "up.store: goes with openai alone"),
        ("provider: anthropic, region: eu-west-1, base_url: 'https://a.de/v1/'", "up.base_url: ends before /v1"),
        ("provider: anthropic, region: eu-west-1, credential_header: cookie", "'cookie' is no header for a credential"),
        ("provider: anthropic, region: eu-west-1, hosted_tools: [Web-Search]", "hosted_tools[0]: a type of tool is"),
        ("provider: anthropic, region: eu-west-1, hosted_tools: [a, a]", "hosted_tools: names one twice"),
        ("provider: anthropic, region: eu-west-1, url: 'https://a.de'", "up.url: is no key of a policy document"),
        ("provider: bedrock, region: eu-west-1, base_url: 'https://a.de'", "must be AWS's own endpoint of eu-west-1"),
        (
            "provider: bedrock, region: eu-west-1, base_url: 'https://bedrock-runtime.us-east-1.amazonaws.com'",
            "up.base_url: must be AWS's own endpoint of eu-west-1",
        ),
        (
            "provider: bedrock, region: eu-west-1, base_url: 'http://127.0.0.1:9001'",
            "up.base_url: must begin with https",
        ),
    ],
)
def test_a_mistake_in_an_upstream_is_told(fields: str, told: str) -> None:
    [problem] = problems(with_upstream(fields))
    assert problem.startswith("policy.yaml:2: upstreams.")
    assert told in problem


def test_what_may_be_a_secret_is_never_repeated() -> None:
    for secret in ("s3cr3t in its place", "k3" * 22, "9f86d081884c7d659a2feaa0c55ad015"):
        [problem] = problems(with_upstream(f"provider: anthropic, region: eu-west-1, secret: '{secret}'"))
        assert secret not in problem
    [problem] = problems(with_upstream(f"provider: anthropic, region: eu-west-1, secret: {'k3' * 22}"))
    assert "after <stack>/upstreams/" in problem


@pytest.mark.parametrize(
    "fields",
    [
        "provider: bedrock, region: eu-west-1, base_url: 'http://127.0.0.1:9001'",
        "provider: anthropic, region: eu-west-1, base_url: 'http://localhost:9001'",
        "provider: app, region: eu-west-1, base_url: 'https://127.0.0.1:9001/x', secret: a",
    ],
)
def test_this_machine_is_for_local_mode_and_proves_nothing(fields: str) -> None:
    document = read(with_upstream(fields), local=True)
    assert not (document.policy.upstreams or {})["up"].as_json()["is_proved"]
    assert "base_url: must" in problems(with_upstream(fields))[0]


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bedrock-runtime-fips.us-east-1.amazonaws.com", "us-east-1"),
        ("https://vpce-0a-1b.bedrock-runtime.eu-west-1.vpce.amazonaws.com/", "eu-west-1"),
    ],
)
def test_aws_s_own_endpoints_prove_the_region(url: str, region: str) -> None:
    upstreams = read(with_upstream(f"provider: bedrock, region: {region}, base_url: '{url}'")).policy.upstreams or {}
    assert upstreams["up"].as_json()["is_proved"]
    assert upstreams["up"].url == url.removesuffix("/")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (UPSTREAMS, "3: upstreams: needs models or apps"),
        (
            UPSTREAMS.replace("up:", "default:", 1) + "apps: {a: {upstream: mine}}",
            "3: upstreams.default: default is the s",
        ),
        (UPSTREAMS + "models: {m: {}}", "6: models.m: has no targets; where the document has upstreams"),
        (
            UPSTREAMS + "models: {m: {targets: [{upstream: x}]}}",
            "targets[0].upstream: not in upstreams: x (known: up, fra",
        ),
        (
            UPSTREAMS + "models: {m: {targets: [{upstream: default}]}}",
            "not in upstreams: default (known: up, fra, mine)",
        ),
        (UPSTREAMS + "models: {m: {targets: [{upstream: mine}]}}", "mine is the upstream of an app; no model is there"),
        (
            UPSTREAMS + "models: {m: {targets: [{upstream: up}, {upstream: up, model: m}]}}",
            "is the target at [0] already",
        ),
        (UPSTREAMS + "models: {m: {targets: [{upstream: up, regions: [x]}]}}", "'x' is neither a region, such as"),
        (UPSTREAMS + "models: {m: {targets: [{upstream: up, regions: []}]}}", "regions: must have at least one entry"),
        (
            UPSTREAMS + "models: {m: {targets: [{upstream: up, regions: eu-west-1}]}}",
            "the upstream's own region, us-east",
        ),
        (UPSTREAMS + "models: {m: {targets: [{upstream: fra}]}}", "targets[0].regions: its model is neither a known"),
        (
            UPSTREAMS + "models: {eu.amazon.n: {targets: [{upstream: fra}]}}",
            "regions: is missing: an inference profile",
        ),
        (UPSTREAMS + "apps: {a: {upstream: x}}", "apps.a.upstream: not in upstreams: x (known: up, fra, mine)"),
        (UPSTREAMS + "apps: {a: {upstream: up}}", "up is no upstream of the provider app, and speaks openai"),
        (UPSTREAMS + "apps: {A: {upstream: mine}}", "apps.A: an app is 1 to 64 lower-case letters"),
        (UPSTREAMS + "apps: {a: {upstream: mine, tenants: []}}", "apps.a.tenants: must have at least one entry"),
        (
            UPSTREAMS + "apps: {a: {upstream: mine, tenants: [b]}}\ntenants: {c: {}}",
            "apps.a.tenants: not in tenants: b",
        ),
        ("version: 1\napps: {a: {upstream: default}}", "apps.a.upstream: not in upstreams: default (known: none)"),
        ("version: 1\nmodels: {m: {targets: [{upstream: x}]}}", "not in upstreams: x (known: default)"),
        ("version: 1\nresidency: {endpoints: {eu: 'https://a.de'}}", "'eu' is no name of a region"),
        (
            "version: 1\nresidency: {endpoints: {eu-west-1: 'http://a.de'}}",
            "endpoints.eu-west-1: must begin with https",
        ),
        ("version: 1\ntenants: {a: {allow_global: 1}}", "a.allow_global: must be true or false, and is a number"),
    ],
)
def test_what_does_not_go_together_is_told(text: str, told: str) -> None:
    [problem] = problems(text)
    assert told in problem


@pytest.mark.parametrize(
    "name",
    ["authorization", "cookie", "host", "x-api-key", "api-key", "x-sallyport-tenant", "x-forwarded-for", "forwarded",
     "te",
     "transfer-encoding", "connection", "content-length", "proxy-authorization", "X-Custom", "x_custom",
     "x-amzn-trace-id", "accept-encoding", "content-encoding", "x-real-ip", "x-origin-verify",
     "x-http-method-override"],
)  # fmt: skip
def test_headers_that_say_who_calls_are_never_passed_on(name: str) -> None:
    [problem] = problems(UPSTREAMS + f"apps: {{a: {{upstream: mine, request_headers: [{name}]}}}}")
    assert "apps.a.request_headers[0]: " in problem


@pytest.mark.parametrize(
    "name",
    ["x-sallyport-region", "connection", "transfer-encoding", "content-length", "Set-Cookie", "set-cookie",
     "www-authenticate", "x-request-id", "ratelimit", "x-ratelimit-limit-requests", "content-encoding"],
)  # fmt: skip
def test_what_apps_never_have_passed_back_is_refused(name: str) -> None:
    [problem] = problems(UPSTREAMS + f"apps: {{a: {{upstream: mine, answer_headers: [{name}]}}}}")
    assert "apps.a.answer_headers[0]: " in problem


def test_one_header_needs_no_list() -> None:
    assert read(UPSTREAMS + "apps: {a: {upstream: mine, answer_headers: x-cost}}").policy.apps


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        ("openai", "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1"),
        ("openai", "https://Bedrock-Mantle.US-EAST-1.api.aws/v1"),
        ("anthropic", "https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com"),
        ("openai", "https://abc.lambda-url.us-east-1.on.aws/v1"),
        ("app", "https://abc.execute-api.us-east-1.amazonaws.com/prod"),
    ],
)
def test_a_host_of_aws_in_another_region_than_declared_is_refused(provider: str, url: str) -> None:
    [problem] = problems(with_upstream(f"provider: {provider}, region: eu-west-1, secret: a, base_url: '{url}'"))
    assert "up.region: is eu-west-1, and the host of base_url is one of AWS in us-east-1" in problem
    there = read(with_upstream(f"provider: {provider}, region: us-east-1, secret: a, base_url: '{url}'"))
    assert there.policy.upstreams is not None


def test_models_at_bedrock_s_openai_api_are_judged_by_their_ids() -> None:
    up = "version: 1\nupstreams: {up: {provider: openai, region: eu-west-1, secret: a, base_url: "
    up += "'https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1'}}\n"
    document = read(up + "models: {m: {targets: [{upstream: up, model: global.openai.gpt-oss-20b-1:0}]}}")
    assert document.regions == {("models", "m", "targets", 0): ("eu-west-1", "global")}
    [problem] = problems(up + "models: {m: {targets: [{upstream: up, model: eu.openai.gpt-oss-20b-1:0}]}}")
    assert "targets[0].regions: is missing: an inference profile" in problem


def test_the_targets_of_a_document_without_upstreams_are_the_stack_s() -> None:
    document = read("version: 1\nmodels: {m: {targets: [{upstream: default, model: n, regions: [eu-west-1]}]}}")
    assert document.warnings == ()
    assert document.regions == {("models", "m", "targets", 0): ("eu-west-1",)}


def test_all_targets_have_regions() -> None:
    document = read(EVERY_KEY)
    targets = (*targets_of(document.policy), *canary_targets_of(document.policy))
    assert [path for path, _, _ in targets] == list(document.regions)
    assert [regions for path, regions in document.regions.items() if path[0] == "canaries"] == [
        ("eu-central-1",),
        ("eu-west-1",),
    ]
    of_models = {regions for path, regions in document.regions.items() if path[0] == "models"}
    assert of_models == {("eu-west-1",), ("eu-central-1", "eu-west-1")}


def test_a_profile_is_looked_up_where_there_is_an_aws() -> None:
    text = UPSTREAMS + "models: {eu.amazon.n: {targets: [{upstream: fra}]}}"
    document = read_document(text, "p", local=False, resolve=lambda region, _model_id: (region, "eu-north-1"))
    assert list(document.regions.values()) == [("eu-central-1", "eu-north-1")]

    def fail(_region: str, _model_id: str) -> tuple[str, ...]:
        raise ValueError("can't be looked up")

    with pytest.raises(Exception, match=r"^p:6: models.eu.amazon.n.targets\[0\].regions: can't be looked up$"):
        read_document(text, "p", local=False, resolve=fail)


def test_a_document_that_was_taken_is_read_without_asking_again() -> None:
    text = UPSTREAMS + "models: {eu.amazon.n: {targets: [{upstream: fra}]}}"
    assert read_document(text, "p", local=True, was_taken=True).policy.models


def test_upstreams_without_a_use_or_a_credential_are_warned_of() -> None:
    text = UPSTREAMS.replace(", secret: up", "") + "models: {m: {targets: [{upstream: up}]}}"
    assert read(text).warnings == (
        "policy.yaml:3: upstreams.up: warning: has no secret, so it is called without a credential",
        "policy.yaml:4: upstreams.fra: warning: no model, app, canary or guard uses it",
        "policy.yaml:5: upstreams.mine: warning: no model, app, canary or guard uses it",
    )
