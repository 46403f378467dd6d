"""The echo's Anthropic API: messages, whole and as events, and the counting of tokens, all in words.

It answers with what the last user message says; with a function's call where that says `call:<its name>`.
"""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from sallyport_cli.echo.answers import WORDS, BadRequestError
from sallyport_cli.echo.faults import Faults
from sallyport_cli.echo.serving import Answer, guarded, whole
from sallyport_cli.echo.violations import asked, sent, spoiled, streamed

_WRONG_EVENT: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":"none","delta":"none"}\n\n'
)
"""Of which fields are of a wrong type."""

_ERROR_KINDS: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Reply(NamedTuple):
    """What is answered: text in pieces of about a word, or the input of the function that is called."""

    pieces: list[str]
    stop_reason: str
    stop_sequence: str | None = None
    called: str = ""
    given: dict[str, Any] | None = None

    @property
    def tokens(self) -> int:
        return len(self.pieces)


def routes(faults: Faults, require_key: str | None) -> list[Route]:
    """The routes, with `faults` for every request and, with `require_key`, a 401 for those without that key."""
    api = _Api(faults, require_key)
    return [
        Route("/v1/messages", api.messages, methods=["POST"]),
        Route("/v1/messages/count_tokens", api.count_tokens, methods=["POST"]),
    ]


def error(status: int, message: str, code: str | None = None, param: str | None = None) -> JSONResponse:  # noqa: ARG001 - an `ErrorAnswer`; Anthropic's errors have neither
    """An error as Anthropic tells it."""
    kind = _ERROR_KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004 - HTTP
    request_id = _id("req")
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    return JSONResponse(body, status, {"request-id": request_id})


class _Api:
    def __init__(self, faults: Faults, require_key: str | None) -> None:
        self._faults = faults
        self._require_key = require_key

    async def messages(self, request: Request) -> ASGIApp:
        return await self._answer(request, _messages)

    async def count_tokens(self, request: Request) -> ASGIApp:
        return await self._answer(request, _count)

    async def _answer(self, request: Request, answer: Callable[[dict[str, Any], Faults], ASGIApp]) -> ASGIApp:
        raw = await request.body()
        if not self._has_key(request):
            return error(401, "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            return error(400, "anthropic-version: header is required")
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return error(400, "The request body is not valid JSON.")
        faults = self._faults.for_model(str(body.get("model", "")))
        return guarded(lambda: answer(asked(body, faults), faults), faults, error)

    def _has_key(self, request: Request) -> bool:
        given = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        return self._require_key is None or hmac.compare_digest(given.encode(), self._require_key.encode())


def _messages(body: dict[str, Any], faults: Faults) -> ASGIApp:
    limit = body.get("max_tokens")
    if not isinstance(limit, int) or limit < 1:
        raise BadRequestError("max_tokens: Field required")
    reply = _reply(body, limit)
    if body.get("stream"):
        events = streamed(_events(body, reply), _WRONG_EVENT, faults)
        return Answer(events, "text/event-stream; charset=utf-8", faults, headers=_request_id())
    return _json(_message(body, reply), faults)


def _count(body: dict[str, Any], faults: Faults) -> ASGIApp:
    return _json({"input_tokens": _input_tokens(body)}, faults)


def _json(body: dict[str, Any], faults: Faults) -> ASGIApp:
    if faults.cut_after is not None or faults.stall_after is not None:
        return whole(body, faults)
    data = sent(json.dumps(spoiled(body, faults)).encode(), faults)
    return Answer([data], "application/json", faults, len(data), _request_id())


def _reply(body: dict[str, Any], limit: int) -> _Reply:
    text = _last_user_text(body)
    if (tool := _called_tool(body, text)) is not None:
        return _Reply(WORDS.findall(text), "tool_use", None, tool, {"text": text})
    stop = next((stop for stop in body.get("stop_sequences") or () if stop and stop in text), None)
    pieces = WORDS.findall(text.partition(stop)[0] if stop else text)
    if len(pieces) > limit:
        return _Reply(pieces[:limit], "max_tokens")
    return _Reply(pieces, "stop_sequence" if stop else "end_turn", stop)


def _called_tool(body: dict[str, Any], text: str) -> str | None:
    """The function that the choice forces, or else the text names."""
    names = [str(tool.get("name")) for tool in body.get("tools") or () if isinstance(tool, dict)]
    choice = body.get("tool_choice") or {}
    if choice.get("type") == "none" or not names:
        return None
    if choice.get("type") in {"tool", "any"}:
        return str(choice.get("name", names[0]))
    return next((name for name in names if f"call:{name}" in text.split()), None)


def _message(body: dict[str, Any], reply: _Reply) -> dict[str, Any]:
    block = {"type": "text", "text": "".join(reply.pieces)} if reply.given is None else _tool_use(reply, reply.given)
    return {
        **_envelope(body),
        "content": [block],
        "stop_reason": reply.stop_reason,
        "stop_sequence": reply.stop_sequence,
        "usage": _usage(body, reply.tokens),
    }


def _events(body: dict[str, Any], reply: _Reply) -> Iterator[bytes]:
    """The events in Anthropic's order; what begins the answer comes in one piece, as its servers send it."""
    beginning = {**_envelope(body), "content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(body, 1)}
    block = {"type": "text", "text": ""} if reply.given is None else _tool_use(reply, {})
    start = _event("message_start", message=beginning)
    yield start + _event("content_block_start", index=0, content_block=block) + _event("ping")
    for delta in _deltas(reply):
        yield _event("content_block_delta", index=0, delta=delta)
    yield _event("content_block_stop", index=0)
    ended = {"stop_reason": reply.stop_reason, "stop_sequence": reply.stop_sequence}
    yield _event("message_delta", delta=ended, usage={"output_tokens": reply.tokens})
    yield _event("message_stop")


def _deltas(reply: _Reply) -> Iterator[dict[str, Any]]:
    if reply.given is None:
        yield from ({"type": "text_delta", "text": piece} for piece in reply.pieces)
        return
    text = json.dumps(reply.given)
    parts = ["", *(text[start : start + 12] for start in range(0, len(text), 12))]
    yield from ({"type": "input_json_delta", "partial_json": part} for part in parts)


def _tool_use(reply: _Reply, given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": _id("toolu"), "name": reply.called, "input": given}


def _envelope(body: dict[str, Any]) -> dict[str, Any]:
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise BadRequestError("model: Field required")
    return {"id": _id("msg"), "type": "message", "role": "assistant", "model": name}


def _usage(body: dict[str, Any], output_tokens: int) -> dict[str, int]:
    return {
        "input_tokens": _input_tokens(body),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    }


def _input_tokens(body: dict[str, Any]) -> int:
    said = [body.get("system"), *(message.get("content") for message in _turns(body))]
    return sum(len(_text(content).split()) for content in said)


def _last_user_text(body: dict[str, Any]) -> str:
    """The last user turn's text, with results of functions and the kinds of images in their places."""
    said = (_text(message.get("content")) for message in reversed(_turns(body)) if message.get("role") == "user")
    return next(said, "")


def _turns(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages: at least one message is required")
    return [message for message in messages if isinstance(message, dict)]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return " ".join(filter(None, (_block_text(block) for block in blocks if isinstance(block, dict))))


def _block_text(block: dict[str, Any]) -> str:
    if block.get("type") == "tool_result":
        return _text(block.get("content"))
    if block.get("type") == "image":
        source = block.get("source") or {}
        return f"[{source.get('media_type') or source.get('url')}]"
    return str(block.get("text", ""))


def _request_id() -> list[tuple[bytes, bytes]]:
    return [(b"request-id", _id("req").encode())]


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:24]}"


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())
