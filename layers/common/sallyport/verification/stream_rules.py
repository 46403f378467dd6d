"""Streamed answers held to their API: each event's data, the order of the events, and how the stream ends.

What providers publish is what is checked, as far as a client depends on it: types of events that aren't known pass, as
both APIs that name events ask of their clients. A checker goes on after a violation, so that a report tells them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sallyport.errors import InvalidJsonError
from sallyport.verification.answers import AnswerSchema
from sallyport.verification.event_stream import Event
from sallyport.verification.strict_json import parse_strict
from sallyport.verification.violations import ENCODING, ORDER, TERMINATION, Violation

DONE = "[DONE]"

MAX_PARTS = 4096
"""Choices of a chat, and blocks of a message that are open at once: no API has as many, and each takes memory."""

_UNNAMED = "message"


class StreamChecker:
    """Checks one stream of a route that streams; `schema` is the route's of events, made once per process.

    Raises `KeyError` for a route that doesn't stream.
    """

    def __init__(self, route: str, schema: AnswerSchema | None = None) -> None:
        self._rules = _RULES[route]()
        self._schema = schema or AnswerSchema.of_events(route)
        self._data: Any = None

    @property
    def data(self) -> Any:
        """Give the JSON of the event that was fed last; None where it has none, as `[DONE]` hasn't."""
        return self._data

    def feed(self, event: Event) -> Violation | None:
        """Take the next event; give what is wrong with it, if anything is."""
        self._data = None
        if event.data.strip() == DONE:
            return self._rules.done()
        try:
            self._data = parse_strict(event.data)
        except InvalidJsonError:
            return Violation(ENCODING, "data")
        return self._check(event.type, self._data)

    def end(self) -> Violation | None:
        """Say what is missing, now that the stream is over."""
        return self._rules.end()

    def _check(self, name: str, data: Any) -> Violation | None:
        """Hold an event to its schema, then to its place; what isn't as the schema says has none."""
        if isinstance(data, dict) and self._rules.is_error(data):
            return self._rules.take(name, data)
        return self._schema.check(data) or self._rules.take(name, data)


class _Rules(Protocol):
    def is_error(self, data: dict[str, Any]) -> bool:
        """Say whether an event tells an error, which the schema doesn't describe."""

    def take(self, name: str, data: dict[str, Any]) -> Violation | None:
        """Take an event that the schema permits."""

    def done(self) -> Violation | None:
        """Take `[DONE]`."""

    def end(self) -> Violation | None:
        """Say what is missing."""


class _ChatRules:
    """Chunks, of which one has a `finish_reason` for each choice; `[DONE]`, or an error, is the last event."""

    def __init__(self) -> None:
        self._choices: dict[int, bool] = {}
        self._has_failed = self._is_done = False

    def is_error(self, data: dict[str, Any]) -> bool:
        """`error` says something; in older servers' words, the whole event is one."""
        error = data.get("error")
        return (isinstance(error, dict | str) and bool(error)) or (data.get("object") == "error" and "message" in data)

    def take(self, _: str, data: dict[str, Any]) -> Violation | None:
        if self._is_done:
            return Violation(ORDER, DONE)
        if self._has_failed:
            return Violation(ORDER, "error")
        if self.is_error(data):
            self._has_failed = True
            return None
        for choice in data["choices"] or ():
            index = choice["index"]
            if index not in self._choices and len(self._choices) >= MAX_PARTS:
                return Violation(ORDER, "choices")
            self._choices[index] = self._choices.get(index, False) or bool(choice.get("finish_reason"))
        return None

    def done(self) -> Violation | None:
        if self._is_done:
            return Violation(ORDER, DONE)
        self._is_done = True
        return None if self._has_failed or self._is_finished() else Violation(TERMINATION, "finish_reason")

    def end(self) -> Violation | None:
        return None if self._is_done or self._has_failed else Violation(TERMINATION, DONE)

    def _is_finished(self) -> bool:
        return bool(self._choices) and all(self._choices.values())


class _ResponseRules:
    """`response.created` is the first and a whole response the last of the response's events; numbers ascend.

    An `error` may be the end too, alone or before `response.failed`. Events that aren't the response's own, such as
    `keepalive`, pass; so does `[DONE]` at the end, which compatible servers send.
    """

    def __init__(self) -> None:
        self._number = -1
        self._is_created = self._has_failed = self._is_over = self._is_done = False

    def is_error(self, data: dict[str, Any]) -> bool:
        return data.get("type") == "error"

    def take(self, name: str, data: dict[str, Any]) -> Violation | None:
        kind = data["type"]
        if name not in {_UNNAMED, kind}:
            return Violation(ORDER, "event")
        if (violation := self._take_number(data.get("sequence_number"))) is not None:
            return violation
        if kind == "error":
            return self._take_error()
        return self._take_own(kind) if kind.startswith("response.") else self._take_other()

    def done(self) -> Violation | None:
        if self._is_done:
            return Violation(ORDER, DONE)
        self._is_done = True
        return self.end()

    def end(self) -> Violation | None:
        return None if self._is_over or self._has_failed else Violation(TERMINATION, "response.completed")

    def _take_number(self, number: Any) -> Violation | None:
        """Not every compatible server numbers its events, nor does every error have a number."""
        if not isinstance(number, int):
            return None
        if number <= self._number:
            return Violation(ORDER, "sequence_number")
        self._number = number
        return None

    def _take_error(self) -> Violation | None:
        violation = Violation(ORDER, "error") if self._is_over or self._is_done else None
        self._has_failed = True
        return violation

    def _take_own(self, kind: str) -> Violation | None:
        violation = self._misplaced(kind)
        self._is_created = True
        self._is_over = self._is_over or kind in _LAST
        return violation

    def _misplaced(self, kind: str) -> Violation | None:
        if self._is_over or self._is_done:
            return Violation(ORDER, "response.completed")
        if self._has_failed:
            return None if kind == "response.failed" else Violation(ORDER, "error")
        return Violation(ORDER, "response.created") if (kind == "response.created") == self._is_created else None

    def _take_other(self) -> Violation | None:
        return Violation(ORDER, DONE) if self._is_done else None


_LAST = frozenset({"response.completed", "response.failed", "response.incomplete"})


class _MessageRules:
    """`message_start`; blocks, each begun, added to and ended by its index; `message_delta`; `message_stop`.

    A block's index is its place in the message. `ping` and `error` may be anywhere, and an error is the end; types that
    aren't known pass. Anthropic's SDKs go by the event's name, so it must be the data's type; `[DONE]`, with which
    compatible servers end, has none, and is passed over there.
    """

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._blocks = 0
        self._is_started = self._is_summed_up = self._is_stopped = self._has_failed = False

    def is_error(self, _: dict[str, Any]) -> bool:
        return False  # the schema describes them

    def take(self, name: str, data: dict[str, Any]) -> Violation | None:
        kind = data["type"]
        if name != kind:
            return Violation(ORDER, "event")
        if kind == "error":
            self._has_failed = True
            return None
        if kind not in _OWN:
            return None
        return self._take_own(kind, data.get("index", 0))

    def done(self) -> Violation | None:
        return None if self._is_stopped or self._has_failed else Violation(ORDER, DONE)

    def end(self) -> Violation | None:
        return None if self._is_stopped or self._has_failed else Violation(TERMINATION, "message_stop")

    def _take_own(self, kind: str, index: int) -> Violation | None:
        is_misplaced = self._has_failed or self._is_stopped or self._is_started == (kind == "message_start")
        self._is_started = True
        violation = self._advance(kind, index)
        return Violation(ORDER, kind) if is_misplaced else violation

    def _advance(self, kind: str, index: int) -> Violation | None:
        if kind == "message_start":
            return None
        if kind == "message_delta":
            self._is_summed_up = True
            return None
        return self._take_stop() if kind == "message_stop" else self._take_block(kind, index)

    def _take_block(self, kind: str, index: int) -> Violation | None:
        if kind == "content_block_start":
            is_next = index == self._blocks
            if len(self._open) >= MAX_PARTS:
                return Violation(ORDER, kind)
            self._blocks = max(self._blocks, index + 1)
            self._open.add(index)
            return None if is_next else Violation(ORDER, kind)
        if index not in self._open:
            return Violation(ORDER, kind)
        if kind == "content_block_stop":
            self._open.discard(index)
        return None

    def _take_stop(self) -> Violation | None:
        self._is_stopped = True
        if self._open:
            return Violation(TERMINATION, "content_block_stop")
        return None if self._is_summed_up else Violation(TERMINATION, "message_delta")


_OWN = frozenset({
    "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
    "message_stop",
})  # fmt: skip

_RULES: dict[str, Callable[[], _Rules]] = {
    "chat_completions": _ChatRules,
    "responses": _ResponseRules,
    "messages": _MessageRules,
}
