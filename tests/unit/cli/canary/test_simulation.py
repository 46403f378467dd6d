from random import Random

import pytest

from sallyport.policy.canary_rules import GuardRules
from sallyport_cli.canary.simulation import (
    MINUTE_S,
    Detection,
    Scenario,
    simulate_run,
    sparse_looks,
    summarise,
    time_to_detect,
)

EQUAL = Scenario(requests_per_s=20, weight=1000, rate=0.02, subjects=500)
DAY_S = 86_400.0


def test_a_greater_difference_is_found_sooner() -> None:
    found = [
        time_to_detect(EQUAL._replace(increase=increase), GuardRules(), DAY_S, runs=10)
        for increase in (0.3, 0.05, 0.02)
    ]
    medians = [each.median_s for each in found]
    assert None not in medians
    assert medians == sorted(medians, key=lambda time_s: time_s or DAY_S)
    assert medians[0] != medians[-1]


def test_the_same_seed_gives_the_same_answer() -> None:
    worse = EQUAL._replace(increase=0.05)
    assert time_to_detect(worse, GuardRules(), DAY_S, runs=5) == time_to_detect(worse, GuardRules(), DAY_S, runs=5)


def test_an_equal_canary_is_not_found_and_a_better_one_neither() -> None:
    for increase in (0.0, -0.02):
        found = time_to_detect(EQUAL._replace(increase=increase), GuardRules(), DAY_S, runs=10)
        assert found == Detection(None, None, None, 0.0)


def test_too_few_subjects_are_never_judged() -> None:
    few = EQUAL._replace(subjects=50, increase=0.9)
    assert time_to_detect(few, GuardRules(), DAY_S, runs=5).share == 0


@pytest.mark.parametrize("weight", [0, 10_000])
def test_an_arm_without_traffic_is_never_judged(weight: int) -> None:
    assert time_to_detect(EQUAL._replace(weight=weight, increase=0.5), GuardRules(), DAY_S, runs=3).share == 0


def test_callers_that_differ_take_longer() -> None:
    worse = EQUAL._replace(increase=0.05)
    alike, differing = (
        time_to_detect(worse._replace(alikeness=alikeness), GuardRules(), DAY_S, runs=10) for alikeness in (0.0, 0.3)
    )
    assert alike.slow_s is not None
    assert differing.slow_s is None or differing.slow_s > alike.slow_s


def test_what_both_arms_suffer_is_no_difference() -> None:
    storm = EQUAL._replace(drift=lambda second: 30.0 if second > 300 else 1.0)
    looks = [float(minute * MINUTE_S) for minute in range(1, 30)]
    random = Random(3)  # noqa: S311 - no secret
    assert simulate_run(storm, GuardRules(), looks, random) is None


def test_looks_ascend_to_the_horizon_and_thin_out() -> None:
    looks = list(sparse_looks(DAY_S))
    assert looks[:3] == [60, 120, 180]
    assert looks == sorted(set(looks))
    assert looks[-1] == DAY_S
    assert len(looks) < 100
    assert list(sparse_looks(30)) == [30]


def test_runs_are_summed_up_in_their_order() -> None:
    assert summarise([300.0, None, 60.0, 120.0]) == Detection(120.0, None, None, 0.75)
    assert summarise([60.0] * 9 + [None]) == Detection(60.0, 60.0, None, 0.9)
