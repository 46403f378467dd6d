"""Random policies and requests under them, and a judge of where these may be processed.

The judge is written from the rules alone, and shares no code with routing. Upstreams are of a world of their own: where
a request was processed is looked up there, not in what routing says of it.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from sallyport.policy.canary_rules import (
    FULL_WEIGHT,
    PHASES,
    RUNNING,
    STICKY_BY,
    CanaryMatch,
    CanaryRules,
    CanaryState,
    CanaryStates,
    CanaryStep,
)
from sallyport.policy.limit_rules import ModelRules, RouterRules
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, GLOBAL, Target, UpstreamRules
from sallyport.routing.attempts import NOT_CONNECTED, OTHER, RATE_LIMITED, SERVER_ERROR, UNFIT, Failure
from sallyport.routing.residency import Caller

REGIONS = ("eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "ap-northeast-1")
ODD_REGIONS = ("", GLOBAL, "eu", "EU-WEST-1", "eu-west-1 ", "us-east-11")
TENANTS = ("acme", "globex", "")
CANARIES = ("c0", "c1")
WISHES = ("c0", "c1", "c1=stable", "ghost", "c0=", "=")
NAMES = ("u0", "u1", "u2", DEFAULT_UPSTREAM)
MODELS = ("gpt", "meta.m-v1:0", "eu.meta.m-v1:0", "us.meta.m-v1:0", "global.meta.m-v1:0", "zz.meta.m-v1:0")


DOWN = Failure(NOT_CONNECTED)


class Caught(NamedTuple):
    """What a fake upstream recorded: the upstream's name, and the regions in which it processed the request."""

    upstream: str
    regions: tuple[str, ...]


class Scene(NamedTuple):
    """A policy, and one request under it.

    `states` None: nobody knows how far the canaries have come. `wish`: which arm the caller asks for.
    """

    rules: RouterRules
    caller: Caller
    model: str
    home: str
    serving: frozenset[str]
    faults: Sequence[Failure | None]
    retries: int
    pause_s: float
    states: CanaryStates | None = CanaryStates()
    wish: str = ""


def processed_in(upstream: UpstreamRules, target: Target, model: str) -> tuple[str, ...]:
    """Say where a request really is processed: at the stack's Bedrock the name decides, if nothing is declared."""
    if upstream.name != DEFAULT_UPSTREAM or upstream.provider != "bedrock":
        return (upstream.region, *target.regions)
    if set(target.regions) - {upstream.region, GLOBAL}:
        return (upstream.region, *target.regions)
    is_profile = (target.model or model).startswith(("eu.", "us.", "global.", "zz."))
    return (upstream.region, GLOBAL) if is_profile else (upstream.region,)


def is_permitted(regions: Sequence[str], scene: Scene) -> bool:
    """Judge where a request was processed, by the rules."""
    named = [region for region in regions if region != GLOBAL]
    may_go_anywhere = scene.caller.tenant in scene.rules.global_tenants
    if not named or (len(named) < len(regions) and not may_go_anywhere):
        return False
    return all(each and each in scene.caller.residency and each in scene.rules.allowed_regions for each in named)


class Maker:
    """Makes scenes by chance: sound ones for the most part, and in every place now and then what must be refused.

    Drawn from one generator of hypothesis' and not value by value, which would take a hundred times as long.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def scene(self) -> Scene:
        home = self._chance.choice(REGIONS) if self._mostly() else self._region()
        own = (home,) if self._mostly() else ()
        return Scene(
            rules=self._policy(),
            caller=Caller(self._chance.choice(TENANTS), own + self._regions()),
            model=self._chance.choice(MODELS),
            home=home,
            serving=frozenset(NAMES if self._mostly() else self._some(NAMES)),
            faults=[self._fault() for _ in range(self._chance.randrange(6))] if self._mostly() else [DOWN],
            retries=self._chance.randrange(6),
            pause_s=0.0 if self._mostly() else self._chance.uniform(0, 60),
            states=self._states() if self._mostly() else None,
            wish="" if self._mostly() else self._chance.choice(WISHES),
        )

    def _policy(self) -> RouterRules:
        """Give upstreams in any region or none, models whose targets name them or others, permissions for some."""
        names = NAMES if self._mostly() else self._some(NAMES)
        kinds = ("openai", "anthropic", "bedrock")
        upstreams = {
            name: UpstreamRules(name, self._chance.choice(kinds), "https://x.example.com", self._region())
            for name in names
        }
        models = None
        if self._mostly():
            known = MODELS if self._mostly() else self._some(MODELS)
            models = {model: ModelRules(targets=self._targets(upstreams)) for model in known}
        allowed = REGIONS if self._mostly() else self._regions()
        tenants = frozenset(self._some(TENANTS))
        return RouterRules(
            1,
            (),
            {},
            models,
            upstreams=upstreams,
            allowed_regions=frozenset(allowed),
            global_tenants=tenants,
            canaries=tuple(self._canary(name, upstreams) for name in self._some(CANARIES)),
        )

    def _canary(self, name: str, upstreams: Mapping[str, UpstreamRules]) -> CanaryRules:
        """Give a canary to any place or with other parameters; nobody has checked where that may be."""
        is_of_route = self._chance.random() < 0.5
        target = self._target(upstreams) if self._mostly() else None
        return CanaryRules(
            name,
            models=() if is_of_route else tuple(self._some(MODELS)),
            routes=("chat_completions",) if is_of_route else (),
            apps=(),
            target=target,
            parameters={"seed": 7} if target is None or not self._mostly() else {},
            steps=(CanaryStep(self._weight()),),
            sticky_by=self._chance.choice(STICKY_BY),
            match=CanaryMatch() if self._mostly() else CanaryMatch(tenants=tuple(self._some(TENANTS))),
        )

    def _states(self) -> CanaryStates:
        return CanaryStates(1, "ab" * 32, {name: self._state() for name in self._some(CANARIES) if self._mostly()})

    def _state(self) -> CanaryState:
        phase = RUNNING if self._mostly() else self._chance.choice(PHASES)
        return CanaryState(phase, 0, 1, "1-0", None if self._mostly() else self._weight())

    def _weight(self) -> int:
        return self._chance.choice((FULL_WEIGHT, FULL_WEIGHT, self._chance.randrange(FULL_WEIGHT), 0))

    def _targets(self, upstreams: Mapping[str, UpstreamRules]) -> tuple[Target, ...]:
        return tuple(self._target(upstreams) for _ in range(self._chance.randrange(6)))

    def _target(self, upstreams: Mapping[str, UpstreamRules]) -> Target:
        """Give a target, most often with its upstream's own region among its regions."""
        name = self._chance.choice(NAMES) if self._mostly() else "ghost"
        own = (upstreams[name].region,) if name in upstreams and self._mostly() else ()
        others = self._regions() if self._chance.random() < 0.4 else ()
        return Target(name, self._chance.choice(("", *MODELS)), own + others)

    def _fault(self) -> Failure | None:
        kinds = (NOT_CONNECTED, RATE_LIMITED, SERVER_ERROR, UNFIT, OTHER)
        told_s = self._chance.choice((None, self._chance.uniform(0, 8)))
        return Failure(self._chance.choice(kinds), told_s) if self._chance.random() < 0.7 else None

    def _region(self) -> str:
        return self._chance.choice(REGIONS if self._mostly() else ODD_REGIONS)

    def _regions(self) -> tuple[str, ...]:
        return tuple(self._region() for _ in range(self._chance.randrange(4)))

    def _some(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if self._chance.random() < 0.5]

    def _mostly(self) -> bool:
        return self._chance.random() < 0.9
