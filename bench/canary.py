"""The canary's guard: how often it is wrong, and how soon it is right, in simulated runs of the gateway's own verdict.

Callers stay on their arm, and some of them fail again and again, so what matters most are the runs in which requests of
one caller are alike. The guard looks each minute.
"""

import math
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from random import Random
from typing import NamedTuple

from bench.tables import print_table, verdict
from sallyport.policy.canary_rules import GuardRules
from sallyport_cli.canary.simulation import MINUTE_S, Detection, Scenario, simulate_run, summarise

RUNS = 1000
MINUTES = 60
GUARD = GuardRules()
EQUAL = Scenario(requests_per_s=50, weight=1000, rate=0.01)
WORSE = EQUAL._replace(increase=0.05)
ALIKE = 0.1
"""Such a caller's next request fails with 11 % after one that failed, where the rate is 1 %."""

AIM_MINUTES = 10.0


class Case(NamedTuple):
    """A scenario, and what the table calls it."""

    name: str
    scenario: Scenario


def drift(second: float) -> float:
    """Give what an upstream's bad day does to both arms: a slow wave, and three minutes in which half fails."""
    outage = 50.0 if 30 * MINUTE_S < second <= 33 * MINUTE_S else 1.0
    return outage * (1 + 0.8 * math.sin(second / 1800))


def equal_cases() -> list[Case]:
    """Give the cases without a difference, from the easiest to the worst."""
    clustered = EQUAL._replace(alikeness=ALIKE, spread=1.0)
    return [
        Case("independent requests", EQUAL),
        Case("callers differ", clustered),
        Case("callers differ, 50 %", clustered._replace(weight=5000)),
        Case("callers differ, 90 %", clustered._replace(weight=9000)),
        Case("callers differ much (0.5)", clustered._replace(alikeness=0.5)),
        Case("callers differ, few: 300", clustered._replace(subjects=300)),
        Case("callers differ, few: 60, 50 %", clustered._replace(subjects=60, weight=5000)),
        Case("independent, both drift", EQUAL._replace(drift=drift)),
        Case("callers differ, both drift", clustered._replace(drift=drift)),
        Case("independent, 0.1 % fail, 2/s", EQUAL._replace(rate=0.001, requests_per_s=2)),
    ]


def worse_cases() -> list[Case]:
    """Give the cases with a difference to be found."""
    return [
        Case("+5 points, independent", WORSE),
        Case("+5 points, callers differ", WORSE._replace(alikeness=ALIKE, spread=1.0)),
        Case("+5 points, both drift", WORSE._replace(drift=drift)),
        Case("+1 point, independent", WORSE._replace(increase=0.01)),
        Case("+50 points, independent", WORSE._replace(increase=0.5)),
    ]


def run() -> None:
    """Measure and print."""
    began_s = time.perf_counter()
    print(f"Guard: {RUNS} runs each, {EQUAL.requests_per_s:g} requests/s, 1 % fail, {EQUAL.weight / 100:g} % on the")
    print(f"canary unless said otherwise; a look each minute for {MINUTES} minutes; stated: {GUARD.alpha:.1%}\n")
    with ProcessPoolExecutor() as pool:
        print_table(["an equal canary", "rolled back", ""], [_alarms(pool, case) for case in equal_cases()])
        print()
        header = ["a worse canary", "found", "median min", "90 % min", "worst min", ""]
        print_table(header, [_detected(pool, case) for case in worse_cases()])
    print(f"\n{time.perf_counter() - began_s:.0f} s")


def measure(case: Case, runs: int, *, pool: ProcessPoolExecutor | None = None, minutes: int = MINUTES) -> Detection:
    """Give what so many runs of a case come to; the same in each process and on each day."""
    one = partial(_run, case.scenario, minutes)
    seeds = [f"{case.name} {number}" for number in range(runs)]
    times = map(one, seeds) if pool is None else pool.map(one, seeds, chunksize=20)
    return summarise(list(times))


def _run(scenario: Scenario, minutes: int, seed: str) -> float | None:
    looks = tuple(float(minute * MINUTE_S) for minute in range(1, minutes + 1))
    return simulate_run(scenario, GUARD, looks, Random(seed))  # noqa: S311 - no secret


def _alarms(pool: ProcessPoolExecutor, case: Case) -> Sequence[str]:
    found = measure(case, RUNS, pool=pool)
    return [case.name, f"{found.share:.1%}", verdict(found.share, GUARD.alpha)]


def _detected(pool: ProcessPoolExecutor, case: Case) -> Sequence[str]:
    found = measure(case, RUNS, pool=pool)
    times = [_minutes(time_s) for time_s in found[:3]]
    aim = verdict(found.worst_s / MINUTE_S if found.worst_s else math.inf, AIM_MINUTES)
    return [case.name, f"{found.share:.1%}", *times, aim if case.scenario is WORSE else ""]


def _minutes(time_s: float | None) -> str:
    return "-" if time_s is None else f"{time_s / MINUTE_S:.0f}"
