"""The benchmark measures what it says: each of its subjects starts, answers rightly, and can be looked at."""

import platform
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bench.emulator import BenchmarkError
from bench.fakes import Server
from bench.stage import Stage, Subject
from bench.tables import print_table, verdict
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.adapters.dynamodb_totals import DynamoDbTotalsStore
from sallyport.limits.cost import Usage
from sallyport.limits.sliding import SlidingLimiter
from sallyport.limits.totals import UsageTotals
from sallyport.policy.limit_rules import LimitRule, Window


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


def test_the_table_that_stands_in_answers_as_dynamodb_does() -> None:
    """Else a benchmark of the gateway would measure what it does while the table is away."""

    class StandIn:
        def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
            answer: dict[str, Any] = {**Server("").answer(operation.lower(), payload)}
            return answer

    limits = [LimitRule(f"key-{unit}-1m", ("key",), unit, 10, Window(60)) for unit in ("requests", "tokens")]
    limiter = SlidingLimiter(DynamoDbCounterStore(StandIn(), "counters"), lambda: 1_800_000_000_000)
    for _ in range(2):
        decision = limiter.admit("key#k1", limits, {"requests": 1, "tokens": 1})
        assert [state.remaining for state in decision.states] == [9, 9]
    UsageTotals(DynamoDbTotalsStore(StandIn(), "counters"), pytest.fail).add(
        tenant="acme", model="m", usage=Usage(1, 1), nanodollars=0, now_s=1_800_000_000
    )


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["function", "ms"], [["chat", "1.50"]])
    assert capsys.readouterr().out == "function    ms\n--------  ----\nchat      1.50\n"


def test_an_aim_is_met_by_what_is_not_above_it() -> None:
    assert (verdict(1.5, 1.5), verdict(1.51, 1.5)) == ("aim 1.5: met", "aim 1.5: missed")
