"""A whole answer of Anthropic's Messages API, or a refusal, in OpenAI's words."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sallyport.errors import (
    UpstreamCredentialsError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from sallyport.providers.anthropic_usage import read_anthropic_usage
from sallyport.providers.chat_chunks import (
    CONTENT_FILTER,
    LENGTH,
    STOP,
    TOOL_CALLS,
    CalledTool,
    chat_completion,
    chat_error,
)
from sallyport.providers.http_answers import invalid_answer, refused
from sallyport.providers.transport import UpstreamResponse

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024

_FINISH_REASONS = {
    "end_turn": STOP,
    "stop_sequence": STOP,
    "pause_turn": STOP,
    "max_tokens": LENGTH,
    "model_context_window_exceeded": LENGTH,
    "tool_use": TOOL_CALLS,
    "refusal": CONTENT_FILTER,
}
_ERROR_KINDS = frozenset({"invalid_request_error", "permission_error", "rate_limit_error"})
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CODE = re.compile(r"[a-z_]{1,64}")


class Heading(NamedTuple):
    """What stands at the head of a chat answer: seconds since 1970, and the model as the client calls it."""

    created: int
    model: str


def finish_reason(stop_reason: Any) -> str:
    """Give OpenAI's word for why an answer ended; a reason that isn't known yet is an end like any other."""
    return _FINISH_REASONS.get(stop_reason, STOP) if isinstance(stop_reason, str) else STOP


def answer_id(message_id: Any) -> str:
    """Give an answer's id, made from Anthropic's if that can be one."""
    is_id = isinstance(message_id, str) and _ID.fullmatch(message_id) is not None
    return f"chatcmpl-{message_id if is_id else os.urandom(12).hex()}"


def arguments_json(value: Any) -> str:
    """Give a call's arguments as OpenAI has them: JSON in a text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def told_failure(event: Mapping[str, Any]) -> UpstreamError:
    """Give the error for an event of Anthropic's that tells of one, by its type."""
    error = event.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    if kind in ("overloaded_error", "rate_limit_error"):
        return UpstreamUnavailableError("The upstream is overloaded or down.")
    if kind in ("authentication_error", "permission_error"):
        return UpstreamCredentialsError("The upstream refused the gateway's credential.")
    if kind == "timeout_error":
        return UpstreamTimeoutError("The upstream took too long.")
    return UpstreamError("The upstream failed.")


def translated_message(chunks: Iterable[bytes], heading: Heading) -> bytes:
    """Give a message as a chat completion. Raises `UpstreamInvalidResponseError` for what isn't one."""
    message = _object(_joined(chunks, MAX_ANSWER_BYTES))
    content = message.get("content") if message is not None else None
    if message is None or message.get("type") != "message" or not isinstance(content, list):
        raise invalid_answer()
    blocks = [block for block in content if isinstance(block, dict)]
    return chat_completion(
        answer_id(message.get("id")),
        heading.created,
        heading.model,
        text="".join(_text(block) for block in blocks if block.get("type") == "text"),
        tool_calls=[_called(block) for block in blocks if block.get("type") == "tool_use"],
        finish_reason=finish_reason(message.get("stop_reason")),
        usage=read_anthropic_usage(message.get("usage")),
    )


def translated_error(response: UpstreamResponse) -> bytes:
    """Give the body of a 4xx as OpenAI's error. Raises `UpstreamRefusedError` if it isn't one of Anthropic's."""
    answer = _object(_joined(response.chunks(), MAX_ERROR_BYTES))
    error = answer.get("error") if answer is not None else None
    message = error.get("message") if isinstance(error, dict) else None
    if not isinstance(error, dict) or not isinstance(message, str):
        raise refused(response)
    kind = error.get("type")
    code = kind if isinstance(kind, str) and _CODE.fullmatch(kind) else None
    return chat_error(message, code if code in _ERROR_KINDS else "invalid_request_error", code)


def _joined(chunks: Iterable[bytes], limit: int) -> bytes:
    """Give a body, empty if it is longer than `limit` bytes."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            return b""
        held.append(chunk)
    return b"".join(held)


def _object(body: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(block: Mapping[str, Any]) -> str:
    if not isinstance(text := block.get("text"), str):
        raise invalid_answer()
    return text


def _called(block: Mapping[str, Any]) -> CalledTool:
    call_id, name, arguments = block.get("id"), block.get("name"), block.get("input")
    if not (isinstance(call_id, str) and isinstance(name, str) and isinstance(arguments, dict)):
        raise invalid_answer()
    return CalledTool(call_id, name, arguments_json(arguments))
