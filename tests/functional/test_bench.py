"""The benchmark measures what it says: each of its subjects starts, answers rightly, and can be looked at."""

import platform
import sys
from collections.abc import Iterator

import pytest

from bench.emulator import BenchmarkError
from bench.stage import Stage, Subject
from bench.tables import print_table, verdict


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the emulator is run as a host process on Linux x86_64 only")
    with Stage() as made:
        yield made


@pytest.fixture(params=["stock", "empty", "authorizer", "chat", "streamed_chat"])
def subject(stage: Stage, request: pytest.FixtureRequest) -> Subject:
    made = getattr(stage, request.param)()
    assert isinstance(made, Subject)
    return made


def test_a_subject_answers_its_first_event_and_the_next(subject: Subject) -> None:
    with subject.start() as function:
        assert subject.call(function) > 0
        cpu_s = function.cpu_s()
        assert subject.call(function) > 0
        assert function.cpu_s() > cpu_s
        assert function.peak_memory_bytes() > 1_000_000


def test_a_wrong_answer_is_no_measurement(stage: Stage) -> None:
    subject = stage.empty()._replace(expected=b"something else")
    with subject.start() as function, pytest.raises(BenchmarkError):
        subject.call(function)


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["function", "ms"], [["chat", "1.50"]])
    assert capsys.readouterr().out == "function    ms\n--------  ----\nchat      1.50\n"


def test_an_aim_is_met_by_what_is_not_above_it() -> None:
    assert (verdict(1.5, 1.5), verdict(1.51, 1.5)) == ("aim 1.5: met", "aim 1.5: missed")
