"""`sallyport local --region`: the gateway is at home there, and so are callers with no residency of their own."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sallyport.policy.parameters import read_authorizer_settings, read_router_settings
from sallyport_cli.local.session import Options, _load
from sallyport_cli.local.stack import Stack
from sallyport_cli.local.template_file import TemplateError
from sallyport_cli.local.upstream import choose_upstream

TEMPLATE = Path(__file__).parents[3] / "template.yaml"
ECHO = "http://127.0.0.1:9"


def load(region: str, environment: Mapping[str, str] | None = None, **parameters: str) -> Stack:
    options = Options(TEMPLATE, parameters, None, 1, cold=False, seed=False, region=region, stack_name="sallyport")
    return _load(options, choose_upstream(None, environment or {}, parameters, "key"), ECHO)


def regions_of(stack: Stack) -> tuple[tuple[str, ...], str, frozenset[str]]:
    """Callers' default residency, the upstream's region, the allowed ones."""
    router = read_router_settings(stack.functions["ChatCompletionsFunction"].environment)
    authorizer = read_authorizer_settings(stack.functions["AuthorizerFunction"].environment)
    return authorizer.default_residency, router.upstream.region, router.allowed_regions


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_gateway_with_an_echo_is_all_in_one_region(region: str) -> None:
    assert regions_of(load(region)) == ((region,), region, frozenset({region}))


def test_an_upstream_elsewhere_is_where_its_parameter_says() -> None:
    residency, upstream, _ = regions_of(load("eu-central-1", {"OPENAI_API_KEY": "sk-1"}))
    assert (residency, upstream) == (("eu-central-1",), "us-east-1")


def test_what_is_given_wins() -> None:
    given = {"UpstreamRegion": "eu-west-1", "DefaultResidency": "eu-west-1,eu-central-1"}
    residency, upstream, allowed = regions_of(load("eu-central-1", None, **given))
    assert (residency, upstream) == (("eu-west-1", "eu-central-1"), "eu-west-1")
    assert allowed == frozenset(residency)


@pytest.mark.parametrize("provider", ["anthropic", "bedrock"])
def test_every_provider_has_an_echo(provider: str) -> None:
    stack = load("eu-central-1", UpstreamProvider=provider)
    upstream = read_router_settings(stack.functions["MessagesFunction"].environment).upstream
    assert (upstream.provider, upstream.base_url, upstream.is_proved) == (provider, ECHO, False)


def test_a_region_that_is_none_is_refused() -> None:
    with pytest.raises(TemplateError, match="must be the name of a region"):
        load("europe")
