"""Whatever targets `validate` takes, the routers read, and none with fewer regions than its model id may reach."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.policy.bedrock_ids import stays_in_region
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.upstream_rules import GLOBAL
from sallyport_cli.policy.compiling import compile_policy
from sallyport_cli.policy.documents import Document, PolicyFileError, read_document

REGIONS = st.sampled_from(["eu-central-1", "eu-west-1", "us-east-1", "us-west-2"])
PLACES = st.lists(st.one_of(REGIONS, st.just(GLOBAL)), min_size=1, max_size=4, unique=True)
PREFIXES = st.sampled_from(["", "eu.", "us.", "global.", "xx.", "arn:aws:bedrock:eu-west-1::foundation-model/"])
MODELS = st.builds("".join, st.tuples(PREFIXES, st.sampled_from(["amazon.nova", "anthropic.claude-x-v1:0", "gpt-4o"])))
PROVIDERS = st.sampled_from(["bedrock", "anthropic"])
TARGETS = st.fixed_dictionaries({"upstream": st.sampled_from("ab"), "model": MODELS}, optional={"regions": PLACES})


def taken(values: dict[str, Any], found: list[str] | None) -> Document | None:
    """Give the document, None where its targets are refused. `found` is what AWS tells of every profile."""
    resolve = None if found is None else lambda _region, _model_id: found
    try:
        return read_document(json.dumps(values), "policy.json", local=False, resolve=resolve)
    except PolicyFileError as error:
        places = [problem.field for problem in error.problems]
    assert all(place.startswith("models.m.targets[") for place in places)
    return None


@settings(max_examples=400, deadline=None)
@given(
    st.fixed_dictionaries({name: st.fixed_dictionaries({"provider": PROVIDERS, "region": REGIONS}) for name in "ab"}),
    st.lists(TARGETS, min_size=1, max_size=3),
    st.none() | PLACES,
)
def test_a_target_that_is_taken_has_all_of_its_regions(
    upstreams: dict[str, Any], targets: list[dict[str, Any]], found: list[str] | None
) -> None:
    values = {"version": 1, "upstreams": upstreams, "models": {"m": {"targets": targets}}}
    document = taken(values, found)
    if document is None:
        return
    merged = merge_router(RouterRules(0, (), {}, None), json.loads(compile_policy(document)), 1)
    for target, said in zip((merged.models or {})["m"].targets, targets, strict=True):
        upstream = merged.upstreams[target.upstream]
        assert (target.upstream, target.model) == (said["upstream"], said["model"])
        assert target.regions[0] == upstream.region
        assert set(said.get("regions", ())) <= set(target.regions)
        assert upstream.provider != "bedrock" or is_placed(target.model, target.regions, found)


def is_placed(model: str, regions: tuple[str, ...], found: list[str] | None) -> bool:
    """Say whether a Bedrock target has at least the regions that its id, or AWS, tells."""
    if model.startswith("global."):
        return GLOBAL in regions
    return stays_in_region(model, regions[0]) or (len(regions) > 1 if found is None else set(found) <= set(regions))
