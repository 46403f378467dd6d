"""Event streams as WHATWG HTML, section 9.2, reads them: bytes, chopped anywhere, into events that keep their bytes.

What isn't UTF-8 is refused: a client would put U+FFFD in its place, and read something else than what was checked.
`id` and `retry` lines say when and where a client connects again, and nothing of an event; they stay in its bytes.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from sallyport.verification.violations import ENCODING, SIZE, Violation

MAX_EVENT_BYTES = 1_048_576

_BOM = "\ufeff"
_DATA = b"data: "
_UNNAMED = "message"
_CR = ord("\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")


class Event(NamedTuple):
    """One event: its type, `message` where it names none, its data, and all bytes since the event before.

    Comments, and blocks of lines without data, belong to the event after them.
    """

    type: str
    data: str
    raw: bytes

    def with_data(self, data: str) -> "Event":
        """Give the event with other data; its other lines stay."""
        lines, is_written = [], False
        for line in self.raw.splitlines(keepends=True):
            if line.removeprefix(b"\xef\xbb\xbf").partition(b":")[0].rstrip(b"\r\n") != b"data":
                lines.append(line)
            elif not is_written:
                lines += [b"data: " + part.encode(errors="surrogatepass") + b"\n" for part in data.split("\n")]
                is_written = True
        return self._replace(data=data, raw=b"".join(lines))


class InvalidEventStreamError(Exception):
    """The bytes are no event stream that can be checked; `violation` says why."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.kind)
        self.violation = violation


class EventReader:
    """Reads one stream. The events' `raw`, what `between` gave, and `rest`, one after another, are its bytes exactly.

    What is told doesn't depend on where the chunks begin and end, and each byte is looked at once. A line that ends in
    CR is over with the byte that follows: only that says whether LF belongs to it.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._held = bytearray()
        self._line_start = 0
        self._scanned = 0
        self._is_first_line = True
        self._type = ""
        self._data: list[str] = []
        self._is_begun = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Give the events that a chunk makes whole; each call must be read to its end.

        Raises `InvalidEventStreamError` for a line that isn't UTF-8, and for more than `max_event_bytes` bytes from
        one event's end to the next's.
        """
        if not (self._held or self._is_first_line or self._data or self._type) and self._is_lone(chunk):
            yield Event(_UNNAMED, self._decoded(chunk[len(_DATA) : -2]), bytes(chunk))
            return
        self._held += chunk
        while (end := self._line_end()) is not None:
            if (event := self._take_line(*end)) is not None:
                yield event
        if len(self._held) > self._max_event_bytes:
            raise InvalidEventStreamError(Violation(SIZE, ""))

    def end(self) -> Iterator[Event]:
        """Give the event that a CR ended as the stream's last byte, if one did. Raises as `feed` does."""
        at = self._scanned
        if self._held[at:] == b"\r" and (event := self._take_line(at, at + 1)) is not None:
            yield event

    def between(self) -> bytes:
        """Give, and let go of, whole lines of no event that has begun: comments, which keep a silent stream alive."""
        if self._is_begun or self._line_start == 0:
            return b""
        lines = bytes(self._held[: self._line_start])
        self._forget(self._line_start)
        return lines

    def rest(self) -> bytes:
        """Give the bytes after the last event: at a stream's end they are none, whatever they say."""
        return bytes(self._held)

    def _is_lone(self, chunk: bytes) -> bool:
        """Say whether a chunk is one event of one line, as most of a chat are: taken whole, it costs a third."""
        return (
            chunk.startswith(_DATA)
            and chunk.endswith(b"\n\n")
            and chunk.count(b"\n") == len(b"\n\n")
            and b"\r" not in chunk
            and len(chunk) <= self._max_event_bytes
        )

    def _line_end(self) -> tuple[int, int] | None:
        """Give where the next line's end begins and ends, None if it isn't there yet."""
        held = self._held
        match = _LINE_END.search(held, self._scanned)
        if match is None:
            self._scanned = len(held)
            return None
        start, end = match.span()
        if start + 1 == len(held) and held[start] == _CR:
            self._scanned = start
            return None
        return start, end

    def _take_line(self, line_end: int, end: int) -> Event | None:
        line = self._decoded(self._held[self._line_start : line_end])
        self._line_start = self._scanned = end
        if line:
            self._take_field(line)
            return None
        return self._dispatched(end)

    def _decoded(self, raw: bytes | bytearray) -> str:
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise InvalidEventStreamError(Violation(ENCODING, "")) from None
        if self._is_first_line:
            self._is_first_line = False
            return line.removeprefix(_BOM)
        return line

    def _take_field(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name == "":  # a comment
            return
        self._is_begun = True
        if name == "data":
            self._data.append(value.removeprefix(" "))
        elif name == "event":
            self._type = value.removeprefix(" ")

    def _dispatched(self, end: int) -> Event | None:
        """End a block of lines; one without data is no event (section 9.2.6)."""
        kind, data = self._type or _UNNAMED, self._data
        self._type, self._data, self._is_begun = "", [], False
        if not data:
            return None
        if end > self._max_event_bytes:
            raise InvalidEventStreamError(Violation(SIZE, ""))
        event = Event(kind, "\n".join(data), bytes(self._held[:end]))
        self._forget(end)
        return event

    def _forget(self, end: int) -> None:
        del self._held[:end]
        self._line_start -= end
        self._scanned -= end
