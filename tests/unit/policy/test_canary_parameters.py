"""The canary of stack parameters: for everyone, to another upstream or model, and never where nobody knows it goes."""

from sallyport.policy.canary_parameters import parameter_canary, with_canary
from sallyport.policy.canary_rules import CanaryMatch, CanaryStep, GuardRules
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_parameters import CanarySettings
from sallyport.policy.upstream_rules import Target, UpstreamRules

OPENAI = UpstreamRules("default", "openai", "https://api.openai.com/v1", "us-east-1", "gate/openai")
BEDROCK_URL = "https://bedrock-runtime.eu-west-1.amazonaws.com"
BEDROCK = UpstreamRules("default", "bedrock", BEDROCK_URL, "eu-west-1", is_proved=True)
OTHER = UpstreamRules("canary", "openai", "https://eu.api.openai.com/v1", "eu-west-1", "gate/other")
PARAMETERS = RouterRules(0, (), {}, None, {"default": OPENAI})


def target(settings: CanarySettings, upstream: UpstreamRules = OPENAI) -> Target | None:
    [canary] = parameter_canary(settings, upstream)
    return canary.target


def test_another_model_at_the_stacks_own_upstream() -> None:
    [canary] = parameter_canary(CanarySettings(525, "tenant", "gpt-next"), OPENAI)
    assert (canary.name, canary.routes) == ("parameters", ("chat_completions", "responses", "messages"))
    assert (canary.models, canary.apps, canary.parameters) == ((), (), {})
    assert canary.target == Target("default", "gpt-next", ("us-east-1",))
    assert (canary.steps, canary.sticky_by, canary.starts) == ((CanaryStep(525),), "tenant", True)
    assert (canary.match, canary.guard) == (CanaryMatch(), GuardRules())


def test_another_upstream_for_whatever_model_the_client_asks_for() -> None:
    assert target(CanarySettings(100, upstream=OTHER)) == Target("canary", "", ("eu-west-1",))
    assert target(CanarySettings(100, "key", "gpt-next", OTHER)) == Target("canary", "gpt-next", ("eu-west-1",))


def test_at_bedrock_the_model_tells_where_it_processes() -> None:
    assert target(CanarySettings(1, model="amazon.nova-pro-v1:0"), BEDROCK) == Target(
        "default", "amazon.nova-pro-v1:0", ("eu-west-1",)
    )
    for model in ("", "eu.amazon.nova-pro-v1:0"):
        settings = CanarySettings(1, model=model, upstream=BEDROCK._replace(name="canary"))
        assert target(settings) == Target("canary", model, ("eu-west-1", "global"))


def test_a_weight_of_0_is_no_canary() -> None:
    assert parameter_canary(CanarySettings(), OPENAI) == ()
    assert with_canary(PARAMETERS, CanarySettings(0, upstream=OTHER), OPENAI) == PARAMETERS


def test_its_upstream_stands_beside_the_stacks_own() -> None:
    rules = with_canary(PARAMETERS, CanarySettings(100, upstream=OTHER), OPENAI)
    assert rules.upstreams == {"default": OPENAI, "canary": OTHER}
    assert [canary.name for canary in rules.canaries] == ["parameters"]
    assert with_canary(PARAMETERS, CanarySettings(100, model="m"), OPENAI).upstreams == {"default": OPENAI}
