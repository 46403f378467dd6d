"""What an upstream says that a request used, read from its answer on the way; and how much text was seen if it didn't.

The answer itself is passed on untouched: this only looks. Reading never fails; an upstream's usage that makes no sense
is no usage.
"""

import json
import re
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

MAX_WHOLE_BYTES = 4 * 1024 * 1024
"""A JSON answer is parsed whole up to here; of a longer one the first and the last `MAX_END_BYTES` are searched."""
MAX_END_BYTES = 16 * 1024
MAX_TOKENS = 1_000_000_000
MAX_TRIES = 16
"""Of a text that isn't whole JSON: so many of its last usage objects are read, each may take all that follows."""

# A quote inside of a JSON string is escaped, so neither pattern can begin within an answer's text.
_USAGE = re.compile(rb'"usage"\s*:\s*(?=\{)')
_TEXT = re.compile(rb'"(?:content|text|reasoning_content|reasoning|refusal|arguments)"\s*:\s*"((?:[^"\\]++|\\.)*+)')
_DATA_LINE = re.compile(rb"^data:", re.MULTILINE)

type UsageObject = Callable[[Any], ReportedUsage | None]
"""Reads the `usage` object of one API; None for what makes no sense."""


class ReportedUsage(NamedTuple):
    """Tokens as the upstream counted them; `cached_input_tokens` are part of `input_tokens`."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0


class Seen(NamedTuple):
    """What of an answer came by: bytes of generated text, as JSON has them, and events that carry data.

    `begun` is what the upstream told at the beginning: all of the input, hardly any of the output.
    """

    text_bytes: int = 0
    chunks: int = 0
    begun: ReportedUsage | None = None


class StreamUsage:
    """Looks for usage in an event stream. The last one counts: some upstreams send a growing one with every chunk."""

    def __init__(self) -> None:
        self.reported: ReportedUsage | None = None
        self._text_bytes = 0
        self._chunks = 0

    def feed(self, events: bytes) -> None:
        """Take one or more whole events."""
        self._chunks += len(_DATA_LINE.findall(events))
        self._text_bytes += _text_bytes(events)
        if b'"usage"' in events:
            self.reported = search_usage(events, read_usage) or self.reported

    @property
    def seen(self) -> Seen:
        """Give how much came by."""
        return Seen(self._text_bytes, self._chunks)


class BodyUsage:
    """Looks for usage in a JSON answer, once it is over. `read`: its API's `usage`; without it, chat's."""

    def __init__(self, read: UsageObject | None = None) -> None:
        self._read = read or read_usage
        self._begun: list[bytes] = []
        self._tail = b""
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body. No more than `MAX_WHOLE_BYTES` of them is kept."""
        self._size += len(chunk)
        if self._size <= MAX_WHOLE_BYTES:
            self._begun.append(chunk)
            return
        if not self._tail:  # the first chunk over the limit
            whole = b"".join(self._begun)
            self._begun, self._tail = [whole[:MAX_END_BYTES]], whole[-MAX_END_BYTES:]
        self._tail = (self._tail + chunk)[-MAX_END_BYTES:]

    @property
    def reported(self) -> ReportedUsage | None:
        """Give the usage, None if there is none, or the body broke off before it."""
        begun = b"".join(self._begun)
        if self._tail:
            return search_usage(self._tail, self._read) or search_usage(begun, self._read)
        try:
            answer = json.loads(begun)
        except (ValueError, RecursionError):
            return search_usage(begun, self._read)
        return self._read(answer.get("usage")) if isinstance(answer, dict) else None

    @property
    def seen(self) -> Seen:
        """Give how much came by; of a body that is too long to be kept, all of it counts as text."""
        return Seen(self._size if self._tail else _text_bytes(b"".join(self._begun)))


class NoUsage:
    """Stands where nothing came back from which usage could be read."""

    reported: ReportedUsage | None = None
    seen = Seen()

    def feed(self, chunk: bytes) -> None:
        """Do nothing."""


def read_usage(value: Any) -> ReportedUsage | None:
    """Read an answer's `usage` object. None for what makes no sense.

    An embedding's has no `completion_tokens`. Output is whatever else is in `total_tokens`, where that is more: xAI and
    Gemini leave reasoning, which they charge for, out of `completion_tokens`.
    """
    if not isinstance(value, dict):
        return None
    return _read_counts(value, "prompt_tokens", "completion_tokens")


def read_responses_usage(value: Any) -> ReportedUsage | None:
    """Read the `usage` object of OpenAI's Responses API. None for what makes no sense."""
    return _read_counts(value, "input_tokens", "output_tokens") if isinstance(value, dict) else None


def token_count(value: Any) -> int | None:
    """Give a number of tokens, None for what can't be one."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS
    return value if is_count else None


def _read_counts(value: dict[str, Any], input_name: str, output_name: str) -> ReportedUsage | None:
    given, made = token_count(value.get(input_name)), token_count(_or_zero(value.get(output_name)))
    if given is None or made is None:
        return None
    made = max(made, (token_count(value.get("total_tokens")) or 0) - given)
    details = value.get(f"{input_name}_details")
    cached = token_count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return ReportedUsage(given, made, min(cached or 0, given))


def search_usage(text: bytes, read: UsageObject) -> ReportedUsage | None:
    """Give the last usage object in a part of an answer, read by `read`."""
    decode = json.JSONDecoder().raw_decode
    begins = deque((match.end() for match in _USAGE.finditer(text)), maxlen=MAX_TRIES)
    for begin in reversed(begins):
        try:
            found = read(decode(text[begin : begin + MAX_END_BYTES].decode(errors="replace"))[0])
        except (ValueError, RecursionError):
            continue
        if found is not None:
            return found
    return None


def _text_bytes(text: bytes) -> int:
    return sum(len(match[1]) for match in _TEXT.finditer(text))


def _or_zero(value: Any) -> Any:
    return 0 if value is None else value
