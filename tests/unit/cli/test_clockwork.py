"""Scheduled functions are called by the clock, one call at a time, whatever a call comes to."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sallyport_cli.local.clockwork import Clockwork, scheduled_event
from sallyport_cli.local.invocation import Answer, BodyPipe, BufferedAnswer, StreamedAnswer, failure
from sallyport_cli.local.pool import ThrottledError
from sallyport_cli.local.schedules import Schedule, read_rate
from sallyport_cli.local.stack import load_stack
from sallyport_cli.local.template_file import TemplateError

TEMPLATE = Path(__file__).parents[3] / "template.yaml"
EACH_MINUTE = Schedule("GuardFunction", 1)
NOON_S = 1_767_268_800.0


class FakeClock:
    """Time that passes by being slept away; after so many sleeps the run is over."""

    def __init__(self, sleeps: int) -> None:
        self.now_s = NOON_S
        self.slept: list[float] = []
        self._left = sleeps

    async def sleep(self, time_s: float) -> None:
        if not self._left:
            raise asyncio.CancelledError
        self._left -= 1
        self.slept.append(time_s)
        self.now_s += time_s


class FakeFunction:
    """Answers what it is told to; every call is kept, with the time that its event says."""

    def __init__(self, answer: Callable[[], Answer] = lambda: BufferedAnswer(b"null")) -> None:
        self._answer = answer
        self.events: list[dict[str, Any]] = []

    async def invoke(self, payload: bytes, trace_id: str = "", request_id: str | None = None) -> Answer:
        self.events.append(json.loads(payload))
        return self._answer()


def run(function: FakeFunction, clock: FakeClock, schedule: Schedule = EACH_MINUTE) -> list[str]:
    """Let the clock run out, and give what was complained about."""
    said: list[str] = []
    clockwork = Clockwork("eu-west-1", 5, said.append, clock.sleep, lambda: clock.now_s)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(clockwork.run(schedule, function))
    return said


def test_a_function_is_called_when_each_of_its_minutes_is_over() -> None:
    function, clock = FakeFunction(), FakeClock(3)
    assert run(function, clock) == []
    assert clock.slept == [5, 5, 5]
    times = [str(event["time"]) for event in function.events]
    assert times == ["2026-01-01T12:00:05Z", "2026-01-01T12:00:10Z", "2026-01-01T12:00:15Z"]


def test_a_longer_schedule_takes_as_many_minutes() -> None:
    function, clock = FakeFunction(), FakeClock(2)
    run(function, clock, Schedule("HourlyFunction", 60))
    assert clock.slept == [300, 300]


@pytest.mark.parametrize("answer", [lambda: failure("Boom", "it broke"), lambda: failure("Sandbox.Timedout", "late")])
def test_a_call_that_fails_is_told_and_the_next_one_comes(answer: Callable[[], Answer]) -> None:
    function = FakeFunction(answer)
    said = run(function, FakeClock(2))
    assert (len(said), len(function.events)) == (2, 2)
    assert said[0].startswith("  GuardFunction | failed: ")


def test_a_call_that_finds_no_process_is_left_out() -> None:
    def throttle() -> Answer:
        raise ThrottledError

    function = FakeFunction(throttle)
    assert run(function, FakeClock(2)) == []
    assert len(function.events) == 2


def test_a_streamed_answer_keeps_no_function_waiting() -> None:
    pipe = BodyPipe()
    run(FakeFunction(lambda: StreamedAnswer("text/plain", pipe)), FakeClock(1))

    async def put_much() -> None:
        async with asyncio.timeout(5):
            await pipe.put(b"x" * 2_000_000)
            await pipe.put(b"x")

    asyncio.run(put_much())


def test_the_event_is_eventbridges() -> None:
    event = scheduled_event(EACH_MINUTE, "eu-west-1", NOON_S)
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.events", "Scheduled Event", {})
    assert (event["region"], event["time"]) == ("eu-west-1", "2026-01-01T12:00:00Z")


def test_a_schedule_is_described_as_here_and_on_aws() -> None:
    clockwork = Clockwork("eu-west-1", 2.5, print)
    assert clockwork.describe(EACH_MINUTE) == "GuardFunction every 2.5 s (on AWS every minute)"
    assert clockwork.describe(Schedule("F", 60)) == "F every 150 s (on AWS every 60 minutes)"


@pytest.mark.parametrize(
    ("expression", "minutes"),
    [("rate(1 minute)", 1), ("rate(5 minutes)", 5), ("rate(2 hours)", 120), ("rate(1 day)", 1440)],
)
def test_a_rate_is_read_in_minutes(expression: str, minutes: int) -> None:
    assert read_rate(expression, "here") == minutes


@pytest.mark.parametrize("expression", ["cron(0 12 * * ? *)", "rate(0 minutes)", "rate(1 second)", "1 minute", ""])
def test_any_other_schedule_is_refused_with_its_place(expression: str) -> None:
    with pytest.raises(TemplateError, match=r"here\.Schedule"):
        read_rate(expression, "here")


def test_the_products_guard_is_called_each_minute_unless_it_is_disabled() -> None:
    assert load_stack(TEMPLATE, {}).schedules == (Schedule("CanaryGuardFunction", 1),)
    assert load_stack(TEMPLATE, {"CanaryGuard": "disabled"}).schedules == ()
