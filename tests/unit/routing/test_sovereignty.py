"""Over random policies, callers, faults and failovers no request reaches a place outside its residency."""

from collections import Counter
from collections.abc import Callable
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.errors import MisdirectedRegionError, NoTargetAvailableError, SallyportError
from sallyport.policy.limit_rules import ModelRules, RouterRules
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, GLOBAL, Target, UpstreamRules
from sallyport.routing.attempts import NOT_CONNECTED, OTHER, RATE_LIMITED, SERVER_ERROR, Attempts, Failure
from sallyport.routing.breaker import Breakers
from sallyport.routing.residency import ELIGIBLE, Caller, check_home, consider, eligible, targets_of
from tests.unit.routing.scenes import DOWN, ODD_REGIONS, REGIONS, Caught, Maker, Scene, is_permitted, processed_in


class World:
    """All upstreams there are. Each request to one is recorded, and fails as the scene's next fault says."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.caught: list[Caught] = []
        self.breakers = Breakers(lambda: self.now_s)

    def send(self, scene: Scene, target: Target) -> Failure | None:
        upstream = scene.rules.upstreams[target.upstream]
        number = len(self.caught)
        self.caught.append(Caught(upstream.name, processed_in(upstream, target, scene.model)))
        return scene.faults[number % len(scene.faults)] if scene.faults else None

    def play(self, scene: Scene) -> str:
        """Do as a route does: home, eligible targets, attempts. Give what came of it."""
        self.caught = []
        self.now_s += scene.pause_s
        check_home(scene.caller, scene.home, {})
        considered = consider(
            targets_of(scene.model, scene.rules), scene.rules, scene.caller, lambda each: each.name in scene.serving
        )
        attempts = Attempts(
            eligible(considered), self.breakers, scene.retries, lambda low, high: (low + high) / 2, scene.model
        )
        target, left_s = attempts.first(), 60.0
        while (failure := self.send(scene, target)) is not None:
            step = attempts.next(target, failure, left_s)
            if step is None:
                return failure.kind
            left_s -= step.wait_s
            self.now_s += step.wait_s
            target = step.target
        attempts.succeeded(target)
        return "answered"


CHANCES = st.randoms(use_true_random=True)
SCENES_EACH = 50


@settings(max_examples=200, deadline=None)
@given(CHANCES)
def test_no_request_reaches_a_place_outside_its_residency(chance: Random) -> None:
    """Policies follow one another under the same breakers, as they do in a process that lives long."""
    world, maker = World(), Maker(chance)
    for _ in range(SCENES_EACH):
        scene = maker.scene()
        end = _end(lambda: world.play(scene))  # noqa: B023 - it is called at once
        if end in {"residency_violation", "misdirected_region", "unsupported_operation", "service_unavailable"}:
            assert not world.caught
        for caught in world.caught:
            assert caught.upstream in scene.rules.upstreams
            assert is_permitted(caught.regions, scene), (caught, scene)


@settings(max_examples=60, deadline=None)
@given(CHANCES)
def test_what_the_rules_permit_is_eligible(chance: Random) -> None:
    """Else the property above would hold for a gateway that forwards nothing."""
    maker = Maker(chance)
    for _ in range(SCENES_EACH):
        scene = maker.scene()
        targets = targets_of(scene.model, scene.rules)
        considered = consider(targets, scene.rules, scene.caller, lambda _: True)
        assert tuple(one.target for one in considered) == targets
        for target, verdict in considered:
            check_verdict(target, verdict, scene)


def check_verdict(target: Target, verdict: str, scene: Scene) -> None:
    upstream = scene.rules.upstreams.get(target.upstream)
    expected = (
        upstream is not None
        and upstream.region in target.regions
        and upstream.region not in ODD_REGIONS[:2]
        and is_permitted(processed_in(upstream, target, scene.model), scene)
    )
    if upstream is not None and upstream.provider == "bedrock" and upstream.name == DEFAULT_UPSTREAM:
        assert expected or verdict != ELIGIBLE  # a geography's name alone isn't enough there
    else:
        assert (verdict == ELIGIBLE) is expected


def test_the_scenes_are_of_every_kind() -> None:
    """Answers after failovers among them, and every refusal."""
    world, maker = World(), Maker(Random(1))  # noqa: S311 - no secret
    ends, most_attempts = Counter[str](), 0
    for _ in range(2000):
        scene = maker.scene()
        ends[_end(lambda: world.play(scene))] += 1  # noqa: B023 - it is called at once
        most_attempts = max(most_attempts, len(world.caught))
    assert ends["answered"] > 200
    assert most_attempts >= 4
    refusals = {"residency_violation", "misdirected_region", "unsupported_operation", "no_target_available"}
    assert {*refusals, NOT_CONNECTED, RATE_LIMITED, SERVER_ERROR, OTHER} <= set(ends)


@settings(max_examples=500, deadline=None)
@given(st.permutations(range(8)), st.sets(st.sampled_from(range(8))), st.integers(0, 5))
def test_with_all_inside_down_the_request_fails_and_those_outside_hear_nothing(
    order: list[int], inside: set[int], retries: int
) -> None:
    upstreams = {
        f"u{number}": UpstreamRules(
            f"u{number}", "openai", "https://x.example.com", "eu-west-1" if number in inside else "us-east-1"
        )
        for number in order
    }
    targets = tuple(Target(name, "m", (each.region,)) for name, each in upstreams.items())
    rules = RouterRules(
        1, (), {}, {"gpt": ModelRules(targets=targets)}, upstreams=upstreams, allowed_regions=frozenset(REGIONS)
    )
    scene = Scene(
        rules, Caller("acme", ("eu-west-1",)), "gpt", "eu-west-1", frozenset(upstreams), [DOWN], retries, pause_s=0.0
    )
    world, ends = World(), []
    for _ in range(8):
        ends.append(_end(lambda: world.play(scene)))
        assert {caught.upstream for caught in world.caught} <= {f"u{number}" for number in inside}
    expected = {NOT_CONNECTED, NoTargetAvailableError.code} if inside else {"residency_violation"}
    assert set(ends) <= expected
    if inside:
        assert ends[-1] == NoTargetAvailableError.code


@given(st.lists(st.sampled_from(REGIONS + ODD_REGIONS), max_size=4).map(tuple), st.sampled_from(REGIONS))
def test_a_caller_is_handled_at_home_only(residency: tuple[str, ...], home: str) -> None:

    def handle() -> str:
        check_home(Caller("acme", residency), home, {})
        return "handled"

    named = set(residency) - {"", GLOBAL}
    expected = "handled" if home in residency else MisdirectedRegionError.code if named else "residency_violation"
    assert _end(handle) == expected


def _end(play: Callable[[], str]) -> str:
    try:
        return play()
    except SallyportError as error:
        return error.code
