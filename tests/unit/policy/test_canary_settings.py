"""The canary of stack parameters, as its variables say it."""

import pytest

from sallyport.policy.upstream_parameters import CanarySettings, read_canary
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.policy.variables import ConfigurationError, Variables

URL = "https://eu.example.com/v1"
BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com"


def read(**variables: str) -> CanarySettings:
    stack = {"SALLYPORT_UPSTREAM_REGION": "us-east-1", "SALLYPORT_UPSTREAM_PROVIDER": "openai"}
    return read_canary(Variables({**stack, **{f"SALLYPORT_CANARY_{name}": text for name, text in variables.items()}}))


@pytest.mark.parametrize(
    ("percent", "weight"), [("5", 500), ("0.01", 1), ("12.34", 1234), ("100", 10_000), ("0.1", 10)]
)
def test_weight_is_in_hundredths_of_a_percent(percent: str, weight: int) -> None:
    assert read(WEIGHT=percent, MODEL="gpt-next") == CanarySettings(weight, "subject", "gpt-next", None)


@pytest.mark.parametrize("percent", ["", "0", "0.00"])
def test_no_weight_is_no_canary_whatever_else_is_said(percent: str) -> None:
    assert read(WEIGHT=percent, MODEL="gpt-next", UPSTREAM_BASE_URL="nonsense") == CanarySettings()


@pytest.mark.parametrize("percent", ["0.005", "-1", "100.01", "nan", "many"])
def test_a_weight_that_is_none_is_refused(percent: str) -> None:
    with pytest.raises(ConfigurationError, match="SALLYPORT_CANARY_WEIGHT"):
        read(WEIGHT=percent, MODEL="gpt-next")


def test_a_canary_that_is_no_different_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs SALLYPORT_CANARY_MODEL or an upstream"):
        read(WEIGHT="5")


def test_upstream_is_as_the_stacks_where_nothing_else_is_said() -> None:
    assert read(WEIGHT="5", UPSTREAM_BASE_URL=URL).upstream == UpstreamRules("canary", "openai", URL, "us-east-1")


def test_upstream_may_be_another_providers_in_another_region() -> None:
    said = {"UPSTREAM_PROVIDER": "bedrock", "UPSTREAM_BASE_URL": BEDROCK, "UPSTREAM_REGION": "eu-west-1"}
    assert read(WEIGHT="5", **said).upstream == UpstreamRules("canary", "bedrock", BEDROCK, "eu-west-1", is_proved=True)


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"STICKY_BY": "header:x"}, "CANARY_STICKY_BY"),
        ({"UPSTREAM_BASE_URL": "http://eu.example.com/v1"}, "CANARY_UPSTREAM_BASE_URL"),
        ({"UPSTREAM_BASE_URL": URL, "UPSTREAM_PROVIDER": "app"}, "CANARY_UPSTREAM_PROVIDER"),
        ({"UPSTREAM_BASE_URL": URL, "UPSTREAM_REGION": "eu-west-1,eu-west-2"}, "CANARY_UPSTREAM_REGION"),
        ({"UPSTREAM_BASE_URL": BEDROCK}, "CANARY_UPSTREAM_BASE_URL: is in eu-west-1"),
        ({"UPSTREAM_BASE_URL": URL, "UPSTREAM_PROVIDER": "bedrock"}, "CANARY_UPSTREAM_BASE_URL: must be Bedrock's"),
        (
            {"UPSTREAM_BASE_URL": BEDROCK, "UPSTREAM_PROVIDER": "bedrock", "UPSTREAM_SECRET": "s"},
            "CANARY_UPSTREAM_SECRET",
        ),
    ],
)
def test_what_is_wrong_is_named(said: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"SALLYPORT_{named}"):
        read(WEIGHT="5", MODEL="gpt-next", **said)
