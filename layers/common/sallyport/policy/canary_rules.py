"""Canaries, as the effective policy and the operator's commands say them. Plain data.

What a canary is stands in the policy (or in stack parameters); how far it has come stands in its state, which the
guard and `sallyport canary` change. Weights are hundredths of a percent: 500 is 5 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sallyport.policy.upstream_rules import Target

FULL_WEIGHT = 10_000
STABLE, CANARY = "stable", "canary"
"""The two arms."""

PARAMETER_CANARY = "parameters"
"""The name of the canary that stack parameters make."""

STICKY_BY = ("subject", "tenant", "key")
"""Who stays on one arm; besides these `header:<name>` and `cookie:<name>`."""

RUNNING, PAUSED, ROLLED_BACK, PROMOTED, STOPPED = "running", "paused", "rolled_back", "promoted", "stopped"
PHASES = (RUNNING, PAUSED, ROLLED_BACK, PROMOTED, STOPPED)
"""Of a canary's state. PAUSED keeps its weight and isn't judged, PROMOTED has all traffic, the other two have none."""


class CanaryMatch(NamedTuple):
    """Whom a canary is for; what is empty matches everyone, and all that isn't must match.

    `regions`: the gateway's own region. `claims` and `headers`: pairs of name and value, the value exactly.
    """

    tenants: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    claims: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class CanaryStep(NamedTuple):
    """A weight, and for how many seconds it holds before the next; 0: until somebody changes it."""

    weight: int
    hold_s: int = 0


class GuardRules(NamedTuple):
    """When a canary is taken out. Shares are of 1, times in milliseconds; None: not looked at.

    `alpha`: the chance, over one step, that a canary which is as good as the stable arm is rolled back.
    `max_error_increase`: so much more of the requests may fail, or be refused by the upstream. `slow_ms` and
    `slow_first_token_ms`: a request or its first byte that takes longer is slow, and `max_slow_increase` more of them
    may be. Nothing is decided before both arms have `min_requests` and `min_subjects`.
    """

    alpha: float = 0.01
    max_error_increase: float = 0.0
    min_requests: int = 100
    min_subjects: int = 20
    slow_ms: int | None = None
    slow_first_token_ms: int | None = None
    max_slow_increase: float = 0.05


class CanaryRules(NamedTuple):
    """One canary: for these models, routes or apps (exactly one of the three isn't empty), to this target.

    `target` None: the stable targets with other `parameters`, which are set in the request's body. `steps` are climbed
    one after the other. `starts`: at once when it is applied, or when `sallyport canary start` says so. `guard` None:
    nobody watches, and steps follow each other by the clock.
    """

    name: str
    models: tuple[str, ...]
    routes: tuple[str, ...]
    apps: tuple[str, ...]
    target: Target | None
    parameters: Mapping[str, Any]
    steps: tuple[CanaryStep, ...]
    sticky_by: str = "subject"
    match: CanaryMatch = CanaryMatch()
    starts: bool = True
    guard: GuardRules | None = GuardRules()


class CanaryState(NamedTuple):
    """How far a canary has come. `since_s`: when this step or phase began, the wall clock.

    `weight` None: the step's. `run` names what is counted together, and changes whenever the weight does. `reason` is
    a text for operators, `by` who changed it last.
    """

    phase: str
    step: int
    since_s: int
    run: str
    weight: int | None = None
    reason: str = ""
    by: str = ""


class CanaryStates(NamedTuple):
    """All canaries' states at one version. `key` (hex) is what their callers are hashed with; empty: none is stored."""

    version: int = 0
    key: str = ""
    states: Mapping[str, CanaryState] = {}
