"""The benchmark of routing measures what it says."""

import platform
import sys
from collections.abc import Iterator

import pytest

from bench.routing_decisions import SIZES, candidate_cases, policy_cases
from bench.routing_streams import Pair
from bench.stage import Stage


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the function is run as shipped for Linux x86_64 only")
    with Stage() as stage, Pair(stage) as made:
        yield made


def test_every_case_of_a_decision_runs() -> None:
    cases = [*policy_cases(calls=2), *candidate_cases(calls=2)]
    assert len(cases) == 2 * len(SIZES)
    for case in cases:
        case.make_batch()()


def test_an_answer_is_the_same_directly_and_through_the_gateway(pair: Pair) -> None:
    direct, through = pair.measure(events=70, rounds=2, warm_up=1)
    assert len({each.size for each in (*direct, *through)}) == 1
    assert all(0 < each.first_s < each.whole_s for each in (*direct, *through))


def test_a_longer_answer_is_so_much_larger(pair: Pair) -> None:
    (short, *_), (through, *_) = (pair.measure(events=events, rounds=1, warm_up=0)[1] for events in (100, 200))
    event_bytes = (through.size - short.size) / 100
    assert 150 < event_bytes < 200
    (together, *_), _ = pair.measure(events=257, rounds=1, warm_up=0, in_chunk=64)
    assert (together.size - through.size) / 57 == pytest.approx(event_bytes, abs=1)
