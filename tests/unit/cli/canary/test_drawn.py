"""Intervals as bars, and percentiles of a histogram."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport_cli.canary.interval_bars import WIDTH, Interval, interval_bar, top_of
from sallyport_cli.canary.percentiles import percentile_ms
from sallyport_cli.limits.bars import Look

PLAIN, BLOCKS = Look(), Look(blocks=True)
BOUNDS_MS = (100, 250, 500)


def test_an_interval_shows_the_rate_and_how_sure_it_is() -> None:
    assert interval_bar(Interval(0.0, 0.005, 0.0125), 0.02, PLAIN) == f"[{'-' * 10}o{'-' * 15}{'.' * 14}]"
    assert interval_bar(Interval(0.01, 0.015, 0.02), 0.02, BLOCKS) == f"[{'·' * 20}{'━' * 10}●{'━' * 9}]"


def test_what_is_certain_is_a_point() -> None:
    assert interval_bar(Interval(0.0, 0.0, 0.0), 0.01, PLAIN) == f"[o{'.' * 39}]"
    assert interval_bar(Interval(1.0, 1.0, 1.0), 1.0, PLAIN) == f"[{'.' * 39}o]"


@pytest.mark.parametrize(
    ("high", "top"), [(0.0, 0.01), (0.01, 0.01), (0.013, 0.02), (0.049, 0.05), (0.05, 0.05), (0.06, 0.1), (0.7, 1.0)]
)
def test_bars_end_at_a_round_rate(high: float, top: float) -> None:
    assert top_of(Interval(0, 0, 0.004), Interval(0, 0, high)) == pytest.approx(top)


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_a_bar_has_its_width_and_one_point(rates: tuple[float, float, float]) -> None:
    interval = Interval(*sorted(rates))
    drawn = interval_bar(interval, top_of(interval), PLAIN)
    assert (len(drawn), drawn.count("o")) == (WIDTH + 2, 1)


def test_percentiles_lie_within_their_class() -> None:
    counts = (50, 40, 10, 0)
    assert percentile_ms(counts, BOUNDS_MS, 0.25) == 50
    assert percentile_ms(counts, BOUNDS_MS, 0.5) == 100
    assert percentile_ms(counts, BOUNDS_MS, 0.9) == 250
    assert percentile_ms(counts, BOUNDS_MS, 0.95) == 375


def test_percentiles_of_nothing_and_of_the_endless_class() -> None:
    assert percentile_ms((0, 0, 0, 0), BOUNDS_MS, 0.5) is None
    assert percentile_ms((1, 0, 0, 9), BOUNDS_MS, 0.5) == math.inf
