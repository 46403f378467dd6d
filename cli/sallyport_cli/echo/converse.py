"""The echo's answers in the shapes of Bedrock's Converse API, with usage counted in words."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from sallyport_cli.echo.answers import BadRequestError, reply_pieces
from sallyport_cli.echo.event_stream import event

_FIELDS: Final = frozenset({
    "additionalModelRequestFields",
    "inferenceConfig",
    "messages",
    "requestMetadata",
    "system",
    "toolConfig",
})  # fmt: skip
_INFERENCE: Final = frozenset({"maxTokens", "temperature", "topP", "stopSequences"})
_BLOCKS: Final = frozenset({"text", "image", "toolUse", "toolResult"})
_CALL: Final = re.compile(r"call:(\S+)")


WRONG_EVENT: Final = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": "none"})
"""Of which a field is of a wrong type."""


class Reply(NamedTuple):
    """What is answered: text in pieces of about a word, or a tool's call."""

    pieces: list[str]
    tool: str
    stop_reason: str
    usage: dict[str, int]


def reply(request: dict[str, Any]) -> Reply:
    """The reply: the last user's text; a call of a tool that this text asks for with `call:<its name>`."""
    _check(request)
    text = _last_text(request["messages"])
    read = sum(len(_text(message["content"]).split()) for message in request["messages"])
    read += len(_text(request.get("system") or []).split())
    tool = _called(request, text)
    if tool:
        return Reply([], tool, "tool_use", _usage(read, 1))
    limit = (request.get("inferenceConfig") or {}).get("maxTokens")
    pieces, reason = reply_pieces({"messages": [{"role": "user", "content": text}], "max_tokens": limit})
    return Reply(pieces, "", "max_tokens" if reason == "length" else "end_turn", _usage(read, len(pieces)))


def converse(request: dict[str, Any]) -> dict[str, Any]:
    """A whole answer."""
    said = reply(request)
    block = {"toolUse": _tool_use(said) | {"input": {"echo": True}}} if said.tool else {"text": "".join(said.pieces)}
    return {
        "metrics": {"latencyMs": 1},
        "output": {"message": {"content": [block], "role": "assistant"}},
        "stopReason": said.stop_reason,
        "usage": said.usage,
    }


def converse_events(request: dict[str, Any]) -> Iterator[bytes]:
    """The same as an event stream, in Bedrock's order."""
    said = reply(request)
    yield event("messageStart", {"p": "abcdefgh", "role": "assistant"})
    if said.tool:
        yield event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": _tool_use(said)}})
    for delta in _deltas(said):
        yield event("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta, "p": "abcd"})
    yield event("contentBlockStop", {"contentBlockIndex": 0})
    yield event("messageStop", {"stopReason": said.stop_reason})
    yield event("metadata", {"metrics": {"latencyMs": 1}, "usage": said.usage})


def _deltas(said: Reply) -> list[dict[str, Any]]:
    if not said.tool:
        return [{"text": piece} for piece in said.pieces]
    arguments = json.dumps({"echo": True})
    return [{"toolUse": {"input": part}} for part in (arguments[:5], arguments[5:])]


def _tool_use(said: Reply) -> dict[str, Any]:
    return {"name": said.tool, "toolUseId": f"tooluse_{uuid.uuid4().hex[:22]}"}


def _called(request: dict[str, Any], text: str) -> str:
    tools = (request.get("toolConfig") or {}).get("tools") or []
    names = {tool["toolSpec"]["name"] for tool in tools}
    asked = _CALL.search(text)
    return asked[1] if asked and asked[1] in names else ""


def _check(request: dict[str, Any]) -> None:
    """Bedrock takes no field that it doesn't know, and no message without content."""
    for name in [*(request.keys() - _FIELDS), *((request.get("inferenceConfig") or {}).keys() - _INFERENCE)]:
        raise BadRequestError(f"The model returned the following errors: extraneous key [{name}] is not permitted")
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages or messages[0].get("role") != "user":
        raise BadRequestError("A conversation must start with a user message.")
    for message in messages:
        _check_content(message.get("content"))


def _check_content(content: Any) -> None:
    if not isinstance(content, list) or not content:
        raise BadRequestError("The content field in the Message object is empty.")
    for block in content:
        if len(block) != 1 or not block.keys() <= _BLOCKS:
            raise BadRequestError("The content block is of an unknown kind.")
        if "text" in block and not block["text"].strip():
            raise BadRequestError("The text field in the ContentBlock object is blank.")


def _last_text(messages: list[dict[str, Any]]) -> str:
    """What the user said last, tools' results among it."""
    content: list[dict[str, Any]] = next(
        (message["content"] for message in reversed(messages) if message["role"] == "user"), []
    )
    return _text(content) or " ".join(
        _text(block["toolResult"]["content"]) for block in content if "toolResult" in block
    )


def _text(blocks: list[dict[str, Any]]) -> str:
    return " ".join(str(block["text"]) for block in blocks if "text" in block)


def _usage(read: int, written: int) -> dict[str, int]:
    return {"inputTokens": read, "outputTokens": written, "totalTokens": read + written}
