"""The same property of the whole route: what its transports were asked to send, against the policy of that moment."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.errors import UpstreamNotConnectedError
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.guard_hooks import GuardHooks
from sallyport.gateway.metering import Metering
from sallyport.gateway.operations import CHAT_COMPLETIONS
from sallyport.gateway.provider_route import Pace, ProviderRoute, Rooms
from sallyport.gateway.upstreams import NoSecret, Upstream, Upstreams
from sallyport.gateway.verifying import CurrentChecks
from sallyport.identity.principal import Principal, to_context
from sallyport.limits.admission import Admission
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.sliding import SlidingLimiter
from sallyport.limits.totals import Total, UsageTotals
from sallyport.observability.log import Field, Logger
from sallyport.policy.canary_rules import CANARY, FULL_WEIGHT, STABLE, CanaryRules, CanaryStep
from sallyport.policy.limit_rules import ModelRules, RouterRules
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, Target, UpstreamRules
from sallyport.providers.openai import OpenAiProvider
from sallyport.providers.transport import UpstreamRequest
from sallyport.routing.attempts import NOT_CONNECTED, RATE_LIMITED, SERVER_ERROR, UNFIT, Failure
from sallyport.routing.breaker import Breakers
from sallyport.routing.residency import Caller
from sallyport.verification.schema import RequestSchema
from tests.support.canaries import Counted, HeldStates, canaries
from tests.unit.routing.scenes import REGIONS, Maker, Scene, is_permitted, processed_in

ANSWER = json.dumps({"id": "1", "object": "chat.completion", "choices": []}).encode()
STATUSES = {RATE_LIMITED: 429, SERVER_ERROR: 503, UNFIT: 401}
SCENES_EACH = 20


class Reached(NamedTuple):
    """An upstream that was reached, with which model, and whether with the parameters that canaries set."""

    rules: UpstreamRules
    model: str
    has_parameters: bool


class FakeResponse:
    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = {"content-type": "application/json", **headers}
        self._body = body

    def chunks(self) -> Iterator[bytes]:
        yield self._body

    def close(self) -> None:
        pass


class Recorder:
    """The `Transport` of one upstream: notes that it was reached, and with which model; fails as the scene says."""

    def __init__(self, world: "RouteWorld", rules: UpstreamRules) -> None:
        self._world = world
        self._rules = rules

    def send(self, request: UpstreamRequest, remaining_s: Callable[[], float]) -> FakeResponse:
        assert remaining_s() > 0
        world = self._world
        number = len(world.reached)
        body = json.loads(request.body)
        world.reached.append(Reached(self._rules, str(body["model"]), "seed" in body))
        fault = world.scene.faults[number % len(world.scene.faults)] if world.scene.faults else None
        return FakeResponse(200, ANSWER, {}) if fault is None else self._fail(fault)

    def _fail(self, fault: Failure) -> FakeResponse:
        if fault.kind == NOT_CONNECTED:
            raise UpstreamNotConnectedError("The upstream can't be reached.")
        told = {} if fault.retry_after_s is None else {"retry-after": f"{fault.retry_after_s:.3f}"}
        return FakeResponse(STATUSES.get(fault.kind, 400), b'{"error": {"message": "no"}}', told)


class Trail:
    """Notes for every decision how many requests had gone out before it."""

    def __init__(self, world: "RouteWorld") -> None:
        self._world = world
        self.forwards: list[tuple[int, object]] = []
        self.arms: list[tuple[object, object]] = []
        self.notes: list[object] = []

    def decision(self, **fields: Field) -> None:
        if fields["verdict"] == "forward":
            self.forwards.append((len(self._world.reached), fields["upstream"]))
            self.arms.append((fields.get("canary"), fields.get("arm")))
            self.notes.append(fields.get("canary_note"))

    def outcome(self, **fields: Field) -> None:
        pass

    def anchor_if_due(self) -> None:
        pass


class Totals:
    def add(self, tenant: str, day: str, model: str, total: Total, expires_at_s: int) -> None:
        pass


class Context:
    def __init__(self) -> None:
        self.tasks: list[Callable[[], None]] = []

    def get_remaining_time_in_millis(self) -> int:
        return 60_000

    def after_response(self, task: Callable[[], None]) -> None:
        self.tasks.append(task)


class RouteWorld:
    """A chat route whose policy is the scene's. A home region is a function's own, so each has a route of its own."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0
        self.lines: list[str] = []
        self.reached: list[Reached] = []
        self.header: str | None = None
        self.counted = Counted()
        self.trail = Trail(self)
        self._breakers = Breakers(lambda: self.now_s)
        self._schema = RequestSchema.built_in("chat_completions")
        self._checks = CurrentChecks("chat_completions", self._schema)
        self._logger = Logger("route", "stack", write=self.lines.append)
        self._upstreams = Upstreams(self._upstream)

    def get(self) -> RouterRules:
        return self.scene.rules

    def refresh_early(self) -> None:
        pass

    def play(self, scene: Scene) -> str:
        """Ask once; give the code of the error, or `answered`."""
        self.scene = scene
        self.now_s += scene.pause_s
        self.reached = []
        self.trail = Trail(self)
        context = Context()
        response = ProviderRoute(CHAT_COMPLETIONS, self._rooms(scene))(self._event(scene), context)
        self.header = response.headers.get("x-sallyport-canary")
        body = b"".join(response.body)
        for task in context.tasks:
            task()
        return "answered" if response.status == 200 else str(json.loads(body)["error"].get("code", response.status))

    def _event(self, scene: Scene) -> dict[str, Any]:
        caller = scene.caller
        wish = {"x-sallyport-canary": scene.wish} if scene.wish else {}
        principal = Principal(
            method="api_key",
            tenant=caller.tenant,
            subject="s",
            key_id="k",
            scopes=("chat", "canary"),
            models=None,
            residency=caller.residency,
        )
        body = {"model": scene.model, "messages": [{"role": "user", "content": "hi"}]}
        return {
            "httpMethod": "POST",
            "resource": "/v1/chat/completions",
            "path": "/v1/chat/completions",
            "headers": {"content-type": "application/json", **wish},
            "body": json.dumps(body),
            "requestContext": {
                "requestId": "r",
                "identity": {"sourceIp": "192.0.2.1"},
                "authorizer": to_context(principal),
            },
        }

    def _rooms(self, scene: Scene) -> Rooms:
        return Rooms(
            schema=self._schema,
            checks=self._checks,
            policy=self,
            metering=self._metering(),
            canaries=canaries(HeldStates(scene.states), self.counted, self._logger, scene.home, lambda: self.now_s),
            upstreams=self._upstreams,
            guards=GuardHooks(self._upstreams),
            breakers=self._breakers,
            trail=self.trail,
            stored=None,
            home_region=scene.home,
            stream_usage=True,
            pace=Pace(scene.retries, lambda: self.now_s, self._sleep, lambda low, high: (low + high) / 2),
            logger=self._logger,
            deadline=Deadline(),
        )

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def _metering(self) -> Metering:
        def now_ms() -> int:
            return int(self.now_s * 1000)

        limiter = SlidingLimiter(MemoryCounterStore(), now_ms)
        admission = Admission(
            limiter, lambda: limiter, now_ms, self.lines.append, lambda *why: self.lines.append(str(why))
        )
        return Metering(admission, UsageTotals(Totals(), self.lines.append), self._logger, 500, lambda: self.now_s)

    def _upstream(self, rules: UpstreamRules) -> Upstream:
        return Upstream(rules, "x.example.com", OpenAiProvider(rules), Recorder(self, rules), NoSecret())


def sayable(scene: Scene) -> Scene:
    """Give a scene whose caller the authorizer could have let in: a tenant with a name, regions that are some."""
    residency = tuple(region for region in scene.caller.residency if region in REGIONS)
    return scene._replace(caller=Caller(scene.caller.tenant or "initech", residency))


def stable_targets(scene: Scene) -> tuple[Target, ...]:
    """Give where the policy has the model, whoever asks; without targets that is the stack's own upstream."""
    known = (scene.rules.models or {}).get(scene.model)
    if known is not None and known.targets:
        return known.targets
    own = scene.rules.upstreams[DEFAULT_UPSTREAM]
    return (Target(DEFAULT_UPSTREAM, "", (own.region,)),)


def arm_targets(scene: Scene, canary: object, arm: object) -> tuple[Target, ...]:
    """Give where a request on an arm may go at most; a canary without a target goes where stable does."""
    rules = {each.name: each for each in scene.rules.canaries}.get(str(canary))
    if arm != CANARY or rules is None or rules.target is None:
        return stable_targets(scene)
    return (rules.target,)


def has_parameters(scene: Scene, canary: object, arm: object) -> bool:
    """Say whether a request on an arm must have a canary's parameters."""
    return arm == CANARY and any(each.parameters for each in scene.rules.canaries if each.name == canary)


def are_permitted(reached: Reached, targets: Sequence[Target], scene: Scene) -> bool:
    """Say whether one of the targets leads to this upstream and model, and may be used."""
    rules, model, _ = reached
    assert scene.rules.upstreams[rules.name] == rules
    return any(
        is_permitted(processed_in(rules, target, scene.model), scene)
        for target in targets
        if target.upstream == rules.name and (target.model or scene.model) == model
    )


def check(world: RouteWorld, scene: Scene) -> None:
    """Check every sending: permitted, of the arm that its decision record names, and recorded before it was made."""
    for reached, (canary, arm) in zip(world.reached, world.trail.arms, strict=True):
        assert scene.home in scene.caller.residency
        assert are_permitted(reached, arm_targets(scene, canary, arm), scene), (reached, canary, arm, scene)
        assert reached.has_parameters is has_parameters(scene, canary, arm)
    assert world.trail.forwards == [(number, each.rules.name) for number, each in enumerate(world.reached)]
    if world.reached:
        canary, arm = world.trail.arms[-1]
        assert world.header == (None if canary is None else f"{canary}={arm}")


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=True))
def test_no_request_of_the_route_reaches_a_place_outside_its_residency(chance: Random) -> None:
    world, maker = RouteWorld(), Maker(chance)
    for _ in range(SCENES_EACH):
        scene = sayable(maker.scene())
        world.play(scene)
        check(world, scene)


def test_the_route_answers_fails_over_and_refuses() -> None:
    world, maker = RouteWorld(), Maker(Random(1))  # noqa: S311 - no secret
    ends, most_attempts = Counter[str](), 0
    for _ in range(600):
        scene = sayable(maker.scene())
        ends[world.play(scene)] += 1
        most_attempts = max(most_attempts, len(world.reached))
    assert ends["answered"] > 50, ends
    assert most_attempts >= 4
    assert {"residency_violation", "misdirected_region", "upstream_unreachable"} <= set(ends), ends
    assert "internal_error" not in ends, ends


def test_the_scenes_have_requests_on_canaries_at_every_weight_and_such_as_leave_them() -> None:
    """Else the property would hold for a gateway that never uses a canary."""
    world, maker = RouteWorld(), Maker(Random(2))  # noqa: S311 - no secret
    arms, notes, left = Counter[object](), Counter[object](), 0
    for _ in range(1500):
        scene = sayable(maker.scene())
        world.play(scene)
        check(world, scene)
        seen = [arm for _, arm in world.trail.arms]
        arms[seen[-1] if seen else None] += 1
        left += set(seen) == {CANARY, STABLE}
        notes.update(world.trail.notes)
    assert min(arms[CANARY], arms[STABLE]) > 30, arms
    assert left > 0
    assert {"outside_residency", "outside_allowed_regions", "global_not_permitted", "state_unknown"} <= set(notes), (
        notes
    )
    assert "upstream_credentials_rejected" in notes
    assert {place.arm for place, _ in world.counted.counted} == {CANARY, STABLE}


@pytest.mark.parametrize(("model", "arm"), [("meta.m-v1:0", CANARY), ("eu.meta.m-v1:0", STABLE)])
def test_where_the_stacks_own_bedrock_processes_a_canarys_model_its_name_says(model: str, arm: str) -> None:
    """A document declares one region without knowing what the stack's own upstream is."""
    own = UpstreamRules(DEFAULT_UPSTREAM, "bedrock", "https://x.example.com", "eu-west-1")
    canary = CanaryRules(
        "c0", ("gpt",), (), (), Target(DEFAULT_UPSTREAM, model, ("eu-west-1",)), {}, (CanaryStep(FULL_WEIGHT),)
    )
    stable = UpstreamRules("u0", "openai", "https://x.example.com", "eu-west-1")
    rules = RouterRules(
        1,
        (),
        {},
        {"gpt": ModelRules(targets=(Target("u0", "m", ("eu-west-1",)),))},
        upstreams={DEFAULT_UPSTREAM: own, "u0": stable},
        allowed_regions=frozenset(REGIONS),
        canaries=(canary,),
    )
    scene = Scene(rules, Caller("acme", ("eu-west-1",)), "gpt", "eu-west-1", frozenset(), [], 0, pause_s=0.0)
    world = RouteWorld()
    assert (world.play(scene), world.header) == ("answered", f"c0={arm}")
    check(world, scene)
