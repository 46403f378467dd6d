"""Every environment of samconfig.toml is a gateway of one region: what it names lies there, and the stack takes it."""

import tomllib
from typing import Any

import pytest

from sallyport.policy.parameters import read_authorizer_settings, read_router_settings
from sallyport_cli.local.stack import Stack, load_stack
from tests.template.transformed import ROOT

CONFIG: dict[str, Any] = tomllib.loads((ROOT / "samconfig.toml").read_text())
ENVIRONMENTS = [name for name, section in CONFIG.items() if isinstance(section, dict)]


def _deploy(name: str) -> dict[str, Any]:
    options: dict[str, Any] = CONFIG[name]["deploy"]["parameters"]
    return options


def _parameters(name: str) -> dict[str, str]:
    return dict(override.split("=", 1) for override in _deploy(name)["parameter_overrides"])


def _stack(name: str) -> Stack:
    stack_name = CONFIG[name]["global"]["parameters"]["stack_name"]
    return load_stack(ROOT / "template.yaml", _parameters(name), name=stack_name, region=_deploy(name)["region"])


def test_there_is_an_environment_for_each_continent() -> None:
    assert ENVIRONMENTS == ["default", "us", "eu", "ap"]
    assert len({_deploy(name)["region"] for name in ("us", "eu", "ap")}) == 3


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_what_an_environment_says_of_regions_holds_together(name: str) -> None:
    region, environment = _deploy(name)["region"], _stack(name).functions
    router = read_router_settings({**environment["ChatCompletionsFunction"].environment, "AWS_REGION": region})
    residency = read_authorizer_settings(environment["AuthorizerFunction"].environment).default_residency
    assert router.home_region == region
    assert router.upstream.region in residency
    assert region in residency, "callers with no residency of their own would all be sent elsewhere"
    assert router.allowed_regions.issuperset(residency)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_stays_on_its_continent(name: str) -> None:
    continent = _deploy(name)["region"].partition("-")[0]
    given = _parameters(name)
    regions = [
        region
        for parameter in ("UpstreamRegion", "DefaultResidency", "AllowedRegions")
        for region in given[parameter].split(",")
    ]
    assert {region.partition("-")[0] for region in regions} == {continent}
    assert given.get("BedrockGlobalInference", "denied") == "denied"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_deploys_from_a_bucket_of_its_region(name: str) -> None:
    """`resolve_s3` makes one there; a bucket by name could be anywhere."""
    assert _deploy(name)["resolve_s3"] is True
    assert "s3_bucket" not in _deploy(name)
