"""The echo's answers, in OpenAI's shapes: what the last user message says, with usage counted in words."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final

MODELS: Final = ("echo", "echo-large", "echo-embedding", "gpt-4o", "gpt-4o-mini", "text-embedding-3-small")
DEFAULT_DIMENSIONS: Final = 256
WORDS: Final = re.compile(r"\s*AKIAIOSF(?=O)|\s*\S+\s*$|\s*\S+")
"""About a word; AWS's key of its documentation in two pieces, as a model's tokens would cut it."""

WRONG_EVENT: Final = b'data: {"id":"chatcmpl-0","object":"chat.completion.chunk","created":0,"choices":"none"}\n\n'
"""Of which a field is of a wrong type."""


class BadRequestError(Exception):
    """The request isn't one that OpenAI would take; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


def error_body(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error object."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def reply_pieces(request: dict[str, Any]) -> tuple[list[str], str]:
    """The reply in pieces of about a word, and its finish_reason."""
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    pieces, is_whole = in_pieces(_last_user_text(request), limit)
    return pieces, "stop" if is_whole else "length"


def in_pieces(text: str, limit: Any) -> tuple[list[str], bool]:
    """A text in pieces of about a word, of which there are no more than `limit`; and whether that is all of it."""
    pieces = WORDS.findall(text) or [""]
    if isinstance(limit, int) and len(pieces) > limit:
        return pieces[:limit], False
    return pieces, True


def _last_user_text(request: dict[str, Any]) -> str:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages must be a list that isn't empty", "messages")
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def text_of(content: Any) -> str:
    """What a message's content says: a text, or the texts of its parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def usage(request: dict[str, Any], completion_tokens: int) -> dict[str, int]:
    """Token counts: one word, one token."""
    messages = request.get("messages") or []
    prompt = sum(len(text_of(message.get("content")).split()) for message in messages if isinstance(message, dict))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt + completion_tokens,
    }


def chat_completion(request: dict[str, Any]) -> dict[str, Any]:
    """A whole chat completion."""
    pieces, finish_reason = reply_pieces(request)
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": "".join(pieces), "refusal": None},
            "logprobs": None,
            "finish_reason": finish_reason,
        }
        for index in range(_count(request))
    ]
    return {
        **_envelope("chat.completion", request),
        "choices": choices,
        "usage": usage(request, len(pieces) * _count(request)),
    }


def chat_events(request: dict[str, Any]) -> Iterator[bytes]:
    """The same as server-sent events, `[DONE]` last; usage where `stream_options.include_usage` asks for it."""
    pieces, finish_reason = reply_pieces(request)
    envelope = _envelope("chat.completion.chunk", request)
    with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    extra: dict[str, Any] = {"usage": None} if with_usage else {}
    count = _count(request)
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": piece}, None) for piece in pieces]
    deltas.append(({}, finish_reason))
    for delta, finish in deltas:
        for index in range(count):
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield _event({**envelope, "choices": [choice], **extra})
    if with_usage:
        yield _event({**envelope, "choices": [], "usage": usage(request, len(pieces) * count)})
    yield b"data: [DONE]\n\n"


def embeddings(request: dict[str, Any]) -> dict[str, Any]:
    """Vectors that depend on nothing but the text, of length 1, as floats or base64."""
    inputs = request.get("input")
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(texts, list) or not texts:
        raise BadRequestError("input must be a string or a list that isn't empty", "input")
    if texts and all(isinstance(item, int) for item in texts):
        texts = [texts]
    dimensions = request.get("dimensions") or DEFAULT_DIMENSIONS
    as_base64 = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _encode(_vector(str(text), dimensions), as_base64)}
        for index, text in enumerate(texts)
    ]
    tokens = sum(len(str(text).split()) for text in texts)
    return {
        "object": "list",
        "data": data,
        "model": model_of(request),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def models() -> dict[str, Any]:
    """The list of models."""
    return {"object": "list", "data": [model(name) for name in MODELS]}


def model(name: str) -> dict[str, Any]:
    """One model."""
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "echo"}


def _vector(text: str, dimensions: int) -> list[float]:
    stream = hashlib.shake_256(text.encode()).digest(dimensions * 2)
    raw = [value / 32768 for (value,) in struct.iter_unpack("<h", stream)]
    length = sum(value * value for value in raw) ** 0.5 or 1.0
    return [value / length for value in raw]


def _encode(vector: list[float], as_base64: bool) -> list[float] | str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if as_base64 else vector


def _envelope(kind: str, request: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model_of(request),
        "system_fingerprint": "fp_echo",
    }


def model_of(request: dict[str, Any]) -> str:
    """The model that is asked for."""
    name = request.get("model")
    if not isinstance(name, str) or not name:
        raise BadRequestError("you must provide a model parameter", "model")
    return name


def _count(request: dict[str, Any]) -> int:
    return int(request.get("n") or 1)


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"
