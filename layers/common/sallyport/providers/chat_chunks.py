"""Writing OpenAI's chat answers for an upstream that speaks another API: whole, as events, and as errors."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sallyport.providers.usage import ReportedUsage

STOP = "stop"
LENGTH = "length"
TOOL_CALLS = "tool_calls"
CONTENT_FILTER = "content_filter"

MAX_ERROR_MESSAGE_LENGTH = 2000


class CalledTool(NamedTuple):
    """A function that the model calls; `arguments` is their JSON."""

    id: str
    name: str
    arguments: str


class ChatStream:
    """Writes the events of one streamed chat completion; each method gives the bytes of whole events."""

    def __init__(self, answer_id: str, created: int, model: str, *, include_usage: bool) -> None:
        self._envelope = {"id": answer_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._no_usage: dict[str, Any] = {"usage": None} if include_usage else {}
        self._include_usage = include_usage

    def start(self) -> bytes:
        """Begin the answer."""
        return self._delta({"role": "assistant", "content": ""})

    def text(self, delta: str) -> bytes:
        """Add text."""
        return self._delta({"content": delta})

    def tool_call_start(self, index: int, call_id: str, name: str) -> bytes:
        """Begin a function's call, the `index`-th of the answer from 0."""
        function = {"name": name, "arguments": ""}
        return self._delta({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})

    def tool_call_arguments(self, index: int, delta: str) -> bytes:
        """Add to the JSON of that call's arguments."""
        return self._delta({"tool_calls": [{"index": index, "function": {"arguments": delta}}]})

    def finish(self, reason: str) -> bytes:
        """End the answer."""
        return self._delta({}, reason)

    def usage(self, used: ReportedUsage | None) -> bytes:
        """Give the event that has no choices but the usage; nothing if it isn't wanted or isn't known."""
        if not self._include_usage or used is None:
            return b""
        return _event({**self._envelope, "choices": [], "usage": _usage(used)})

    def done(self) -> bytes:
        """End the stream."""
        return b"data: [DONE]\n\n"

    def _delta(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event({**self._envelope, "choices": [choice], **self._no_usage})


def chat_completion(
    answer_id: str,
    created: int,
    model: str,
    *,
    text: str,
    tool_calls: Sequence[CalledTool],
    finish_reason: str,
    usage: ReportedUsage | None,
) -> bytes:
    """Give a whole chat completion. `created` is in seconds since 1970."""
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if tool_calls else ""), "refusal": None}
    if tool_calls:
        message["tool_calls"] = [_call(call) for call in tool_calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    used = {"usage": _usage(usage)} if usage is not None else {}
    envelope = {"id": answer_id, "object": "chat.completion", "created": created, "model": model}
    return _json({**envelope, "choices": [choice], **used})


def chat_error(message: str, kind: str, code: str | None = None) -> bytes:
    """Give OpenAI's error body. The message is cut to `MAX_ERROR_MESSAGE_LENGTH` characters."""
    error = {"message": message[:MAX_ERROR_MESSAGE_LENGTH], "type": kind, "param": None, "code": code}
    return _json({"error": error})


def _call(call: CalledTool) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _usage(used: ReportedUsage) -> dict[str, Any]:
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_input_tokens},
    }


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + _json(data) + b"\n\n"


def _json(value: Mapping[str, Any]) -> bytes:
    """Write JSON; a half of a surrogate pair, which an upstream's JSON can have, stays an escape."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
