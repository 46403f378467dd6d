"""Whatever canaries `validate` takes, the routers and the authorizer read, and read what the document says."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sallyport.policy.canary_rules import STICKY_BY, CanaryRules, CanaryStep, GuardRules
from sallyport.policy.compiled_canaries import CANARY_ROUTES
from sallyport.policy.effective import CANARY_FORMAT, CompiledPolicyError, merge
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.rules import AccessRules, DoorRules
from sallyport_cli.policy.compiling import compile_policy
from sallyport_cli.policy.differences import policy_differences
from sallyport_cli.policy.documents import Document, PolicyFileError, read_document
from sallyport_cli.policy.loading import check_loadable
from sallyport_cli.policy.schema import policy_schema

UP = {"provider": "openai", "base_url": "https://api.openai.com/v1", "region": "us-east-1", "secret": "up"}
APP = {"provider": "app", "base_url": "https://app.internal/x", "region": "eu-west-1", "secret": "mine"}
AROUND = {
    "version": 1,
    "upstreams": {"up": UP, "fra": {"provider": "bedrock", "region": "eu-central-1"}, "mine": APP, "yours": APP},
    "models": {"m": {"targets": [{"upstream": "up"}]}, "amazon.n": {"targets": [{"upstream": "fra"}]}},
    "apps": {"a": {"upstream": "mine"}},
    "tenants": {"acme": {}, "globex": {}},
}
SCHEMA = Draft202012Validator(policy_schema())

NAMES = st.text("ab-9", min_size=1, max_size=3)
PLAIN = st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    PLAIN | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("xyz"), below, max_size=3),
    max_leaves=5,
)
PARAMETERS = st.dictionaries(st.sampled_from(["temperature", "stop", "x_1"]), JSON, min_size=1)
WEIGHTS = st.integers(0, 10_000).map(lambda hundredths: Decimal(hundredths) / 100)
HOLDS = st.sampled_from(["1m", "60s", "90s", "1h", "12h", "30d", "720h", "43200m", "59s"])
MODEL_TARGETS = st.fixed_dictionaries(
    {"upstream": st.sampled_from(["up", "fra"]), "model": st.sampled_from(["amazon.x", "amazon.y"])},
    optional={"price": st.just({"input": 1, "output": 0.5})},
)
ARMS = st.one_of(
    st.fixed_dictionaries({"target": MODEL_TARGETS}),
    st.fixed_dictionaries({"parameters": PARAMETERS}),
    st.fixed_dictionaries({"target": MODEL_TARGETS, "parameters": PARAMETERS}),
    st.fixed_dictionaries({"target": st.fixed_dictionaries({"upstream": st.sampled_from(["up", "fra"])})}),
)
KINDS = st.one_of(
    st.fixed_dictionaries({"model": st.sampled_from(["m", "amazon.n"])}),
    st.just({"models": ["m", "amazon.n"]}),
    st.fixed_dictionaries({"route": st.sampled_from(CANARY_ROUTES)}),
    st.just({"routes": list(CANARY_ROUTES)}),
)
OF_APPS: dict[str, Any] = {"app": "a", "target": {"upstream": "yours"}}
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "tenants": st.sampled_from(["acme", ["acme", "globex"]]),
        "regions": st.just(["eu-west-1"]),
        "countries": st.sampled_from(["NO", ["DE", "NO"]]),
        "claims": st.dictionaries(st.sampled_from(["plan", "/a/b", "é"]), st.sampled_from(["beta", 5, True, "ö"])),
        "headers": st.dictionaries(st.sampled_from(["x-beta", "user-agent"]), st.sampled_from(["1", "a b"])),
    },
)
SHARES = st.floats(0, 1) | st.integers(0, 1)
GUARDS = st.sampled_from(["off", False]) | st.fixed_dictionaries(
    {},
    optional={
        "false_alarm": st.floats(0.0001, 0.2),
        "max_error_increase": SHARES,
        "min_requests": st.integers(1, 10**7),
        "min_subjects": st.integers(1, 500),
        "slow_ms": st.integers(1, 900_000),
        "slow_first_token_ms": st.integers(1, 900_000),
        "max_slow_increase": SHARES,
    },
)
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "sticky_by": st.sampled_from([*STICKY_BY, "header:x-a", "cookie:A_b"]),
    "match": MATCHES,
    "start": st.sampled_from(["applied", "command"]),
    "guard": GUARDS,
}


@st.composite
def weights(draw: st.DrawFn) -> dict[str, Any]:
    """One weight, as a number or as text, or a ramp."""
    if draw(st.booleans()):
        return {"weight": draw(spelled(draw(WEIGHTS)))}
    ramp = sorted(draw(st.sets(WEIGHTS.filter(bool), min_size=1, max_size=4)))
    steps = [{"weight": draw(spelled(weight)), "hold": draw(HOLDS)} for weight in ramp]
    if draw(st.booleans()):
        del steps[-1]["hold"]
    return {"steps": steps}


def spelled(weight: Decimal) -> st.SearchStrategy[Any]:
    """The ways to write a weight."""
    return st.sampled_from([float(weight), str(weight), *([int(weight)] if weight == int(weight) else [])])


@st.composite
def canaries(draw: st.DrawFn) -> dict[str, Any]:
    """A canary that is sound in most cases."""
    what = OF_APPS if draw(st.integers(0, 4)) == 0 else {**draw(KINDS), **draw(ARMS)}
    return {"name": draw(NAMES), **what, **draw(weights()), **draw(st.fixed_dictionaries({}, optional=OPTIONAL))}


def taken(values: dict[str, Any]) -> Document | None:
    """Give the document, None where its canaries are refused."""
    try:
        return read_document(json.dumps(values), "policy.json", local=False)
    except PolicyFileError as error:
        places = [problem.field for problem in error.problems]
    assert all(place.startswith("canaries[") for place in places), places
    return None


def meant_guard(said: Any) -> GuardRules | None:
    """Give the guard that a document says."""
    if said in ("off", False):
        return None
    fields = {**said, "alpha": said["false_alarm"]} if "false_alarm" in said else said
    return GuardRules(**{name: value for name, value in fields.items() if name != "false_alarm"})


def listed(said: Any) -> tuple[str, ...]:
    """Give one or several as several."""
    return (said,) if isinstance(said, str) else tuple(said)


def check_as_said(read: CanaryRules, said: dict[str, Any]) -> None:
    """Check what the routers read of one canary against what its document says."""
    assert read.name == said["name"]
    assert read.models == tuple(said.get("models", [said["model"]] if "model" in said else []))
    assert read.routes == tuple(said.get("routes", [said["route"]] if "route" in said else []))
    assert read.apps == ((said["app"],) if "app" in said else ())
    assert json.dumps(read.parameters, sort_keys=True) == json.dumps(said.get("parameters", {}), sort_keys=True)
    assert (read.target is None) == ("target" not in said)
    if read.target is not None:
        assert (read.target.upstream, read.target.model) == (
            said["target"]["upstream"],
            said["target"].get("model", ""),
        )
    steps = said.get("steps", [{"weight": said.get("weight")}])
    assert [step.weight for step in read.steps] == [int(Decimal(str(step["weight"])) * 100) for step in steps]
    assert all(type(step) is CanaryStep and type(step.weight) is int for step in read.steps)
    assert read.sticky_by == said.get("sticky_by", "subject")
    assert read.starts == (said.get("start", "applied") == "applied")
    assert read.guard == meant_guard(said.get("guard", {}))
    match = said.get("match", {})
    assert read.match[:3] == tuple(listed(match.get(name, ())) for name in ("tenants", "regions", "countries"))
    texts = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in match.get("claims", {}).items()
    }
    assert (dict(read.match.claims), dict(read.match.headers)) == (texts, match.get("headers", {}))


DOOR = DoorRules(0, True, (), (), AccessRules(), {}, (), {})


@settings(max_examples=300, deadline=None)
@given(st.lists(canaries(), max_size=3, unique_by=lambda canary: str(canary["name"])))
def test_what_is_taken_is_read_as_it_is_meant(said: list[dict[str, Any]]) -> None:
    values = {**AROUND, "canaries": said}
    document = taken(values)
    if document is None:
        return
    SCHEMA.validate(values)
    text = compile_policy(document)
    check_loadable(text)
    compiled = json.loads(text)
    assert compiled["format"] == CANARY_FORMAT
    merged = merge_router(RouterRules(0, (), {}, None), compiled, 1)
    assert len(merged.canaries) == len(said)
    for read, one in zip(merged.canaries, said, strict=True):
        check_as_said(read, one)
    claims = {name for one in said for name in one.get("match", {}).get("claims", {})}
    assert set(merge(DOOR, compiled, 1).claims_told) == claims
    assert policy_differences(document.policy, document.policy) == []


SOUND = {"name": "a", "model": "m", "target": {"upstream": "up", "model": "n"}, "steps": [{"weight": 1, "hold": "1h"}]}
MATCH = {"tenants": ["acme"], "claims": {"plan": "beta"}, "headers": {"x-a": "b"}}
WRONG = st.sampled_from([None, True, -1, 0.5, "ab", [], ["ab"], [["a"]], {}, {"a": 1}, float("nan"), [[["a", "b"]]]])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the path of everything in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, below in inner for found in places(below, (*path, key)))]


def stored() -> Any:
    """Give a compiled document with a canary that says everything."""
    guard = {"slow_ms": 5, "slow_first_token_ms": 5}
    canary = {**SOUND, "parameters": {"top_p": 0.5}, "match": MATCH, "guard": guard}
    return json.loads(compile_policy(read_document(json.dumps({**AROUND, "canaries": [canary]}), "p", local=False)))


STORED = stored()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(places(STORED["canaries"], ("canaries",))), WRONG)
def test_what_was_tampered_with_is_refused_or_read_strictly(path: tuple[Any, ...], wrong: Any) -> None:
    """Nothing but `CompiledPolicyError` is raised, and what is read has the types that everything else relies on."""
    compiled = json.loads(json.dumps(STORED))
    holder = compiled
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = wrong
    try:
        canaries_read = merge_router(RouterRules(0, (), {}, None), compiled, 1).canaries
        merge(DOOR, compiled, 1)
    except CompiledPolicyError:
        return
    for read in canaries_read:
        assert all(isinstance(text, str) for text in (*read.models, *read.match.tenants, read.sticky_by, read.name))
        assert all(isinstance(text, str) for pair in (*read.match.claims, *read.match.headers) for text in pair)
        assert all(type(number) is int for step in read.steps for number in step)
        assert isinstance(read.parameters, dict)
        assert json.dumps(read.parameters, allow_nan=False)
        assert type(read.starts) is bool
