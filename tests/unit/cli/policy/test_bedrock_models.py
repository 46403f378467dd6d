"""Where a Bedrock model may process: by its id, what is declared and what AWS tells; nothing is guessed."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.policy.bedrock_ids import stays_in_region
from sallyport_cli.policy.bedrock_models import bedrock_regions

HERE = "eu-central-1"
ARN = f"arn:aws:bedrock:{HERE}:123456789012:"
EU = "eu.anthropic.claude-x-v1:0"
DECLARED = ("eu-west-3", HERE, "eu-west-1")


def told(*regions: str) -> Callable[[str, str], Sequence[str]]:
    """Give a resolver that knows one profile."""
    return lambda _region, _model_id: regions


def never(_region: str, _model_id: str) -> Sequence[str]:
    raise AssertionError("nobody needs to be asked")


@pytest.mark.parametrize(
    ("model", "declared", "regions"),
    [
        ("amazon.nova-pro-v1:0", None, (HERE,)),
        ("amazon.nova-pro-v1:0", (HERE, "eu-west-1"), (HERE, "eu-west-1")),
        (f"arn:aws:bedrock:{HERE}::foundation-model/newvendor.model-v1:0", None, (HERE,)),
        ("global.anthropic.claude-x", None, (HERE, "global")),
        ("global.anthropic.claude-x", ("global", "eu-west-1", HERE), (HERE, "eu-west-1", "global")),
        (f"{ARN}inference-profile/global.anthropic.claude-x", None, (HERE, "global")),
    ],
)
def test_an_id_that_tells_it_all_needs_nobody(model: str, declared: tuple[str, ...] | None, regions: object) -> None:
    assert bedrock_regions(HERE, model, declared, never) == regions
    assert bedrock_regions(HERE, model, declared, None) == regions


@pytest.mark.parametrize("model", [EU, f"{ARN}inference-profile/{EU}", f"{ARN}application-inference-profile/a1b2"])
def test_a_profile_is_declared_or_looked_up(model: str) -> None:
    regions = (HERE, "eu-west-1", "eu-west-3")
    assert bedrock_regions(HERE, model, DECLARED, None) == regions
    assert bedrock_regions(HERE, model, None, told("eu-west-1", "eu-west-3")) == regions
    assert bedrock_regions(HERE, model, DECLARED, told(*DECLARED)) == regions
    with pytest.raises(ValueError, match=r"declare them in regions, or apply with --stack"):
        bedrock_regions(HERE, model, None, None)


def test_what_is_declared_agrees_with_what_aws_tells() -> None:
    for found in ((HERE, "eu-west-1"), (*DECLARED, "eu-north-1"), ("global",)):
        with pytest.raises(ValueError, match="isn't what AWS tells"):
            bedrock_regions(HERE, EU, DECLARED, told(*found))
    assert bedrock_regions(HERE, EU, None, told("global")) == (HERE, "global")


def test_an_application_s_profile_may_have_one_region() -> None:
    assert bedrock_regions(HERE, f"{ARN}application-inference-profile/a1b2", (HERE,), None) == (HERE,)


@pytest.mark.parametrize(
    ("model", "declared", "reason"),
    [
        (EU, ("eu-west-1", "eu-west-3"), "must have the upstream's own region, eu-central-1"),
        ("amazon.nova-pro-v1:0", ("eu-west-1",), "must have the upstream's own region"),
        ("global.anthropic.claude-x", (HERE, "eu-west-1"), "may process anywhere"),
        (EU, (HERE,), "has one region alone"),
        ("us.anthropic.claude-x", (HERE, "eu-west-1"), "no region of the geography us"),
        ("jp.anthropic.claude-x", (HERE, "ap-southeast-2"), "no region of the geography jp"),
        ("xx.anthropic.claude-x", DECLARED, "neither a known vendor's id nor an inference profile"),
        ("newvendor.model-v1:0", DECLARED, "neither a known vendor's id"),
        ("eu.claude", DECLARED, "neither a known vendor's id"),
        ("gpt-4o", None, "neither a known vendor's id"),
        (f"{ARN}inference-profile/xx.anthropic.claude-x", DECLARED, "neither a known vendor's id"),
        (f"{ARN}inference-profile/amazon.nova-pro-v1:0", DECLARED, "neither a known vendor's id"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", None, "of another region"),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{EU}", DECLARED, "of another region"),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.{EU}", None, "of another region"),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.x.{EU}", None, "of another region"),
        (f"{ARN}provisioned-model/a1b2", DECLARED, "an ARN of the kind provisioned-model isn't taken"),
        (f"{ARN}foundation-model/global.x", None, "an ARN of the kind foundation-model isn't taken"),
        (f"arn:aws:sagemaker:{HERE}:123456789012:inference-profile/global.x", None, "is no ARN of Bedrock"),
        (f"arn:aws:sagemaker:{HERE}:123456789012:endpoint/x", DECLARED, "neither a known vendor's id"),
    ],
)
def test_what_can_t_be_told_is_refused(model: str, declared: tuple[str, ...] | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        bedrock_regions(HERE, model, declared, None)


@pytest.mark.parametrize("model", ["xx.anthropic.claude-x", "gpt-4o", f"{ARN}provisioned-model/a1b2"])
def test_nobody_is_asked_about_what_is_no_profile(model: str) -> None:
    with pytest.raises(ValueError, match="it can't be told where it processes"):
        bedrock_regions(HERE, model, None, never)


IDS = st.from_regex(r"([a-z-]{2,7}\.){0,2}(amazon|anthropic|x1)\.[a-z0-9:-]{1,9}", fullmatch=True)
PLACES = st.lists(st.sampled_from([HERE, "eu-west-1", "us-east-1", "global"]), min_size=1, unique=True).map(tuple)


@given(IDS, st.none() | PLACES, st.none() | PLACES)
def test_one_region_alone_is_only_what_is_sure_to_stay(
    model: str, declared: tuple[str, ...] | None, found: tuple[str, ...] | None
) -> None:
    try:
        regions = bedrock_regions(HERE, model, declared, None if found is None else told(*found))
    except ValueError:
        return
    assert regions[0] == HERE
    assert set(declared or ()) <= set(regions)
    assert len(regions) > 1 or stays_in_region(model, HERE) or found == (HERE,)
