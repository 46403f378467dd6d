"""The echo's answers of Anthropic's models by Bedrock's InvokeModel: no model and no stream in their bodies."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

from sallyport_cli.echo.answers import BadRequestError, reply_pieces
from sallyport_cli.echo.event_stream import event

VERSION: Final = "bedrock-2023-05-31"
_ELSEWHERE: Final = ("model", "stream")


def message(body: dict[str, Any], model: str) -> dict[str, Any]:
    """A whole message."""
    pieces, reason = _reply(body)
    content = [{"type": "text", "text": "".join(pieces)}]
    return {**_envelope(model), "content": content, **_ended(reason), "usage": _usage(body, len(pieces))}


def message_events(body: dict[str, Any], model: str) -> Iterator[bytes]:
    """The same as Anthropic's events, each in base64 within Bedrock's."""
    pieces, reason = _reply(body)
    usage = _usage(body, len(pieces))
    start = {**_envelope(model), "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield _chunk("message_start", message=start)
    yield _chunk("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for piece in pieces:
        yield _chunk("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield _chunk("content_block_stop", index=0)
    yield _chunk("message_delta", delta=_ended(reason), usage={"output_tokens": len(pieces)})
    counts = {"inputTokenCount": usage["input_tokens"], "outputTokenCount": len(pieces)}
    yield _chunk("message_stop", **{"amazon-bedrock-invocationMetrics": {**counts, "invocationLatency": 1}})


def _reply(body: dict[str, Any]) -> tuple[list[str], str]:
    """The reply in pieces, and its `stop_reason`."""
    if body.get("anthropic_version") != VERSION:
        raise BadRequestError("anthropic_version: Field required")
    for name in _ELSEWHERE:
        if name in body:
            raise BadRequestError(f"{name}: Extra inputs are not permitted")
    if not isinstance(body.get("max_tokens"), int):
        raise BadRequestError("max_tokens: Field required")
    pieces, reason = reply_pieces(body)
    return pieces, "max_tokens" if reason == "length" else "end_turn"


def _envelope(model: str) -> dict[str, Any]:
    return {"id": f"msg_bdrk_{uuid.uuid4().hex[:24]}", "type": "message", "role": "assistant", "model": model}


def _ended(reason: str) -> dict[str, Any]:
    return {"stop_reason": reason, "stop_sequence": None}


def _usage(body: dict[str, Any], written: int) -> dict[str, int]:
    texts = [json.dumps(turn.get("content"), ensure_ascii=False) for turn in body["messages"]]
    return {"input_tokens": sum(len(text.split()) for text in texts), "output_tokens": written}


def _chunk(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":")).encode()
    return event("chunk", {"bytes": base64.b64encode(data).decode(), "p": "abcdef"})


WRONG_EVENT: Final = _chunk("content_block_delta", index=0, delta="none")
"""Of which a field is of a wrong type."""
