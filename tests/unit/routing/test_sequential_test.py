import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.routing.sequential_test import (
    Arm,
    Bucket,
    confidence_interval,
    confidence_interval_of_arm,
    e_value,
    estimate_arms,
    estimated_subjects,
    rate_of,
    unlikeness,
)


def even(count: int, n: int, bad: int) -> list[Bucket]:
    """Buckets that are all alike."""
    return [Bucket(n, bad)] * count


def lumped(count: int, n: int, bad_buckets: int) -> list[Bucket]:
    """Buckets of which a few are bad through and through."""
    return [Bucket(n, n if place < bad_buckets else 0) for place in range(count)]


BUCKETS = st.lists(
    st.tuples(st.integers(1, 10_000), st.floats(0, 1)).map(lambda pair: Bucket(pair[0], int(pair[0] * pair[1]))),
    max_size=128,
)


def test_rates_are_of_requests_not_of_buckets() -> None:
    assert rate_of([Bucket(900, 0), Bucket(100, 50)]) == 0.05
    stable, canary = estimate_arms([*even(10, 90, 0), *even(10, 10, 5)], [Bucket(10, 10)])
    assert (stable.n, stable.rate) == (1000, 0.05)
    assert (canary.n, canary.rate) == (10, 1.0)


def test_variance_is_at_least_binomial() -> None:
    """Buckets that are more alike than chance would have them say nothing."""
    stable, canary = estimate_arms(even(100, 100, 10), even(100, 100, 10))
    assert stable.variance == canary.variance == pytest.approx(0.1 * 0.9 / 10_000, rel=0.01)


def test_variance_grows_with_what_requests_of_a_bucket_have_in_common() -> None:
    """Ten of a hundred callers fail always: as if each had sent one request."""
    stable, _ = estimate_arms(lumped(100, 100, 10), lumped(100, 100, 10))
    assert stable.variance == pytest.approx(0.1 * 0.9 / 100, rel=0.02)


def test_an_arm_without_its_share_of_bad_callers_is_no_surer_for_it() -> None:
    """Ten of a hundred canary callers always fail; none of the ten stable ones does, as happens once in three."""
    stable, canary = estimate_arms(even(10, 100, 0), lumped(100, 100, 10))
    assert stable.variance == pytest.approx(0.1 * 0.9 / 10, rel=0.2)
    assert e_value(stable, canary) < 2


def test_one_caller_who_sends_most_weighs_a_tenth() -> None:
    """Else all that is seen would be that one, and its own share of failures taken for everyone's."""
    one, many = estimate_arms([Bucket(10_000, 10_000), *even(50, 10, 0)], even(51, 10, 1))
    assert one.rate == pytest.approx(0.1)
    assert one.variance > 0.09**2
    assert many.freedom == pytest.approx(50)


@pytest.mark.parametrize(
    ("sizes", "limit"),
    [
        ([5], 5),
        ([1000, 500, 5], 5),
        ([1000, *[10] * 8], 10),
        ([1000, *[10] * 9], 10),
        ([1000, 400, *[10] * 40], 50),
        ([10] * 10, 10),
        ([1] * 128, 1),
    ],
)
def test_no_bucket_weighs_more_than_a_tenth_of_all(sizes: list[int], limit: float) -> None:
    arm, _ = estimate_arms([Bucket(size, 0) for size in sizes], [])
    assert arm.n == pytest.approx(sum(min(size, limit) for size in sizes))


@pytest.mark.parametrize("requests", [1000, 10_000, 1_000_000])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_fails_for_all_is_found_though_one_caller_sends_the_most(requests: int, share: float) -> None:
    """Seven tenths of the canary's traffic are one caller's, and more requests once told less and less."""
    rest = round(requests * 0.3 / 24)
    canary = [Bucket(requests * 0.7, requests * 0.7 * share), *even(24, rest, round(rest * share))]
    assert e_value(*estimate_arms(even(128, requests, requests // 100), canary, 0.1)) > 1000


def test_one_who_sends_more_than_all_others_together_is_no_evidence() -> None:
    """It alone is on the canary's side of a service that fails for one caller in two."""
    stable = [Bucket(100, 100 * (place % 2)) for place in range(120)]
    canary = [Bucket(1_000_000, 1_000_000), *[Bucket(100, 100 * (place % 2)) for place in range(40)]]
    assert e_value(*estimate_arms(stable, canary, 0.1)) < 2


def test_an_arm_that_lacks_the_few_who_send_the_most_is_no_surer_for_it() -> None:
    """A few stable callers of much never fail, and all of little do, at times; the canary has none of the former."""
    stable = [*even(60, 700, 1), *even(60, 10, 1)]
    canary = even(30, 10, 1)
    assert e_value(*estimate_arms(stable, canary)) > e_value(*estimate_arms(stable, canary, 1.0))


def test_what_is_left_out_is_held_against_the_worst_of_stable() -> None:
    stable = [*even(64, 1000, 0), *even(64, 10, 1)]
    assert unlikeness(stable, even(50, 10, 0)) == 0
    assert 0.09 < unlikeness(stable, [Bucket(9500, 0), *even(50, 10, 1)]) < 0.1
    assert unlikeness([], even(5, 1, 1)) == unlikeness(stable, []) == 0


def test_nothing_failed_is_not_certainty() -> None:
    stable, canary = estimate_arms(even(50, 4, 0), even(50, 4, 0))
    low, high = confidence_interval(stable, canary, 0.01)
    assert low < -0.01 < 0.01 < high
    assert e_value(stable, canary) < 1


def test_arms_without_requests_tell_nothing() -> None:
    for stable, canary in (([], []), ([], even(10, 10, 9)), (even(10, 10, 0), [])):
        one, other = estimate_arms(stable, canary)
        assert e_value(one, other) == 1.0
        assert confidence_interval(one, other, 0.01) == (-1.0, 1.0)
    assert confidence_interval_of_arm(estimate_arms([], [])[0], 0.01) == (0.0, 1.0)


def test_e_value_is_the_mixture_s_where_the_variance_is_known() -> None:
    """The likelihood ratio of N(0, 0.05^2 + variance) to N(0, variance), at the difference seen."""
    variance, difference = 0.0002, 0.06
    known = (Arm(1, 0.0, variance / 2, 1e9), Arm(1, difference, variance / 2, 1e9))

    def log_density(of: float) -> float:
        return -(difference**2) / (2 * of) - math.log(of) / 2

    assert math.log(e_value(*known)) == pytest.approx(log_density(variance + 0.05**2) - log_density(variance), rel=1e-6)


@pytest.mark.parametrize(("t", "freedom", "tail"), [(2.0, 10, 0.036694), (4.0, 10, 0.0012594), (3.0, 60, 0.0019641)])
def test_few_clusters_count_as_student_s_distribution_says(t: float, freedom: float, tail: float) -> None:
    """Half of the tails is `scipy.stats.t.sf`; what is found of few clusters equals what many find at that tail."""
    few = (Arm(1, 0.0, 0.5, 2 * freedom), Arm(1, t, 0.5, 2 * freedom))
    normal = math.sqrt(2) * _inverse_erfc(2 * tail)
    many = (Arm(1, 0.0, 0.5, 1e9), Arm(1, normal, 0.5, 1e9))
    few = (few[0]._replace(freedom=freedom / 2), few[1]._replace(freedom=freedom / 2))
    assert math.log(e_value(*few)) == pytest.approx(math.log(e_value(*many)), abs=1e-3)


def _inverse_erfc(value: float) -> float:
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle) > value else (low, middle)
    return low


@given(BUCKETS, BUCKETS, st.floats(-0.5, 0.5), st.sampled_from([0.0001, 0.01, 0.2]))
def test_interval_leaves_out_what_the_e_value_refuses(
    stable: list[Bucket], canary: list[Bucket], allowed: float, alpha: float
) -> None:
    one, other = estimate_arms(stable, canary)
    low, high = confidence_interval(one, other, alpha)
    evidence = e_value(one, other, allowed) * alpha
    if abs(evidence - 1) < 1e-6:
        return
    assert (evidence > 1) == (not low <= allowed <= high)


@given(BUCKETS, BUCKETS)
def test_intervals_hold_their_estimates(stable: list[Bucket], canary: list[Bucket]) -> None:
    one, other = estimate_arms(stable, canary)
    low, high = confidence_interval(one, other, 0.01)
    assert low <= other.rate - one.rate <= high
    for arm in (one, other):
        low, high = confidence_interval_of_arm(arm, 0.01)
        assert 0 <= low <= arm.rate <= high <= 1


@pytest.mark.parametrize(("subjects", "tolerance"), [(5, 1), (20, 4), (100, 20), (300, 60)])
def test_subjects_are_estimated_from_full_buckets(subjects: int, tolerance: int) -> None:
    random = Random(1)  # noqa: S311 - no secret
    full = {random.randrange(128) for _ in range(subjects)}
    assert estimated_subjects(len(full), 128) == pytest.approx(subjects, abs=tolerance)


def test_subjects_are_none_where_all_is_empty_and_many_where_all_is_full() -> None:
    assert estimated_subjects(0, 128) == 0
    assert estimated_subjects(128, 128) == 710
    counted = [estimated_subjects(number, 128) for number in range(129)]
    assert counted == sorted(counted)
