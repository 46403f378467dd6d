"""Canaries, as the routers read them: the document's replace the parameters', and a broken one is never guessed at."""

import json
from typing import Any

import pytest

from sallyport.policy.canary_parameters import with_canary
from sallyport.policy.canary_rules import CanaryMatch, CanaryRules, CanaryStep, GuardRules
from sallyport.policy.compiled_canaries import MAX_PARAMETERS_BYTES
from sallyport.policy.effective import CANARY_FORMAT, SOVEREIGNTY_FORMAT, VERIFICATION_FORMAT, CompiledPolicyError
from sallyport.policy.limit_rules import Price, RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.upstream_parameters import CanarySettings
from sallyport.policy.upstream_rules import Target, UpstreamRules

STACK = UpstreamRules("default", "openai", "https://api.openai.com/v1", "us-east-1", "gate/openai")
BEDROCK = STACK._replace(provider="bedrock", base_url="https://bedrock-runtime.us-east-1.amazonaws.com", is_proved=True)
PARAMETERS = with_canary(RouterRules(0, (), {}, None, {"default": STACK}), CanarySettings(100, model="new"), STACK)
UP: dict[str, Any] = {
    "provider": "openai", "base_url": "https://eu.api.openai.com/v1", "region": "eu-west-1", "secret": "openai-eu",
    "credential_header": "", "store": False, "hosted_tools": [], "is_proved": False,
}  # fmt: skip
UPSTREAMS = {"up": UP, "mine": {**UP, "provider": "app"}}
PRICE = {"input": 1, "output": 2, "cached_input": 1}
TARGET: dict[str, Any] = {"upstream": "up", "model": "next", "regions": ["eu-west-1"], "price": PRICE}
APP_TARGET = {"upstream": "mine", "model": "", "regions": ["eu-west-1"], "price": None}
MATCH: dict[str, Any] = {"tenants": [], "regions": [], "countries": [], "claims": [], "headers": []}
GUARD = GuardRules()._asdict()
CANARY: dict[str, Any] = {
    "name": "next", "models": ["m"], "routes": [], "apps": [], "target": TARGET, "parameters": {},
    "steps": [{"weight": 100, "hold_s": 600}, {"weight": 10_000, "hold_s": 0}], "sticky_by": "subject",
    "match": MATCH, "starts": True, "guard": GUARD,
}  # fmt: skip


def document(*canaries: Any, **sections: Any) -> dict[str, Any]:
    """Give a document as it comes from the store."""
    loaded = json.loads(
        json.dumps({"format": 4, "ip": {}, "upstreams": UPSTREAMS, **sections, "canaries": list(canaries)})
    )
    assert isinstance(loaded, dict)
    return loaded


def read(*canaries: Any) -> tuple[CanaryRules, ...]:
    return merge_router(PARAMETERS, document(*canaries), 1).canaries


def test_a_document_s_canaries_replace_that_of_the_parameters() -> None:
    [canary] = read(CANARY)
    steps = (CanaryStep(100, 600), CanaryStep(10_000))
    target = Target("up", "next", ("eu-west-1",), Price(1, 2, 1))
    assert canary == CanaryRules("next", ("m",), (), (), target, {}, steps)
    assert read() == ()


def test_without_canaries_or_upstreams_of_its_own_a_document_leaves_that_of_the_parameters() -> None:
    assert merge_router(PARAMETERS, {"format": 1, "ip": {}}, 1).canaries == PARAMETERS.canaries != ()
    assert merge_router(PARAMETERS, {"format": 3, "ip": {}, "upstreams": UPSTREAMS}, 1).canaries == ()


def test_every_field_is_read() -> None:
    match = {
        "tenants": ["acme"], "regions": ["eu-west-1"], "countries": ["DE"], "claims": [["plan", "beta"]],
        "headers": [["x-beta", "1"]],
    }  # fmt: skip
    guard = {**GUARD, "alpha": 0.05, "slow_ms": 8000, "max_slow_increase": 0}
    changes = {"parameters": {"top_p": 0.5}, "sticky_by": "cookie:session", "starts": False, "match": match}
    [canary] = read({**CANARY, **changes, "guard": guard})
    assert canary.match == CanaryMatch(("acme",), ("eu-west-1",), ("DE",), (("plan", "beta"),), (("x-beta", "1"),))
    assert (canary.parameters, canary.sticky_by, canary.starts) == ({"top_p": 0.5}, "cookie:session", False)
    assert canary.guard == GuardRules(0.05, slow_ms=8000, max_slow_increase=0)
    assert read({**CANARY, "guard": None})[0].guard is None


def test_an_app_s_canary_is_another_app_s_upstream() -> None:
    [canary] = read({**CANARY, "models": [], "apps": ["a"], "target": APP_TARGET})
    assert canary.target == Target("mine", "", ("eu-west-1",))


@pytest.mark.parametrize(
    ("stack", "model", "regions"),
    [
        (STACK, "next", ("us-east-1",)),
        (BEDROCK, "amazon.nova-pro-v1:0", ("us-east-1",)),
        (BEDROCK, "us.amazon.nova-pro-v1:0", ("us-east-1", "global")),
        (BEDROCK, "", ("us-east-1", "global")),
    ],
)
def test_at_the_stacks_own_upstream_the_regions_are_its(
    stack: UpstreamRules, model: str, regions: tuple[str, ...]
) -> None:
    target = {"upstream": "default", "model": model, "regions": None, "price": None}
    loaded = document({**CANARY, "target": target})
    del loaded["upstreams"]
    [canary] = merge_router(PARAMETERS._replace(upstreams={"default": stack}), loaded, 1).canaries
    assert canary.target == Target("default", model, regions)


def test_who_knows_no_upstream_gives_targets_nowhere() -> None:
    loaded = document({**CANARY, "target": {**TARGET, "upstream": "default", "regions": None}})
    del loaded["upstreams"]
    [canary] = merge_router(PARAMETERS._replace(upstreams={}), loaded, 1).canaries
    assert canary.target == Target("default", "next", ())


STEP = {"weight": 100, "hold_s": 0}
BROKEN: list[dict[str, Any]] = [
    {"name": ""},
    {"name": "Next"},
    {"name": "parameters"},
    {"name": 5},
    {"models": "m"},
    {"models": []},
    {"models": [""]},
    {"models": [], "apps": [""], "target": APP_TARGET},
    {"models": [], "apps": ["a"], "target": {**APP_TARGET, "regions": ["us-east-1"]}},
    {"models": [], "apps": ["a"], "target": {**APP_TARGET, "price": PRICE}},
    {"models": [], "apps": ["a"], "target": TARGET},
    {"routes": ["messages"]},
    {"models": [], "routes": ["apps"]},
    {"models": [], "apps": ["a"]},
    {"models": [], "apps": ["a"], "target": None, "parameters": {"top_p": 1}},
    {"models": [], "apps": ["a"], "target": APP_TARGET, "parameters": {"top_p": 1}},
    {"models": [], "apps": ["a"], "target": {**APP_TARGET, "model": "m"}},
    {"target": None},
    {"target": APP_TARGET},
    {"target": {**TARGET, "upstream": "other"}},
    {"target": {**TARGET, "upstream": "default"}},
    {"target": {**TARGET, "regions": None}},
    {"target": {**TARGET, "regions": ["us-east-1"]}},
    {"parameters": []},
    {"parameters": {"model": "other"}},
    {"parameters": {"store": True}},
    {"parameters": {"Store": True}},
    {"parameters": {"\u017ftore": True}},
    {"parameters": {"top_p": float("nan")}},
    {"parameters": {"stop": "a" * 4096}},
    {"steps": []},
    {"steps": [STEP] * 2},
    {"steps": [STEP, {"weight": 200, "hold_s": 0}]},
    {"steps": [{"weight": 200, "hold_s": 60}, STEP]},
    {"steps": [{"weight": 10_001, "hold_s": 0}]},
    {"steps": [{"weight": 1.5, "hold_s": 0}]},
    {"steps": [{"weight": True, "hold_s": 0}]},
    {"steps": [{"weight": -1, "hold_s": 0}]},
    {"steps": [{"weight": 1, "hold_s": 59}]},
    {"steps": [{"weight": 1, "hold_s": 30 * 86_400 + 1}]},
    {"steps": [{"weight": 1, "hold_s": 0, "more": 1}]},
    {"steps": [{"weight": 1}]},
    {"steps": [{"hold_s": 0}]},
    {"steps": [{"weight": 0, "hold_s": 60}, STEP]},
    {"steps": {"weight": 1, "hold_s": 0}},
    {"steps": [{"weight": number, "hold_s": 60} for number in range(1, 22)]},
    {"sticky_by": "ip"},
    {"sticky_by": "header:"},
    {"sticky_by": "header:X-A"},
    {"sticky_by": None},
    {"match": {}},
    {"match": {**MATCH, "tenants": "acme"}},
    {"match": {**MATCH, "claims": [["plan", 5]]}},
    {"match": {**MATCH, "headers": [["x-a", "1", "2"]]}},
    {"match": {**MATCH, "people": []}},
    {"match": {name: value for name, value in MATCH.items() if name != "countries"}},
    {"match": {**MATCH, "claims": ["ab"]}},
    {"match": {**MATCH, "claims": {"ab": 1}}},
    {"match": {**MATCH, "claims": [["plan", "a"], ["plan", "b"]]}},
    {"match": {**MATCH, "regions": [None]}},
    {"starts": 1},
    {"starts": "yes"},
    {"guard": {}},
    {"guard": {name: value for name, value in GUARD.items() if name != "min_subjects"}},
    {"guard": {**GUARD, "max_error_increase": float("nan")}},
    {"guard": {**GUARD, "alpha": 0.5}},
    {"guard": {**GUARD, "alpha": True}},
    {"guard": {**GUARD, "max_error_increase": -0.1}},
    {"guard": {**GUARD, "max_slow_increase": "0.1"}},
    {"guard": {**GUARD, "min_requests": 0}},
    {"guard": {**GUARD, "min_subjects": 1.5}},
    {"guard": {**GUARD, "slow_ms": 0}},
    {"guard": {**GUARD, "more": 1}},
    {"guard": False},
    {"more": 1},
]


@pytest.mark.parametrize("changes", BROKEN, ids=map(str, range(len(BROKEN))))
def test_a_broken_canary_is_refused_with_its_document(changes: dict[str, Any]) -> None:
    with pytest.raises(CompiledPolicyError):
        read({**CANARY, **changes})


@pytest.mark.parametrize("field", CANARY)
def test_a_field_that_is_missing_is_never_guessed(field: str) -> None:
    with pytest.raises(CompiledPolicyError):
        read({name: value for name, value in CANARY.items() if name != field})


def test_canaries_are_few_and_each_has_a_name_of_its_own() -> None:
    assert len(read(*({**CANARY, "name": f"c{number}"} for number in range(20)))) == 20
    for canaries in ([CANARY, CANARY], [{**CANARY, "name": f"c{number}"} for number in range(21)], [None], ["next"]):
        with pytest.raises(CompiledPolicyError):
            read(*canaries)
    with pytest.raises(CompiledPolicyError):
        merge_router(PARAMETERS, {**document(), "canaries": {"next": CANARY}}, 1)


def test_a_document_with_canaries_is_refused_whole_by_functions_that_know_none() -> None:
    assert VERIFICATION_FORMAT > CANARY_FORMAT > SOVEREIGNTY_FORMAT
    with pytest.raises(CompiledPolicyError):
        merge_router(PARAMETERS, {**document(CANARY), "format": VERIFICATION_FORMAT + 1}, 1)


def test_a_weight_of_nothing_may_stand_alone() -> None:
    assert read({**CANARY, "steps": [{"weight": 0, "hold_s": 0}]})[0].steps == (CanaryStep(0),)


def test_parameters_may_be_as_long_as_they_are_taken() -> None:
    parameters = {"stop": "a" * (MAX_PARAMETERS_BYTES - len('{"stop": ""}'))}
    assert read({**CANARY, "parameters": parameters})[0].parameters == parameters
