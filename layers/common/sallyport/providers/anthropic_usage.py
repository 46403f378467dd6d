"""What an answer of Anthropic's Messages API says that it used, whoever gave it: Anthropic, or Bedrock on its behalf.

Its `input_tokens` are only those that no cache had a part in; all of them together are what went in.
"""

import json
import re
from typing import Any

from sallyport.providers.usage import BodyUsage, ReportedUsage, Seen, token_count

_DATA = re.compile(rb"^data:[ ]?(.*)$", re.MULTILINE)
_DELTA = re.compile(rb'"(?:text|partial_json|thinking)"\s*:\s*"((?:[^"\\]++|\\.)*+)')
_IS_DELTA = re.compile(rb'"type"\s*:\s*"content_block_delta"')
_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_BESIDE = ("compaction", "advisor_message")
"""Iterations that are charged for, but aren't in the sums at the top: summing up, asking another model."""


class AnthropicBodyUsage(BodyUsage):
    """Looks for usage in a JSON message, once it is over."""

    def __init__(self) -> None:
        super().__init__(read_anthropic_usage)


class AnthropicStreamUsage:
    """Looks for usage in a message's event stream: its beginning has the input, what comes last has all of it.

    Of a stream that broke off nothing counts as reported, for at its beginning hardly any output had been made.
    """

    def __init__(self) -> None:
        self._usage: dict[str, Any] = {}
        self._is_last = False
        self._text_bytes = 0
        self._chunks = 0

    def feed(self, events: bytes) -> None:
        """Take one or more whole events."""
        self._chunks += len(_IS_DELTA.findall(events))
        self._text_bytes += sum(len(match[1]) for match in _DELTA.finditer(events))
        if b'"usage"' in events:
            for match in _DATA.finditer(events):
                self._look(match[1])

    @property
    def reported(self) -> ReportedUsage | None:
        """Give the usage, None before the upstream has summed it up."""
        return read_anthropic_usage(self._usage) if self._is_last else None

    @property
    def seen(self) -> Seen:
        """Give how much came by."""
        return Seen(self._text_bytes, self._chunks, read_anthropic_usage(self._usage))

    def _look(self, data: bytes) -> None:
        event = _parsed(data) if b'"usage"' in data else None
        if not isinstance(event, dict):
            return
        holder = event.get("message") if event.get("type") == "message_start" else event
        usage = holder.get("usage") if isinstance(holder, dict) else None
        if isinstance(usage, dict):
            named = (*_COUNTS, "iterations")
            self._usage |= {name: usage[name] for name in named if usage.get(name) is not None}
            self._is_last = self._is_last or event.get("type") == "message_delta"


class CountTokensUsage:
    """Stands for an answer that only counts tokens: none are used for it."""

    reported: ReportedUsage | None = ReportedUsage(0, 0)
    seen = Seen()

    def feed(self, chunk: bytes) -> None:
        """Do nothing."""


def read_anthropic_usage(value: Any) -> ReportedUsage | None:
    """Read a message's `usage` object. None for what makes no sense; a count that is missing or null is 0."""
    summed_up = _read_counts(value)
    if summed_up is None:
        return None
    iterations = value.get("iterations")
    read = [_read_counts(one) for one in (iterations if isinstance(iterations, list) else ()) if _is_beside(one)]
    given, made, cached = zip(summed_up, *filter(None, read), strict=True)
    return ReportedUsage(sum(given), sum(made), sum(cached))


def _is_beside(iteration: Any) -> bool:
    return isinstance(iteration, dict) and iteration.get("type") in _BESIDE


def _read_counts(value: Any) -> ReportedUsage | None:
    if not isinstance(value, dict) or value.get("input_tokens") is None:
        return None
    counts = [token_count(0 if value.get(name) is None else value[name]) for name in _COUNTS]
    plain, output, written, cached = counts
    if plain is None or output is None or written is None or cached is None:
        return None
    return ReportedUsage(plain + written + cached, output, cached)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
