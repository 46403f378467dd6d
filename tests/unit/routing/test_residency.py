"""Which targets a caller's data may go to, and what is said where it may go nowhere."""

from collections.abc import Mapping

import pytest

from sallyport.errors import (
    MisdirectedRegionError,
    ResidencyViolationError,
    ServiceUnavailableError,
    UnsupportedOperationError,
)
from sallyport.policy.limit_rules import ModelRules, RouterRules
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, GLOBAL, Target, UpstreamRules
from sallyport.routing.residency import (
    ELIGIBLE,
    GLOBAL_NOT_PERMITTED,
    OPERATION_UNSUPPORTED,
    OUTSIDE_ALLOWED_REGIONS,
    OUTSIDE_RESIDENCY,
    UNKNOWN_UPSTREAM,
    Caller,
    Considered,
    check_home,
    consider,
    eligible,
    targets_of,
)

FRA, IRL, USA = "eu-central-1", "eu-west-1", "us-east-1"
EU = Caller("acme", (FRA, IRL))
IN_FRA, IN_USA = Target("fra", "m", (FRA,)), Target("usa", "m", (USA,))


def upstream(name: str, region: str, provider: str = "openai") -> UpstreamRules:
    return UpstreamRules(name, provider, f"https://{name}.example.com/v1", region)


UPSTREAMS = {each.name: each for each in (upstream("fra", FRA), upstream("irl", IRL), upstream("usa", USA))}


def rules(
    *,
    models: Mapping[str, ModelRules] | None = None,
    upstreams: Mapping[str, UpstreamRules] = UPSTREAMS,
    allowed: frozenset[str] = frozenset({FRA, IRL, USA}),
    global_tenants: frozenset[str] = frozenset(),
) -> RouterRules:
    return RouterRules(1, (), {}, models, upstreams=upstreams, allowed_regions=allowed, global_tenants=global_tenants)


def verdict(target: Target, in_force: RouterRules | None = None, caller: Caller = EU) -> str:
    (found,) = consider([target], in_force or rules(), caller, lambda _: True)
    assert found.target == target
    return found.verdict


def test_a_target_inside_the_residency_is_eligible() -> None:
    assert verdict(IN_FRA) == ELIGIBLE
    assert verdict(Target("fra", "eu.m", (IRL, FRA))) == ELIGIBLE


@pytest.mark.parametrize(
    "target",
    [
        IN_USA,
        Target("fra", "m", (FRA, USA)),
        Target("fra", "m", ()),
        Target("fra", "m", (IRL,)),  # not its upstream's own region
        Target("fra", "m", ("",)),
        Target("fra", "m", (FRA, "")),
        Target("fra", "m", (GLOBAL,)),
    ],
)
def test_a_target_with_any_region_outside_or_missing_is_not(target: Target) -> None:
    assert verdict(target, rules(global_tenants=frozenset({"acme"}))) == OUTSIDE_RESIDENCY


def test_a_target_of_an_upstream_that_is_not_in_the_policy_is_not() -> None:
    assert verdict(Target("elsewhere", "m", (FRA,))) == UNKNOWN_UPSTREAM


@pytest.mark.parametrize("residency", [(), ("",), (GLOBAL,), (USA,), ("eu",), ("EU-CENTRAL-1",), ("eu-central",)])
def test_a_residency_that_does_not_name_the_region_permits_nothing(residency: tuple[str, ...]) -> None:
    assert verdict(IN_FRA, caller=Caller("acme", residency)) == OUTSIDE_RESIDENCY


@pytest.mark.parametrize("region", ["", GLOBAL])
def test_an_upstream_without_a_region_is_inside_no_residency(region: str) -> None:
    in_force = rules(
        upstreams={"x": upstream("x", region)},
        allowed=frozenset({region, FRA}),
        global_tenants=frozenset({"acme"}),
    )
    for regions in ((region,), (region, FRA), (FRA,), ()):
        assert verdict(Target("x", "m", regions), in_force, Caller("acme", (region, FRA))) == OUTSIDE_RESIDENCY


def test_the_stack_s_allowed_regions_hold_whatever_a_residency_says() -> None:
    assert verdict(IN_FRA, rules(allowed=frozenset({IRL}))) == OUTSIDE_ALLOWED_REGIONS
    assert verdict(IN_FRA, rules(allowed=frozenset())) == OUTSIDE_ALLOWED_REGIONS
    assert verdict(Target("fra", "m", (FRA, IRL)), rules(allowed=frozenset({FRA}))) == OUTSIDE_ALLOWED_REGIONS


def test_what_may_process_anywhere_takes_a_permission_and_the_upstream_s_own_region() -> None:
    anywhere = Target("fra", "global.m", (FRA, GLOBAL))
    permitted = rules(global_tenants=frozenset({"acme"}))
    assert verdict(anywhere) == GLOBAL_NOT_PERMITTED
    assert verdict(anywhere, caller=Caller("acme", (FRA, GLOBAL))) == GLOBAL_NOT_PERMITTED
    assert verdict(anywhere, rules(global_tenants=frozenset({"other"}))) == GLOBAL_NOT_PERMITTED
    assert verdict(anywhere, permitted) == ELIGIBLE
    assert verdict(anywhere, permitted, Caller("acme", (USA,))) == OUTSIDE_RESIDENCY
    assert verdict(anywhere, permitted._replace(allowed_regions=frozenset({IRL}))) == OUTSIDE_ALLOWED_REGIONS
    assert verdict(Target("fra", "global.m", (FRA, USA, GLOBAL)), permitted) == OUTSIDE_RESIDENCY


def test_an_upstream_outside_is_not_asked_what_it_serves() -> None:
    asked: list[str] = []

    def serves(each: UpstreamRules) -> bool:
        asked.append(each.name)
        return False

    found = consider([IN_USA, IN_FRA], rules(), EU, serves)
    assert [one.verdict for one in found] == [OUTSIDE_RESIDENCY, OPERATION_UNSUPPORTED]
    assert asked == ["fra"]


def test_eligible_targets_keep_their_order() -> None:
    second = Target("irl", "m", (IRL,))
    assert eligible(consider([IN_FRA, IN_USA, second], rules(), EU, lambda _: True)) == (IN_FRA, second)


def test_none_inside_is_a_violation() -> None:
    for considered in ((), (Considered(IN_USA, OUTSIDE_RESIDENCY), Considered(IN_FRA, GLOBAL_NOT_PERMITTED))):
        with pytest.raises(ResidencyViolationError):
            eligible(considered)


def test_what_is_inside_and_does_not_serve_the_route_is_told_of_as_such() -> None:
    with pytest.raises(UnsupportedOperationError):
        eligible([Considered(IN_USA, OUTSIDE_RESIDENCY), Considered(IN_FRA, OPERATION_UNSUPPORTED)])


def test_a_model_is_where_its_targets_are() -> None:
    models = {"m": ModelRules(targets=(IN_FRA, IN_USA)), "n": ModelRules()}
    in_force = rules(models=models)
    assert targets_of("m", in_force) == (IN_FRA, IN_USA)
    assert targets_of("n", in_force) == ()
    assert targets_of("unknown", in_force) == ()


def test_a_model_without_targets_is_at_the_stack_s_upstream() -> None:
    with_default = {**UPSTREAMS, DEFAULT_UPSTREAM: upstream(DEFAULT_UPSTREAM, IRL)}
    expected = (Target(DEFAULT_UPSTREAM, "", (IRL,)),)
    assert targets_of("anything", rules(upstreams=with_default)) == expected
    assert targets_of("n", rules(models={"n": ModelRules()}, upstreams=with_default)) == expected
    assert targets_of("unknown", rules(models={"n": ModelRules()}, upstreams=with_default)) == ()
    assert targets_of("anything", rules()) == ()


@pytest.mark.parametrize(
    ("model", "regions"),
    [
        ("anthropic.claude-sonnet-4-20250514-v1:0", (FRA,)),
        ("global.anthropic.claude-sonnet-4-20250514-v1:0", (FRA, GLOBAL)),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", (FRA, GLOBAL)),
        ("eu.anthropic.claude-sonnet-4-20250514-v1:0", (FRA, GLOBAL)),
        ("xx.anthropic.claude-sonnet-4-20250514-v1:0", (FRA, GLOBAL)),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2", (FRA, GLOBAL)),
        ("anthropic.claude-v2/../us.anthropic.claude-v2", (FRA, GLOBAL)),
        ("anthropic.claude-v2\n", (FRA, GLOBAL)),
        ("", (FRA, GLOBAL)),
    ],
)
def test_a_bedrock_model_s_name_decides_where_it_goes(model: str, regions: tuple[str, ...]) -> None:
    """The client may choose the name where the stack's parameters alone are in force."""
    bedrock = upstream(DEFAULT_UPSTREAM, FRA, "bedrock")
    in_force = rules(upstreams={DEFAULT_UPSTREAM: bedrock})
    (target,) = targets_of(model, in_force)
    assert verdict(target, in_force) == (ELIGIBLE if regions == (FRA,) else GLOBAL_NOT_PERMITTED)
    assert targets_of(model, in_force) == (Target(DEFAULT_UPSTREAM, "", regions),)


def test_a_policy_s_model_at_the_stack_s_bedrock_is_judged_by_its_name_unless_regions_are_declared() -> None:
    own, declared = Target(DEFAULT_UPSTREAM, "us.meta.m", (FRA,)), Target(DEFAULT_UPSTREAM, "eu.meta.m", (FRA, IRL))
    named_alike = Target(DEFAULT_UPSTREAM, "", (FRA,))
    models = {"us.meta.m": ModelRules(targets=(own, declared, named_alike))}
    in_force = rules(models=models, upstreams={DEFAULT_UPSTREAM: upstream(DEFAULT_UPSTREAM, FRA, "bedrock")})
    found = targets_of("us.meta.m", in_force)
    assert [target.regions for target in found] == [(FRA, GLOBAL), (FRA, IRL), (FRA, GLOBAL)]
    other = rules(models=models, upstreams={DEFAULT_UPSTREAM: upstream(DEFAULT_UPSTREAM, FRA)})
    assert targets_of("us.meta.m", other) == models["us.meta.m"].targets


def test_home_is_where_the_caller_s_data_may_be_handled() -> None:
    check_home(EU, FRA, {})
    check_home(EU, IRL, {IRL: "https://eu.example.com"})


def test_a_caller_from_elsewhere_is_told_where_to_go() -> None:
    with pytest.raises(MisdirectedRegionError) as caught:
        check_home(EU, USA, {FRA: "https://fra.example.com/prod", USA: "https://usa.example.com/prod"})
    assert caught.value.status == 421
    assert caught.value.message.endswith("Call the one in eu-central-1 at https://fra.example.com/prod or eu-west-1.")
    assert "usa.example.com" not in caught.value.message
    assert caught.value.headers == {"x-should-retry": "false"}


@pytest.mark.parametrize("residency", [(), ("",), (GLOBAL,)])
def test_a_caller_without_a_residency_has_no_home(residency: tuple[str, ...]) -> None:
    with pytest.raises(ResidencyViolationError):
        check_home(Caller("acme", residency), FRA, {})


def test_a_gateway_that_does_not_know_its_region_handles_nothing() -> None:
    with pytest.raises(ServiceUnavailableError):
        check_home(Caller("acme", ("",)), "", {})
    with pytest.raises(MisdirectedRegionError):
        check_home(Caller("acme", (FRA, GLOBAL)), GLOBAL, {})
