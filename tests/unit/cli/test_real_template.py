"""The product's own template can be run locally."""

from pathlib import Path

import pytest

from sallyport_cli.local.routes import RoutingTable
from sallyport_cli.local.stack import Stack, load_stack
from sallyport_cli.local.template_file import TemplateError

TEMPLATE = Path(__file__).parents[3] / "template.yaml"


@pytest.fixture(scope="module")
def stack() -> Stack:
    return load_stack(TEMPLATE, {})


def test_every_function_has_its_code_and_the_wrapper(stack: Stack) -> None:
    for function in stack.functions.values():
        module = function.handler.rsplit(".", 1)[0]
        assert (function.code_dir / f"{module}.py").is_file()
        assert function.wrapper.name == "bootstrap"


@pytest.mark.parametrize(
    ("method", "path", "function", "streamed", "authorized"),
    [
        ("POST", "/v1/chat/completions", "ChatCompletionsFunction", True, True),
        ("POST", "/v1/responses", "ResponsesFunction", True, True),
        ("POST", "/v1/embeddings", "EmbeddingsFunction", True, True),
        ("POST", "/v1/messages", "MessagesFunction", True, True),
        ("POST", "/v1/messages/count_tokens", "CountTokensFunction", True, True),
        ("GET", "/apps/summarizer", "AppFunction", True, True),
        ("DELETE", "/apps/summarizer/a/b%2Fc", "AppFunction", True, True),
        ("GET", "/apps", "UnmatchedFunction", False, True),
        ("GET", "/v1/messages/count_tokens", "UnmatchedFunction", False, True),
        ("GET", "/v1/responses/resp_1", "UnmatchedFunction", False, True),
        ("POST", "/v1/messages/batches", "UnmatchedFunction", False, True),
        ("GET", "/v1/models", "ModelsFunction", False, True),
        ("GET", "/v1/models/gpt-4o", "ModelsFunction", False, True),
        ("GET", "/healthz", "HealthzFunction", False, False),
        ("GET", "/v1/chat/completions", "UnmatchedFunction", False, True),
        ("DELETE", "/v1/models/gpt-4o", "UnmatchedFunction", False, True),
        ("GET", "/", "UnmatchedFunction", False, True),
        ("GET", "/any/thing", "UnmatchedFunction", False, True),
    ],
)
def test_routes_lead_where_they_should(
    stack: Stack, method: str, path: str, function: str, streamed: bool, authorized: bool
) -> None:
    match = RoutingTable(stack.routes).match(method, path)
    assert match is not None
    route = match.route
    assert (route.function, route.streamed, route.authorized) == (function, streamed, authorized)


def test_parameters_reach_the_functions_variables() -> None:
    stack = load_stack(TEMPLATE, {"UpstreamBaseUrl": "http://127.0.0.1:9/v1", "UpstreamSecret": ""}, name="s")
    environment = stack.functions["ChatCompletionsFunction"].environment
    assert environment["SALLYPORT_UPSTREAM_BASE_URL"] == "http://127.0.0.1:9/v1"
    assert environment["SALLYPORT_UPSTREAM_SECRET"] == ""
    assert environment["SALLYPORT_COUNTERS_TABLE"] == "CountersTable"


def test_defaults_stand_in_for_the_templates_where_it_has_such_a_parameter() -> None:
    defaults = {"PolicyRefreshSeconds": "1", "KeyRevocationSeconds": "1", "NoSuchParameter": "1"}
    stack = load_stack(TEMPLATE, {"KeyRevocationSeconds": "7"}, defaults=defaults)
    environment = stack.functions["AuthorizerFunction"].environment
    assert (environment["SALLYPORT_POLICY_REFRESH_S"], environment["SALLYPORT_KEY_REVOCATION_S"]) == ("1", "7")


@pytest.mark.parametrize(
    "given",
    [
        {"UpstreamBaseUrl": "ftp://x"},
        {"RequestsPerMinute": "0"},
        {"ApiKeys": "disabled"},
        {"IpDenyList": "10.0.0.0/33"},
    ],
)
def test_what_cloudformation_would_refuse_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(TemplateError):
        load_stack(TEMPLATE, given)


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_either_architecture_runs_from_the_checkout(architecture: str) -> None:
    assert load_stack(TEMPLATE, {"Architecture": architecture}).functions
