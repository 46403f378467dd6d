"""Anthropic's event stream as OpenAI's, event by event.

Nothing is written before the first event of content: an error that the upstream tells until then is still one that
another target can be asked after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar

from sallyport.errors import SallyportError, UpstreamError, UpstreamInterruptedError, UpstreamTimeoutError
from sallyport.providers.anthropic_answer import Heading, answer_id, arguments_json, finish_reason, told_failure
from sallyport.providers.anthropic_events import read_events
from sallyport.providers.anthropic_usage import read_anthropic_usage
from sallyport.providers.chat_chunks import STOP, ChatStream
from sallyport.providers.http_answers import invalid_answer

_OWN_WORDS = (UpstreamInterruptedError, UpstreamTimeoutError)
"""Errors of the connection: they say already what became of a stream that had begun."""


def translated_stream(chunks: Iterator[bytes], heading: Heading, *, include_usage: bool) -> Iterator[bytes]:
    """Give a stream of messages' events as one of chat completion chunks, each yield of whole events.

    Raises `UpstreamError`s; after the first yield they are `UpstreamInterruptedError` or the connection's own.
    """
    translation = _Translation(heading, include_usage=include_usage)
    has_begun = False
    try:
        for event in read_events(chunks):
            if written := translation.take(event):
                has_begun = True
                yield written
            if translation.is_over:
                _drain(chunks)
                return
    except UpstreamError as error:
        if has_begun and not isinstance(error, _OWN_WORDS):
            raise UpstreamInterruptedError("The upstream failed in mid-answer.") from None
        raise
    raise UpstreamInterruptedError("The upstream's answer broke off.")


def _drain(chunks: Iterator[bytes]) -> None:
    """Read to the end, which follows at once, so that the connection can be used again."""
    with suppress(SallyportError):
        for _ in chunks:
            pass


class _Call:
    """A function's call that is being streamed, the `index`-th of its answer."""

    def __init__(self, index: int, whole: Any) -> None:
        self.index = index
        self.whole = whole
        self.is_told = False


class _Translation:
    """Takes the events of one message in their order."""

    def __init__(self, heading: Heading, *, include_usage: bool) -> None:
        self.is_over = False
        self._heading = heading
        self._include_usage = include_usage
        self._stream: ChatStream | None = None
        self._has_begun = False
        self._calls: dict[int, _Call] = {}
        self._called = 0
        self._usage: dict[str, Any] = {}
        self._is_summed_up = False
        self._finish_reason = STOP

    def take(self, event: Mapping[str, Any]) -> bytes:
        """Give what an event comes to, which may be nothing; kinds that aren't known are passed over, as documented."""
        kind = event.get("type")
        if kind == "error":
            raise told_failure(event)
        reader = self._READERS.get(kind) if isinstance(kind, str) else None
        return reader(self, event) if reader is not None else b""

    def _message_start(self, event: Mapping[str, Any]) -> bytes:
        message = _object(event, "message")
        self._note_usage(message)
        created, model = self._heading
        self._stream = ChatStream(answer_id(message.get("id")), created, model, include_usage=self._include_usage)
        return b""

    def _block_start(self, event: Mapping[str, Any]) -> bytes:
        block = _object(event, "content_block")
        if block.get("type") == "text":
            return self._told(self._text(block))
        if block.get("type") != "tool_use":
            return b""
        call = _Call(self._called, block.get("input"))
        self._calls[_index(event)] = call
        self._called += 1
        started = self._writer.tool_call_start(call.index, _string(block, "id"), _string(block, "name"))
        return self._told(started)

    def _block_delta(self, event: Mapping[str, Any]) -> bytes:
        delta = _object(event, "delta")
        if delta.get("type") == "text_delta":
            return self._told(self._text(delta))
        if delta.get("type") != "input_json_delta":
            return b""
        call = self._calls.get(_index(event))
        part = _string(delta, "partial_json")
        if call is None or not part:
            return b""
        call.is_told = True
        return self._told(self._writer.tool_call_arguments(call.index, part))

    def _block_stop(self, event: Mapping[str, Any]) -> bytes:
        """End a call: one whose arguments didn't come in pieces has them at its beginning, or has none."""
        call = self._calls.pop(_index(event), None)
        if call is None or call.is_told:
            return b""
        return self._told(self._writer.tool_call_arguments(call.index, arguments_json(call.whole or {})))

    def _message_delta(self, event: Mapping[str, Any]) -> bytes:
        self._note_usage(event)
        self._is_summed_up = self._is_summed_up or isinstance(event.get("usage"), dict)
        reason = _object(event, "delta").get("stop_reason")
        if reason is not None:
            self._finish_reason = finish_reason(reason)
        return b""

    def _message_stop(self, _: Mapping[str, Any]) -> bytes:
        self.is_over = True
        used = read_anthropic_usage(self._usage) if self._is_summed_up else None  # the beginning has hardly any output
        writer = self._writer
        return self._told(writer.finish(self._finish_reason) + writer.usage(used) + writer.done())

    @property
    def _writer(self) -> ChatStream:
        if self._stream is None:
            raise invalid_answer()
        return self._stream

    def _text(self, holder: Mapping[str, Any]) -> bytes:
        text = _string(holder, "text")
        return self._writer.text(text) if text else b""

    def _told(self, written: bytes) -> bytes:
        """Give what was written, before the first of it the answer's beginning."""
        if self._has_begun or not written:
            return written
        self._has_begun = True
        return self._writer.start() + written

    def _note_usage(self, holder: Mapping[str, Any]) -> None:
        """Remember counts; they grow, and those that an event leaves out stay."""
        usage = holder.get("usage")
        if isinstance(usage, dict):
            self._usage |= {name: count for name, count in usage.items() if count is not None}

    _READERS: ClassVar[Mapping[str, Callable[[_Translation, Mapping[str, Any]], bytes]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
    }


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not isinstance(value := holder.get(name), dict):
        raise invalid_answer()
    return value


def _string(holder: Mapping[str, Any], name: str) -> str:
    if not isinstance(value := holder.get(name), str):
        raise invalid_answer()
    return value


def _index(event: Mapping[str, Any]) -> int:
    if not isinstance(value := event.get("index"), int):
        raise invalid_answer()
    return value
