"""Calls functions by the clock, as EventBridge does, only faster: nobody here waits for minutes.

What they print is treated like every function's output, so a run that goes well isn't seen.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from sallyport_cli.local.intrinsics import ACCOUNT_ID
from sallyport_cli.local.invocation import Answer, FailedAnswer, StreamedAnswer
from sallyport_cli.local.pool import ThrottledError
from sallyport_cli.local.schedules import Schedule

DEFAULT_MINUTE_S: Final = 5.0
"""How long a schedule's minute takes here unless the user says otherwise."""


class Invoked(Protocol):
    """What can be called with an event, such as a function's pool."""

    async def invoke(self, payload: bytes, trace_id: str = "", request_id: str | None = None) -> Answer:
        """The answer; raises `ThrottledError`."""


class Clockwork:
    """Calls scheduled functions, each of them one call at a time. `minute_s` is how long a minute takes."""

    def __init__(
        self,
        region: str,
        minute_s: float,
        complain: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._region = region
        self._minute_s = minute_s
        self._complain = complain
        self._sleep = sleep
        self._now_s = now_s

    def describe(self, schedule: Schedule) -> str:
        """How often a function is called, here and on AWS."""
        on_aws = "minute" if schedule.minutes == 1 else f"{schedule.minutes} minutes"
        return f"{schedule.function} every {self._period_s(schedule):g} s (on AWS every {on_aws})"

    async def run(self, schedule: Schedule, function: Invoked) -> None:
        """Calls the function until it is cancelled; a call that fails is told, and the next one comes in its time."""
        while True:
            await self._sleep(self._period_s(schedule))
            await self._call(schedule, function)

    def _period_s(self, schedule: Schedule) -> float:
        return schedule.minutes * self._minute_s

    async def _call(self, schedule: Schedule, function: Invoked) -> None:
        event = scheduled_event(schedule, self._region, self._now_s())
        try:
            answer = await function.invoke(json.dumps(event).encode())
        except ThrottledError:
            return
        if isinstance(answer, FailedAnswer):
            self._complain(f"  {schedule.function} | failed: {answer.error_type} {answer.message}")
        elif isinstance(answer, StreamedAnswer):
            answer.body.abandon()


def scheduled_event(schedule: Schedule, region: str, now_s: float) -> Mapping[str, object]:
    """The event that EventBridge sends (its user guide, "Scheduled events")."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT_ID,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s)),
        "region": region,
        "resources": [f"arn:aws:events:{region}:{ACCOUNT_ID}:rule/{schedule.function}"],
        "detail": {},
    }
