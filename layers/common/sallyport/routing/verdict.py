"""What a canary's guard decides: hold, go on, or take it out, from what was counted of both arms since the step began.

The test is in `sequential_test`; here is what it is put to, and what follows. Nothing is read or written, so that the
guard and `sallyport canary status` come to the same verdict from the same counts.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sallyport.policy.canary_rules import FULL_WEIGHT, RUNNING, CanaryRules, CanaryState, CanaryStep, GuardRules
from sallyport.routing.canary import BUCKETS, effective_weight
from sallyport.routing.sequential_test import (
    Bucket,
    Interval,
    confidence_interval,
    confidence_interval_of_arm,
    e_value,
    estimate_arms,
    estimated_subjects,
    rate_of,
    unlikeness,
)

HOLD, ADVANCE, ROLL_BACK, PROMOTE = "hold", "advance", "roll_back", "promote"
"""What a verdict asks for: nothing, the next step, no more traffic, or all of it."""

ERRORS, REFUSALS, SLOW, SLOW_FIRST_TOKEN = "errors", "refusals", "slow", "slow_first_token"
"""The measures. The last two are looked at where the guard's rules name their times.

Refusals are an upstream's 4xx. Clients cause them, but on both arms alike; a model that doesn't take what the other one
does, or a quota that is too small, refuses more.
"""


class BucketCounts(NamedTuple):
    """What was counted of one arm in one bucket: requests, and of these failed, slow, slow to begin, and refused."""

    requests: int = 0
    failed: int = 0
    slow: int = 0
    slow_first: int = 0
    refused: int = 0


class ArmCounts(NamedTuple):
    """What was counted of one arm in one run: its buckets, in any order (empty ones may be left out), and totals.

    `histogram` are the counts of durations, as their adapter bounds them. `duration_ms` and `first_byte_ms` are sums.
    """

    buckets: tuple[BucketCounts, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    duration_ms: int = 0
    first_byte_ms: int = 0
    histogram: tuple[int, ...] = ()

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return sum(bucket.requests for bucket in self.buckets)

    @property
    def subjects(self) -> int:
        """About how many sticky units there were; the estimate stops growing at about 700."""
        return estimated_subjects(sum(bucket.requests > 0 for bucket in self.buckets), BUCKETS)


class Measure(NamedTuple):
    """How the arms compare in one measure; rates and differences are shares of 1.

    `low` and `high` bound canary's rate less stable's, at any time at once (a confidence sequence); `stable_interval`
    and `canary_interval` the rates themselves. The canary is worse where `e_value` has come to `threshold`, which is
    where `low` has come over `allowed`, the increase that is let pass. `looks_worse`: by the rates of all requests, and
    by those in which nobody weighs too much.
    """

    name: str
    stable_rate: float
    canary_rate: float
    low: float
    high: float
    looks_worse: bool
    e_value: float
    threshold: float
    allowed: float
    stable_interval: Interval
    canary_interval: Interval

    @property
    def is_worse(self) -> bool:
        """Whether the canary is taken out for it, once there is enough data."""
        return self.looks_worse and self.e_value >= self.threshold

    @property
    def may_be_worse(self) -> bool:
        """Whether what was counted speaks for it, if not enough; of an equal canary it soon speaks against it."""
        return self.looks_worse and self.e_value > 1


class Verdict(NamedTuple):
    """`action`: one of the four above. `reason`: a text for operators. `measures`: those looked at, in any case."""

    action: str
    reason: str
    measures: tuple[Measure, ...]


def judge(rules: CanaryRules, state: CanaryState, stable: ArmCounts, canary: ArmCounts, now_s: int) -> Verdict:
    """Decide on a canary from what was counted in `state.run`; `now_s` is the wall clock.

    A canary that isn't running or has no guard is held. Too little data holds, whatever the clock says. A weight that
    was set by hand holds, too, unless the canary is worse.
    """
    guard = rules.guard or GuardRules()
    measures = compare(guard, stable, canary, _odds(rules, state, now_s))
    action, reason = _decide(rules, state, stable, canary, measures, now_s)
    return Verdict(action, reason, measures)


def compare(guard: GuardRules, stable: ArmCounts, canary: ArmCounts, odds: float | None = None) -> tuple[Measure, ...]:
    """Give how the arms compare in each measure that the guard's rules name: errors and refusals always.

    `odds`: how many callers are on canary for each on stable, if that is known. The guard's chance of a false alarm is
    shared among the measures (Bonferroni).
    """
    looked_at = _looked_at(guard)
    return tuple(
        _measure(name, (_buckets(stable, count), _buckets(canary, count)), odds, allowed, guard.alpha / len(looked_at))
        for name, count, allowed in looked_at
    )


def _looked_at(guard: GuardRules) -> list[tuple[str, Callable[[BucketCounts], int], float]]:
    looked_at: list[tuple[str, Callable[[BucketCounts], int], float]] = [
        (ERRORS, lambda bucket: bucket.failed, guard.max_error_increase),
        (REFUSALS, lambda bucket: bucket.refused, guard.max_error_increase),
    ]
    if guard.slow_ms is not None:
        looked_at.append((SLOW, lambda bucket: bucket.slow, guard.max_slow_increase))
    if guard.slow_first_token_ms is not None:
        looked_at.append((SLOW_FIRST_TOKEN, lambda bucket: bucket.slow_first, guard.max_slow_increase))
    return looked_at


def _buckets(arm: ArmCounts, count: Callable[[BucketCounts], int]) -> list[Bucket]:
    """Give the buckets of one measure. A request whose count came before its own is one, too: both are told apart."""
    return [Bucket(bucket.requests, min(count(bucket), bucket.requests)) for bucket in arm.buckets if bucket.requests]


def _odds(rules: CanaryRules, state: CanaryState, now_s: int) -> float | None:
    weight = effective_weight(rules, state, now_s)
    return weight / (FULL_WEIGHT - weight) if 0 < weight < FULL_WEIGHT else None


def _measure(
    name: str, arms: tuple[Sequence[Bucket], Sequence[Bucket]], odds: float | None, allowed: float, alpha: float
) -> Measure:
    """Compare by the estimates, in which no group weighs too much; intervals hold the rates of all requests, too."""
    stable, canary = arms
    one, other = estimate_arms(stable, canary, odds)
    stable_rate, canary_rate, unlike = rate_of(stable), rate_of(canary), unlikeness(stable, canary)
    low, high = confidence_interval(one, other, alpha)
    return Measure(
        name=name,
        stable_rate=stable_rate,
        canary_rate=canary_rate,
        low=min(low - unlike, canary_rate - stable_rate),
        high=max(high, canary_rate - stable_rate),
        looks_worse=min(other.rate - one.rate - unlike, canary_rate - stable_rate) > allowed,
        e_value=e_value(one, other, allowed + unlike),
        threshold=1 / alpha,
        allowed=allowed,
        stable_interval=_holding(confidence_interval_of_arm(one, alpha), stable_rate),
        canary_interval=_holding(confidence_interval_of_arm(other, alpha), canary_rate),
    )


def _holding(interval: Interval, rate: float) -> Interval:
    return Interval(min(interval.low, rate), max(interval.high, rate))


def _decide(
    rules: CanaryRules,
    state: CanaryState,
    stable: ArmCounts,
    canary: ArmCounts,
    measures: Sequence[Measure],
    now_s: int,
) -> tuple[str, str]:
    if state.phase != RUNNING:
        return HOLD, f"it is {state.phase.replace('_', ' ')}, so it isn't judged"
    if rules.guard is None:
        return HOLD, "it has no guard"
    if effective_weight(rules, state, now_s) >= FULL_WEIGHT:
        return _at_full_weight(state)
    lacking = _lacking(rules.guard, stable, canary)
    if lacking:
        return HOLD, f"too little data: {lacking}"
    return _of_measures(measures) or _go_on(rules, state, now_s)


def _of_measures(measures: Sequence[Measure]) -> tuple[str, str] | None:
    """Give what speaks against the canary, None where nothing does."""
    worse = [_say_worse(measure) for measure in measures if measure.is_worse]
    if worse:
        return ROLL_BACK, "; ".join(worse)
    doubtful = [_say_worse(measure) for measure in measures if measure.may_be_worse]
    if doubtful:
        return HOLD, f"may be worse, so it waits for more data: {'; '.join(doubtful)}"
    return None


def _at_full_weight(state: CanaryState) -> tuple[str, str]:
    if state.weight is None:
        return PROMOTE, "its step has all traffic"
    return HOLD, "it was given all traffic by hand, so there is nothing to compare it with"


def _lacking(guard: GuardRules, stable: ArmCounts, canary: ArmCounts) -> str:
    told = []
    for name, arm in (("stable", stable), ("canary", canary)):
        if arm.requests < guard.min_requests:
            told.append(f"{arm.requests} of {guard.min_requests} requests on {name}")
        if arm.subjects < guard.min_subjects:
            told.append(f"about {arm.subjects} of {guard.min_subjects} subjects on {name}")
    return ", ".join(told)


def _say_worse(measure: Measure) -> str:
    """Say what is worse, by how much, and how sure that is."""
    return (
        f"{measure.name.replace('_', ' ')}: {_percent(measure.canary_rate)} of the canary's requests, "
        f"{_percent(measure.stable_rate)} of stable's; {_points(measure.low)} to {_points(measure.high)} points more, "
        f"where {_points(measure.allowed)} may be (e-value {measure.e_value:.3g}, limit {measure.threshold:.3g})"
    )


def _go_on(rules: CanaryRules, state: CanaryState, now_s: int) -> tuple[str, str]:
    if state.weight is not None:
        return HOLD, f"no worse at {_weight(state.weight)}, which was set by hand"
    step = _step(rules, state)
    if state.step + 1 >= len(rules.steps):
        return HOLD, f"no worse at {_weight(step.weight)}, its last step"
    left_s = state.since_s + step.hold_s - now_s
    if left_s > 0:
        return HOLD, f"no worse at {_weight(step.weight)}; the step lasts {left_s} s more"
    after = rules.steps[state.step + 1]
    action = PROMOTE if after.weight >= FULL_WEIGHT else ADVANCE
    return action, f"no worse at {_weight(step.weight)} for {step.hold_s} s; on to {_weight(after.weight)}"


def _step(rules: CanaryRules, state: CanaryState) -> CanaryStep:
    return rules.steps[min(state.step, len(rules.steps) - 1)]


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"


def _points(share: float) -> str:
    return f"{share * 100:.2f}"


def _weight(weight: int) -> str:
    return f"{weight / 100:g} %"
