"""Answers of Bedrock's Converse API as OpenAI's chat completions, whole and streamed.

Source: Amazon Bedrock API Reference, Converse and ConverseStream; the service model of botocore.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sallyport.errors import UpstreamInterruptedError
from sallyport.providers.aws_event_stream import Message
from sallyport.providers.bedrock_events import an_object, event_payload
from sallyport.providers.chat_chunks import (
    CONTENT_FILTER,
    LENGTH,
    STOP,
    TOOL_CALLS,
    CalledTool,
    ChatStream,
    chat_completion,
)
from sallyport.providers.http_answers import invalid_answer
from sallyport.providers.usage import ReportedUsage, token_count

_FINISH_REASONS = {
    "content_filtered": CONTENT_FILTER,
    "end_turn": STOP,
    "guardrail_intervened": CONTENT_FILTER,
    "max_tokens": LENGTH,
    "model_context_window_exceeded": LENGTH,
    "stop_sequence": STOP,
    "tool_use": TOOL_CALLS,
}
"""By Converse's `stopReason`. Others, such as `malformed_tool_use`, have no better word than `stop`."""

_ANSWER_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class Envelope(NamedTuple):
    """What all parts of an answer name: its id, when it was made (in seconds), the client's name for the model."""

    answer_id: str
    created: int
    model: str


def answer_id(upstream_id: str, spare: Callable[[], str]) -> str:
    """Give a completion's id, made from the upstream's id of the request, or from `spare` if that is none."""
    return f"chatcmpl-{upstream_id if _ANSWER_ID.fullmatch(upstream_id) else spare()}"


def completion(raw: bytes, envelope: Envelope) -> bytes:
    """Give a Converse answer as a chat completion. Raises `UpstreamInvalidResponseError`.

    Reasoning isn't shown: nothing in a chat request asks for it.
    """
    answer = _parsed(raw)
    content = an_object(an_object(answer.get("output")).get("message")).get("content")
    if not isinstance(content, list):
        raise invalid_answer()
    blocks = [an_object(block) for block in content]
    return chat_completion(
        *envelope,
        text="".join(_text(block.get("text")) for block in blocks),
        tool_calls=[_called_tool(an_object(block["toolUse"])) for block in blocks if "toolUse" in block],
        finish_reason=_finish_reason(answer.get("stopReason")),
        usage=read_token_usage(answer.get("usage")),
    )


def completion_events(messages: Iterable[Message], writer: ChatStream) -> Iterator[bytes]:
    """Give the events of a ConverseStream answer as those of a chat completion, each whole.

    Raises `UpstreamError`s for what the stream tells of, and `UpstreamInterruptedError` if it ends before the answer.
    """
    translation = _Translation(writer)
    for message in messages:
        kind, payload = event_payload(message)
        if event := translation.of(kind, payload):
            yield event
    if not translation.finished:
        raise UpstreamInterruptedError("The upstream's answer broke off.")
    yield writer.done()


def read_token_usage(value: Any) -> ReportedUsage | None:
    """Read Converse's `usage`, None if it makes no sense. Its `inputTokens` are those that no cache had a part in."""
    names = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    usage = an_object(value)
    if "inputTokens" not in usage:
        return None
    plain, output, cached, written = (token_count(0 if usage.get(name) is None else usage[name]) for name in names)
    if plain is None or output is None or cached is None or written is None:
        return None
    return ReportedUsage(plain + cached + written, output, cached)


class _Translation:
    """What has to be known of a stream so far: Converse numbers all blocks, OpenAI the calls of functions."""

    def __init__(self, writer: ChatStream) -> None:
        self.finished = False
        self._writer = writer
        self._calls: dict[Any, int] = {}
        self._without_arguments: set[Any] = set()
        self._of: Mapping[str, Callable[[Mapping[str, Any]], bytes]] = {
            "messageStart": lambda _: writer.start(),
            "contentBlockStart": self._block_start,
            "contentBlockDelta": self._block_delta,
            "contentBlockStop": self._block_stop,
            "messageStop": self._stop,
            "metadata": lambda payload: writer.usage(read_token_usage(payload.get("usage"))),
        }

    def of(self, kind: str, payload: Mapping[str, Any]) -> bytes:
        """Give what an event becomes; nothing for one that no chat completion has."""
        translate = self._of.get(kind)
        return translate(payload) if translate is not None else b""

    def _block_start(self, payload: Mapping[str, Any]) -> bytes:
        start = an_object(payload.get("start"))
        if "toolUse" not in start:
            return b""
        call = _called_tool(an_object(start["toolUse"]))
        block = _block_index(payload)
        self._calls[block] = index = len(self._calls)
        self._without_arguments.add(block)
        return self._writer.tool_call_start(index, call.id, call.name)

    def _block_delta(self, payload: Mapping[str, Any]) -> bytes:
        delta = an_object(payload.get("delta"))
        if text := _text(delta.get("text")):
            return self._writer.text(text)
        arguments = _text(an_object(delta.get("toolUse")).get("input"))
        block = _block_index(payload)
        if not arguments or block not in self._calls:
            return b""
        self._without_arguments.discard(block)
        return self._writer.tool_call_arguments(self._calls[block], arguments)

    def _block_stop(self, payload: Mapping[str, Any]) -> bytes:
        """End a block. A call without arguments has to have some: a client reads them as JSON."""
        block = _block_index(payload)
        if block not in self._without_arguments:
            return b""
        self._without_arguments.discard(block)
        return self._writer.tool_call_arguments(self._calls[block], "{}")

    def _stop(self, payload: Mapping[str, Any]) -> bytes:
        self.finished = True
        return self._writer.finish(_finish_reason(payload.get("stopReason")))


def _called_tool(value: Mapping[str, Any]) -> CalledTool:
    arguments = json.dumps(value.get("input") or {}, ensure_ascii=False, separators=(",", ":"))
    call_id, name = _text(value.get("toolUseId")), _text(value.get("name"))
    if not call_id or not name:
        raise invalid_answer()
    return CalledTool(call_id, name, arguments)


def _finish_reason(value: Any) -> str:
    return _FINISH_REASONS.get(_text(value), STOP)


def _block_index(payload: Mapping[str, Any]) -> int:
    index = payload.get("contentBlockIndex")
    if not isinstance(index, int):
        raise invalid_answer()
    return index


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _parsed(raw: bytes) -> Mapping[str, Any]:
    try:
        return an_object(json.loads(raw))
    except (ValueError, RecursionError):
        raise invalid_answer() from None
