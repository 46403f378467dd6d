"""The benchmarks of limits and of the estimate measure what they say."""

from collections.abc import Iterator

import pytest

from bench import limits_crowd
from bench.estimate import LEAST, pieces, samples
from bench.limits_crowd import LIMIT, Entry, Result
from bench.limits_work import Row, count_writes, emulator_cases, item_sizes, memory_cases
from sallyport.limits.estimate import estimate_prompt_tokens
from tests.support.aws import COUNTERS_TABLE, Emulator
from tests.support.contention import Crowd, Target


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {row.name: row for row in count_writes()}


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    with Crowd() as started:
        yield started


def test_an_admission_is_one_write_per_scope(rows: dict[str, Row]) -> None:
    assert rows["one scope"] == Row("one scope", True, 1, 1)
    assert rows["three scopes with six rules"][1:] == (True, 3, 3)


def test_a_settlement_is_one_write_per_settled_scope(rows: dict[str, Row]) -> None:
    assert rows["its settlement: tokens and money of two scopes"][2:] == (2, 2)


def test_a_refusal_writes_nothing_and_the_next_asks_nothing(rows: dict[str, Row]) -> None:
    assert rows["refused by its only scope"][1:] == (False, 1, 0)
    assert rows["the same again: from memory"][1:] == (False, 0, 0)
    assert rows["a cost that alone is over the limit"][1:] == (False, 0, 0)


def test_every_case_of_cpu_runs(emulator: Emulator) -> None:
    for case in [*memory_cases(calls=2), *emulator_cases(emulator, calls=2)]:
        case.make_batch()()


def test_an_item_of_twenty_rules_or_fifty_leases_is_written_as_one_kilobyte(emulator: Emulator) -> None:
    sizes = dict(item_sizes(emulator))
    assert sizes["1 rule"] < sizes["5 rules"] < sizes["20 rules"] <= 1024
    assert sizes["1 rule, 50 leases"] <= 1024


def test_the_gateway_s_limiter_is_measured_as_exact(crowd: Crowd, emulator: Emulator) -> None:
    target = Target(emulator.url, COUNTERS_TABLE)
    admitted, errors, _ = limits_crowd.measure(crowd, target, Entry("sallyport", {}), 0, repeats=1)
    assert (admitted, errors) == ((LIMIT,), 0)


def test_too_many_and_too_few_are_told_in_percent() -> None:
    assert limits_crowd.cells("x", Result((LIMIT + 28, LIMIT - 3), 0, 1.0))[1:5] == ["97-128", "28", "3", "0"]


def test_the_samples_are_many_and_of_many_kinds() -> None:
    found = list(samples())
    assert len({sample.kind for sample in found}) > 20
    assert all(estimate_prompt_tokens("chat_completions", sample.body) > 10 for sample in found)


def test_a_text_is_cut_without_a_scrap_at_its_end() -> None:
    assert [len(piece) for piece in pieces("x" * (2 * 300 + LEAST - 1), 300)] == [300, 300]
