"""Which Bedrock model ids are sure to stay in their region."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.policy.bedrock_ids import VENDORS, is_global, regions_by_name, stays_in_region
from sallyport.policy.upstream_rules import UpstreamRules

HERE = "eu-central-1"
BEDROCK = UpstreamRules("default", "bedrock", "https://bedrock-runtime.eu-central-1.amazonaws.com", HERE)
FOUNDATION = "arn:aws:bedrock:{}::foundation-model/anthropic.claude-x-v1:0"


@pytest.mark.parametrize(
    "model",
    ["amazon.nova-pro-v1:0", "anthropic.claude-x-v1:0:200k", "deepseek.v3.2", "zai.glm-4.7", FOUNDATION.format(HERE)],
)
def test_a_vendor_s_own_id_stays(model: str) -> None:
    assert stays_in_region(model, HERE)
    assert regions_by_name(BEDROCK, model) == (HERE,)


@pytest.mark.parametrize(
    "model",
    [
        "eu.anthropic.claude-x-v1:0",
        "global.anthropic.claude-x-v1:0",
        "us-gov.anthropic.claude-x-v1:0",
        "xx.anthropic.claude-x-v1:0",
        "EU.anthropic.claude-x",
        "gpt-4o",
        "anthropic",
        "anthropic.",
        "anthropic.x/y",
        "",
        FOUNDATION.format("us-east-1"),
        FOUNDATION.format(""),
        f"arn:aws:bedrock:{HERE}:123456789012:inference-profile/eu.anthropic.claude-x",
        f"arn:aws:bedrock:{HERE}:123456789012:application-inference-profile/abc",
        f"arn:aws:bedrock:{HERE}:123456789012:provisioned-model/abc",
    ],
)
def test_nothing_else_does(model: str) -> None:
    assert not stays_in_region(model, HERE)
    assert regions_by_name(BEDROCK, model) == (HERE, "global")


@given(st.from_regex(r"[a-z-]{1,8}\.[a-z]{1,8}\.[a-z0-9-]{1,8}", fullmatch=True))
def test_an_unknown_beginning_never_stays(model: str) -> None:
    assert stays_in_region(model, HERE) == (model.partition(".")[0] in VENDORS)


def test_what_other_providers_call_a_model_says_nothing() -> None:
    openai = BEDROCK._replace(provider="openai", base_url="https://api.openai.com/v1")
    assert regions_by_name(openai, "global.anthropic.claude-x") == (HERE,)


@pytest.mark.parametrize(
    "url",
    [
        "https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1",
        "https://Bedrock-Mantle.EU-Central-1.api.aws/v1",
        "https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com:443",
    ],
)
def test_at_bedrock_s_openai_api_ids_say_what_they_say_elsewhere_there(url: str) -> None:
    openai = BEDROCK._replace(provider="openai", base_url=url)
    assert regions_by_name(openai, "global.openai.gpt-x") == (HERE, "global")
    assert regions_by_name(openai, "openai.gpt-x") == (HERE,)


def test_a_global_profile_is_known_in_an_arn_too() -> None:
    assert is_global("global.anthropic.claude-x")
    assert is_global(f"arn:aws:bedrock:{HERE}:123456789012:inference-profile/global.anthropic.claude-x")
    assert not is_global("eu.anthropic.global.x")
