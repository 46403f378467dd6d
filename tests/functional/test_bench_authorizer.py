"""The authorizer's benchmark measures what it says: its cases run, on lists and credentials that are what they seem."""

from collections.abc import Callable
from random import Random

import pytest

from bench import networks
from bench.authorizer import ROWS, credential_cases
from bench.cpu import Case, Figures, figure, measure
from bench.emulator import BenchmarkError
from sallyport.access.networks import NetworkSet

RANDOM = Random(1)  # noqa: S311 - no secret


def test_every_figure_printed_is_of_a_case_that_runs() -> None:
    figures = measure(credential_cases(calls=3, tokens=2), batches=2)
    assert {row.name for row in ROWS} == set(figures)
    assert {row.floor for row in ROWS if row.floor} <= set(figures)
    assert all(len(found.batches_us) == 2 for found in figures.values())


def test_cases_take_turns_and_their_first_batch_is_not_counted() -> None:
    order: list[str] = []

    def case(name: str) -> Case:
        return Case(name, 1, lambda: lambda: order.append(name))

    assert len(measure([case("a"), case("b")], batches=2)["a"].batches_us) == 2
    assert order == ["a", "b"] * 3


def test_what_prepares_a_batch_is_not_measured() -> None:
    def work() -> object:
        return sum(range(300_000))

    def make_batch() -> Callable[[], object]:
        work()
        return lambda: None

    slow, quick = Case("slow", 1, lambda: work), Case("prepared", 1, make_batch)
    figures = measure([slow, quick], batches=3)
    assert figures["prepared"].median_us < figures["slow"].median_us


@pytest.mark.parametrize("version", [4, 6])
def test_lists_are_drawn_of_mixed_lengths_and_load_as_packed(version: int) -> None:
    drawn = networks.draw_networks(RANDOM, version, 300)
    assert len({network.length for network in drawn}) > 10
    found = NetworkSet(map(str, drawn))
    assert len(found) == 300
    names = {case.name for case in networks.lookup_cases("few", found, drawn, RANDOM)}
    assert names == {"few hits", "few misses"}
    loading = networks.measure_loading(found)
    assert loading.held_bytes > 300 * (8 if version == 4 else 32) * 0.5
    assert loading.peak_bytes >= loading.held_bytes


def test_a_set_that_lacks_a_network_is_no_measurement() -> None:
    drawn = networks.draw_networks(RANDOM, 4, 10)
    with pytest.raises(BenchmarkError):
        networks.lookup_cases("few", NetworkSet(map(str, drawn[1:])), drawn, RANDOM)


def test_the_figures_of_networks_stand_beside_their_aim(capsys: pytest.CaptureFixture[str]) -> None:
    networks.run(counts=(2, 20))
    printed = capsys.readouterr().out
    assert printed.count("aim 2: ") == 8
    assert "IPv6, misses" in printed


def test_figures_have_about_three_digits() -> None:
    assert [figure(number) for number in (0.07571, 6.494, 17.44, 102.4, 12345.6)] == [
        "0.0757",
        "6.49",
        "17.4",
        "102",
        "12346",
    ]
    assert Figures((3.0, 1.0, 2.0)).median_us == 2.0
    assert Figures((3.0, 1.0, 2.0)).range() == "1-3"
