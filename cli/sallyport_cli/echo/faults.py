"""The faults an upstream can have, for a whole server (flags) or for one request (magic model names)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Final

FAULT_MODELS: Final = {
    "fault-429": "answers that status, or any other from 400 to 599, with an OpenAI-shaped error",
    "fault-cut": "cuts the connection after two chunks, or before a buffered body's end",
    "fault-silent": "takes the request and never answers",
    "fault-garbage": "answers 200 with bytes that are neither JSON nor SSE",
    "fault-stall": "streams two chunks, then sends nothing more and keeps the connection open",
    "fault-schema": "answers with a field of a wrong type; of a stream in the third event",
    "fault-order": "streams its first event again, after two events and after the end",
    "fault-unfinished": "ends a stream without its last two events, or a body in the middle, in good order",
    "fault-html": "answers 200 with a page of HTML, and says so",
    "fault-leak": "says an AWS key (of AWS's documentation) and a card's number (for tests), streamed in pieces",
}
SCHEMA, ORDER, UNFINISHED, HTML, LEAK = "schema", "order", "unfinished", "html", "leak"
VIOLATIONS: Final = (SCHEMA, ORDER, UNFINISHED, HTML, LEAK)
"""What an answer has that looks like a good one."""

CHUNKS_BEFORE_FAULT: Final = 2


class Turns:
    """Counts requests; every `period`-th has its turn to fail."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._numbers = itertools.count(1)

    def take(self) -> bool:
        """Count a request, and say whether its turn has come."""
        return next(self._numbers) % self._period == 0


@dataclass(frozen=True)
class Faults:
    """What goes wrong. Nothing, unless asked for. With `turns`, `status` answers those alone that have one.

    `violation`: one of `VIOLATIONS`, or empty.
    """

    delay_ms: int = 0
    status: int | None = None
    turns: Turns | None = None
    cut_after: int | None = None
    stall_after: int | None = None
    silent: bool = False
    garbage: bool = False
    violation: str = ""

    def for_model(self, model: str) -> Faults:
        """These faults and the one that `model` names, if it names one."""
        name = model.removeprefix("fault-") if model.startswith("fault-") else ""
        if name.isdecimal() and 400 <= int(name) <= 599:  # noqa: PLR2004 - HTTP's error statuses
            return replace(self, status=int(name), turns=None)
        if name in VIOLATIONS:
            return replace(self, violation=name)
        named = {
            "cut": replace(self, cut_after=CHUNKS_BEFORE_FAULT),
            "silent": replace(self, silent=True),
            "garbage": replace(self, garbage=True),
            "stall": replace(self, stall_after=CHUNKS_BEFORE_FAULT),
        }
        return named.get(name, self)

    def take_status(self) -> int | None:
        """Count a request, and give the status that it is to be answered with; None: with what it asks for."""
        return self.status if self.turns is None or self.turns.take() else None
