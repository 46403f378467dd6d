"""The benchmark of the canary's guard measures what it says, on fewer runs and looks."""

import pytest

from bench.canary import EQUAL, GUARD, WORSE, Case, drift, equal_cases, measure, worse_cases
from sallyport_cli.canary.simulation import MINUTE_S, Detection


@pytest.mark.parametrize("case", equal_cases(), ids=lambda case: case.name)
def test_an_equal_canary_is_left_alone(case: Case) -> None:
    assert measure(case, 20, minutes=8).share == 0


@pytest.mark.parametrize("case", worse_cases()[:3], ids=lambda case: case.name)
def test_a_canary_of_five_points_more_errors_is_found_within_minutes(case: Case) -> None:
    """Almost always: where one caller of those that differ sends a good part of the traffic, it can't be told yet."""
    found = measure(case, 20, minutes=10)
    assert found.share >= (0.9 if case.scenario.alikeness else 1.0)
    assert found.median_s is not None
    assert found.median_s <= 5 * MINUTE_S


def test_the_same_case_comes_to_the_same_figures() -> None:
    case = Case("+5 points", WORSE)
    assert measure(case, 3, minutes=5) == measure(case, 3, minutes=5)


def test_the_cases_are_of_the_traffic_that_they_are_named_by() -> None:
    assert (EQUAL.requests_per_s, EQUAL.weight, EQUAL.increase) == (50, 1000, 0)
    assert WORSE.increase == 0.05
    assert all(case.scenario.increase == 0 for case in equal_cases())
    assert GUARD.max_error_increase == 0
    assert drift(31 * MINUTE_S) > 20 * drift(34 * MINUTE_S)


def test_what_is_never_found_has_no_times() -> None:
    assert measure(Case("equal", EQUAL), 3, minutes=2) == Detection(None, None, None, 0.0)
