"""The faults an upstream can have, for a whole server (flags) or for one request (magic model names)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

FAULT_MODELS: Final = {
    "fault-429": "answers that status, or any other from 400 to 599, with an OpenAI-shaped error",
    "fault-cut": "cuts the connection after two chunks, or before a buffered body's end",
    "fault-silent": "takes the request and never answers",
    "fault-garbage": "answers 200 with bytes that are neither JSON nor SSE",
    "fault-stall": "streams two chunks, then sends nothing more and keeps the connection open",
}
CHUNKS_BEFORE_FAULT: Final = 2


@dataclass(frozen=True)
class Faults:
    """What goes wrong. Nothing, unless asked for."""

    delay_ms: int = 0
    status: int | None = None
    cut_after: int | None = None
    stall_after: int | None = None
    silent: bool = False
    garbage: bool = False

    def for_model(self, model: str) -> Faults:
        """These faults and the one that `model` names, if it names one."""
        name = model.removeprefix("fault-") if model.startswith("fault-") else ""
        if name.isdecimal() and 400 <= int(name) <= 599:  # noqa: PLR2004 - HTTP's error statuses
            return replace(self, status=int(name))
        named = {
            "cut": replace(self, cut_after=CHUNKS_BEFORE_FAULT),
            "silent": replace(self, silent=True),
            "garbage": replace(self, garbage=True),
            "stall": replace(self, stall_after=CHUNKS_BEFORE_FAULT),
        }
        return named.get(name, self)
