"""How long the guard takes to find a difference, and how often it finds one where there is none: by simulation.

A run draws callers, puts them on their arms and into their buckets, lets them send requests that fail at their own
rates, and puts the counts to the gateway's own verdict each time the guard would look. What is drawn comes from a seed,
so that the same question has the same answer.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from sallyport.policy.canary_rules import FULL_WEIGHT, RUNNING, CanaryRules, CanaryState, CanaryStep, GuardRules
from sallyport.routing.canary import BUCKETS
from sallyport.routing.verdict import ROLL_BACK, ArmCounts, BucketCounts, judge

MINUTE_S = 60
MAX_SUBJECTS = 2000
"""Of more callers so many are drawn, each with more requests: that takes fewer draws, and finds nothing sooner."""

RUNS = 100
"""A share of runs is then known to about 10 points, a median well enough to plan with."""

LOOKS_APART = 1.1
"""The simulated guard looks each minute at first, then when a tenth more time has gone by; the real one oftener."""

type Drift = Callable[[float], float]
"""What both arms' rates are multiplied by, at so many seconds after the step began."""


class Scenario(NamedTuple):
    """Traffic that is split. `weight` in hundredths of a percent, rates as shares of 1.

    `increase`: how much more of the canary's requests fail. `alikeness`: the correlation of two requests of one caller
    (callers' rates are drawn from a beta distribution of that; 0: all have the same). `spread`: how unequal callers'
    traffic is, the standard deviation of its logarithm.
    """

    requests_per_s: float
    weight: int
    rate: float
    increase: float = 0.0
    subjects: int = MAX_SUBJECTS
    alikeness: float = 0.0
    spread: float = 0.0
    drift: Drift | None = None


class Detection(NamedTuple):
    """After how many seconds the canary is out: in half of the runs, in nine of ten, and at worst.

    None: not within the horizon. `share`: of the runs in which it was out by then.
    """

    median_s: float | None
    slow_s: float | None
    worst_s: float | None
    share: float


class _Cell(NamedTuple):
    """A bucket of one arm: its requests in a second, and the share of these that fails."""

    requests_per_s: float
    rate: float


def time_to_detect(
    scenario: Scenario, guard: GuardRules, horizon_s: float, *, runs: int = RUNS, seed: int = 1
) -> Detection:
    """Give how long the guard takes to roll such a canary back, if it looks for at most `horizon_s`.

    Takes a few seconds for a hundred runs. Where the canary is no worse, `share` is that of false alarms.
    """
    looks = tuple(sparse_looks(horizon_s))
    return summarise([simulate_run(scenario, guard, looks, Random(f"{seed} {run}")) for run in range(runs)])  # noqa: S311 - no secret


def summarise(times_s: Sequence[float | None]) -> Detection:
    """Give what runs came to; each is the seconds until the rollback, or None."""
    found = sorted(time_s for time_s in times_s if time_s is not None)
    endless = [*found, *[None] * (len(times_s) - len(found))]
    median, slow = (endless[math.ceil(len(endless) * share) - 1] for share in (0.5, 0.9))
    return Detection(median, slow, endless[-1], len(found) / len(endless))


def simulate_run(scenario: Scenario, guard: GuardRules, looks_s: Sequence[float], random: Random) -> float | None:
    """Give after how many seconds the guard rolls the canary back in one run, None if it never does.

    It looks at `looks_s`, seconds after the step began, which ascend.
    """
    cells = _draw_cells(scenario, random)
    counts = [[BucketCounts()] * len(arm) for arm in cells]
    before_s = 0.0
    for look_s in looks_s:
        factor = scenario.drift(look_s) if scenario.drift else 1.0
        for arm, counted in zip(cells, counts, strict=True):
            _send(arm, counted, look_s - before_s, factor, random)
        if _is_rolled_back(scenario, guard, counts, look_s):
            return look_s
        before_s = look_s
    return None


def sparse_looks(horizon_s: float) -> Iterator[float]:
    """Give the seconds at which a simulated guard looks, up to the horizon."""
    look_s = float(MINUTE_S)
    while look_s < horizon_s:
        yield look_s
        look_s += max(MINUTE_S, look_s * (LOOKS_APART - 1) // MINUTE_S * MINUTE_S)
    yield horizon_s


def _draw_cells(scenario: Scenario, random: Random) -> tuple[list[_Cell], list[_Cell]]:
    """Draw the callers, and give the buckets of the stable arm and of the canary that they come to."""
    count = min(scenario.subjects, MAX_SUBJECTS)
    traffic = [random.lognormvariate(0, scenario.spread) if scenario.spread else 1.0 for _ in range(count)]
    scale = scenario.requests_per_s / sum(traffic)
    sums = [[[0.0, 0.0] for _ in range(BUCKETS)] for _ in range(2)]
    for weight in traffic:
        is_canary = random.random() * FULL_WEIGHT < scenario.weight
        place = sums[is_canary][random.randrange(BUCKETS)]
        place[0] += weight * scale
        place[1] += weight * scale * _draw_rate(scenario, random, is_canary=is_canary)
    stable, canary = ([_Cell(sent, bad / sent) for sent, bad in arm if sent] for arm in sums)
    return stable, canary


def _draw_rate(scenario: Scenario, random: Random, *, is_canary: bool) -> float:
    """Draw a caller's rate of failures. What the canary adds hits requests that would have gone well, all alike."""
    rate = scenario.rate
    if scenario.alikeness and 0 < rate < 1:
        total = 1 / scenario.alikeness - 1
        rate = random.betavariate(scenario.rate * total, (1 - scenario.rate) * total)
    added = scenario.increase / (1 - scenario.rate) if is_canary else 0.0
    return min(max(rate + (1 - rate) * added, 0.0), 1.0)


def _send(cells: Sequence[_Cell], counts: list[BucketCounts], seconds: float, factor: float, random: Random) -> None:
    """Add the requests of so many seconds to the counts."""
    for place, (requests_per_s, rate) in enumerate(cells):
        sent = int(requests_per_s * seconds + random.random())
        if sent:
            failed = random.binomialvariate(sent, min(rate * factor, 1.0))
            before = counts[place]
            counts[place] = BucketCounts(before.requests + sent, before.failed + failed)


def _is_rolled_back(
    scenario: Scenario, guard: GuardRules, counts: Sequence[Sequence[BucketCounts]], now_s: float
) -> bool:
    stable, canary = (ArmCounts(tuple(arm)) for arm in counts)
    rules = CanaryRules("simulated", ("any",), (), (), None, {}, (CanaryStep(scenario.weight),), guard=guard)
    return judge(rules, CanaryState(RUNNING, 0, 0, ""), stable, canary, int(now_s)).action == ROLL_BACK
