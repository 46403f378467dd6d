"""The same property of the whole route: what its transports were asked to send, against the policy of that moment."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.errors import UpstreamNotConnectedError
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.metering import Metering
from sallyport.gateway.operations import CHAT_COMPLETIONS
from sallyport.gateway.provider_route import Pace, ProviderRoute, Rooms
from sallyport.gateway.upstreams import NoSecret, Upstream, Upstreams
from sallyport.identity.principal import Principal, to_context
from sallyport.limits.admission import Admission
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.sliding import SlidingLimiter
from sallyport.limits.totals import Total, UsageTotals
from sallyport.observability.log import Field, Logger
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from sallyport.providers.openai import OpenAiProvider
from sallyport.providers.transport import UpstreamRequest
from sallyport.routing.attempts import NOT_CONNECTED, RATE_LIMITED, SERVER_ERROR, Failure
from sallyport.routing.breaker import Breakers
from sallyport.routing.residency import Caller
from sallyport.verification.schema import RequestSchema
from tests.unit.routing.scenes import REGIONS, Maker, Scene, is_permitted, processed_in

ANSWER = json.dumps({"id": "1", "object": "chat.completion", "choices": []}).encode()
STATUSES = {RATE_LIMITED: 429, SERVER_ERROR: 503}
SCENES_EACH = 20


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
        world.reached.append((self._rules, str(json.loads(request.body)["model"])))
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

    def decision(self, **fields: Field) -> None:
        if fields["verdict"] == "forward":
            self.forwards.append((len(self._world.reached), fields["upstream"]))

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
        self.reached: list[tuple[UpstreamRules, str]] = []
        self.trail = Trail(self)
        self._breakers = Breakers(lambda: self.now_s)
        self._schema = RequestSchema.built_in("chat_completions")
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
        self.reached, self.trail.forwards = [], []
        context = Context()
        response = ProviderRoute(CHAT_COMPLETIONS, self._rooms(scene))(self._event(scene), context)
        body = b"".join(response.body)
        for task in context.tasks:
            task()
        return "answered" if response.status == 200 else str(json.loads(body)["error"].get("code", response.status))

    def _event(self, scene: Scene) -> dict[str, Any]:
        caller = scene.caller
        principal = Principal(
            method="api_key",
            tenant=caller.tenant,
            subject="s",
            key_id="k",
            scopes=("chat",),
            models=None,
            residency=caller.residency,
        )
        body = {"model": scene.model, "messages": [{"role": "user", "content": "hi"}]}
        return {
            "httpMethod": "POST",
            "resource": "/v1/chat/completions",
            "path": "/v1/chat/completions",
            "headers": {"content-type": "application/json"},
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
            policy=self,
            metering=self._metering(),
            upstreams=self._upstreams,
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


def are_permitted(rules: UpstreamRules, model: str, scene: Scene) -> bool:
    """Say whether a target of the policy that leads to this upstream and model may be used."""
    assert scene.rules.upstreams[rules.name] == rules
    known = (scene.rules.models or {}).get(scene.model)
    targets = known.targets if known is not None else ()
    places = [
        processed_in(rules, target, scene.model)
        for target in targets
        if target.upstream == rules.name and (target.model or scene.model) == model
    ]
    if not targets:
        return is_permitted(processed_in(rules, Target(rules.name, "", (rules.region,)), model), scene)
    return any(is_permitted(place, scene) for place in places)


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=True))
def test_no_request_of_the_route_reaches_a_place_outside_its_residency(chance: Random) -> None:
    world, maker = RouteWorld(), Maker(chance)
    for _ in range(SCENES_EACH):
        scene = sayable(maker.scene())
        world.play(scene)
        for rules, model in world.reached:
            assert scene.home in scene.caller.residency
            assert are_permitted(rules, model, scene), (rules, model, scene)
        assert world.trail.forwards == [(number, rules.name) for number, (rules, _) in enumerate(world.reached)]


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
