"""What the user sees on stderr: one line per request, and the functions' own output when it matters."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Final, TextIO

_LOUD_LEVELS: Final = frozenset({"WARNING", "ERROR", "CRITICAL", "FATAL"})
_ESSENTIAL_FIELDS: Final = ("message", "errorMessage", "reason", "detail", "location", "requestId", "request_id")
_REFUSALS: Final = frozenset({"unauthorized", "denied"})
_VERDICT: Final = "canary verdict"
_REMEMBERED_LINES: Final = 40


@dataclass
class RequestRecord:
    """What is known of a request when it has been answered."""

    method: str
    path: str
    started_at_s: float
    status: int = 0
    function: str = "-"
    tenant: str = ""
    first_byte_s: float | None = None
    sent_bytes: int = 0
    note: str = ""


class Console:
    """Writes to stderr. With `verbose` everything the functions print, else warnings and what precedes a crash.

    `log` gets every line that a function prints, as it is: what CloudWatch Logs would keep.
    """

    def __init__(self, *, verbose: bool = False, stream: TextIO | None = None, log: TextIO | None = None) -> None:
        self._verbose = verbose
        self._log = log
        self._stream = stream or sys.stderr
        self._recent: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_REMEMBERED_LINES))

    def say(self, text: str) -> None:
        """A line for the user."""
        print(text, file=self._stream, flush=True)

    def line(self, function: str, text: str) -> None:
        """One line that a function printed."""
        if self._log is not None:
            self._log.write(f"{text}\n")
        if self._verbose:
            self.say(f"  {function} | {text}")
        elif (loud := _loud_text(text)) is not None:
            self.say(f"  {function} | {loud}")
        else:
            self._recent[function].append(text)

    def crashed(self, function: str, reason: str) -> None:
        """A function's process ended out of turn."""
        for text in self._recent.pop(function, ()):
            self.say(f"  {function} | {text}")
        self.say(f"  {function} | {reason}")

    def request(self, record: RequestRecord) -> None:
        """One request, answered."""
        elapsed_ms = (time.perf_counter() - record.started_at_s) * 1000
        first_byte = f", first byte {record.first_byte_s * 1000:.0f} ms" if record.first_byte_s is not None else ""
        tenant = f" tenant={record.tenant}" if record.tenant else ""
        note = f" ({record.note})" if record.note else ""
        self.say(
            f"{time.strftime('%H:%M:%S')} {record.method} {record.path} {record.status} {elapsed_ms:.0f} ms{first_byte}"
            f" {record.sent_bytes} B {record.function}{tenant}{note}"
        )


def _loud_text(text: str) -> str | None:
    """What to show of a line of level WARNING or above, the essence of a JSON one; None for all others."""
    if text.startswith(("[WARNING]", "[ERROR]", "[CRITICAL]")):
        return text
    try:
        record = json.loads(text)
    except ValueError:
        return None
    if isinstance(record, dict) and str(record.get("decision")) in _REFUSALS:
        return f"{record['decision']}: {record.get('reason', '')}"  # the one place where the reason of a 401 is told
    if isinstance(record, dict) and record.get("message") == _VERDICT:
        action = str(record.get("action")).replace("_", " ")
        return f"canary {record.get('canary')}: {action}: {record.get('reason')}"
    if not isinstance(record, dict) or (level := str(record.get("level", "")).upper()) not in _LOUD_LEVELS:
        return None
    essence = [str(record[name]) for name in _ESSENTIAL_FIELDS if record.get(name)]
    return " ".join([level, *essence])
