"""The echo's Responses API, whole and as events, in the order that OpenAI sends them.

It answers with what the last user message says; with a function's call where that says `call:<its name>`.
"""

from __future__ import annotations

import hmac
import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from sallyport_cli.echo.answers import BadRequestError, in_pieces, model_of, text_of
from sallyport_cli.echo.faults import Faults
from sallyport_cli.echo.serving import Answer, guarded, openai_error, whole
from sallyport_cli.echo.violations import asked, streamed

_CALL: Final = re.compile(r"\bcall:([A-Za-z0-9_-]{1,64})")
_WRONG_EVENT: Final = (
    b"event: response.output_item.added\n"
    b'data: {"type":"response.output_item.added","sequence_number":2,"output_index":"none","item":"none"}\n\n'
)
"""Of which fields are of a wrong type."""

_REPEATED: Final[dict[str, Any]] = {
    # fields of a request that its response repeats, and what they are where it has none
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


class _Reply(NamedTuple):
    """What is answered: text in pieces of about a word, or a function's call."""

    pieces: list[str]
    is_whole: bool
    called: str = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def routes(faults: Faults, require_key: str | None) -> list[Route]:
    """The route, with `faults` for every request and, with `require_key`, a 401 for those without that key."""

    async def respond(request: Request) -> ASGIApp:
        raw = await request.body()
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.headers.get("api-key", given)
        if require_key is not None and not hmac.compare_digest(given.encode(), require_key.encode()):
            return openai_error(401, "Incorrect API key provided.", "invalid_api_key")
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return openai_error(400, "We could not parse the JSON body of your request.")
        return _answer(body, faults.for_model(str(body.get("model", ""))))

    return [Route("/v1/responses", respond, methods=["POST"])]


def _answer(body: dict[str, Any], faults: Faults) -> ASGIApp:
    said = asked(body, faults)
    if body.get("stream"):
        return guarded(lambda: _stream(said, faults), faults)
    return guarded(lambda: whole(response(said), faults), faults)


def _stream(body: dict[str, Any], faults: Faults) -> ASGIApp:
    return Answer(streamed(response_events(body), _WRONG_EVENT, faults), "text/event-stream", faults)


def response(request: dict[str, Any]) -> dict[str, Any]:
    """A whole response."""
    return _ended(_begun(request), request, _reply(request))


def response_events(request: dict[str, Any]) -> Iterator[bytes]:
    """The same as server-sent events; what ends them has the whole response with its usage."""
    begun, reply = _begun(request), _reply(request)
    item = _item(reply)
    middle = _call_events(item) if reply.called else _text_events(item, reply)
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {"output_index": 0, "item": _empty(item)}),
        *middle,
        ("response.output_item.done", {"output_index": 0, "item": item}),
    ]
    ended = _ended(begun, request, reply, item)
    events.append((f"response.{ended['status']}", {"response": ended}))
    for number, (kind, fields) in enumerate(events):
        data = json.dumps({"type": kind, "sequence_number": number, **fields}, separators=(",", ":"))
        yield f"event: {kind}\ndata: {data}\n\n".encode()


def _text_events(item: dict[str, Any], reply: _Reply) -> Iterator[tuple[str, dict[str, Any]]]:
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield "response.content_part.added", {**place, "part": _text_part("")}
    for piece in reply.pieces:
        yield "response.output_text.delta", {**place, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {**place, "text": reply.text, "logprobs": []}
    yield "response.content_part.done", {**place, "part": _text_part(reply.text)}


def _call_events(item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    place = {"item_id": item["id"], "output_index": 0}
    arguments = item["arguments"]
    for piece in (arguments[:1], arguments[1:]):
        yield "response.function_call_arguments.delta", {**place, "delta": piece}
    yield "response.function_call_arguments.done", {**place, "arguments": arguments}


def _begun(request: dict[str, Any]) -> dict[str, Any]:
    repeated = {name: default if request.get(name) is None else request[name] for name, default in _REPEATED.items()}
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "model": model_of(request),
        "error": None,
        "incomplete_details": None,
        "output": [],
        **repeated,
        "usage": None,
    }


def _ended(
    begun: dict[str, Any], request: dict[str, Any], reply: _Reply, item: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        **begun,
        "status": "completed" if reply.is_whole else "incomplete",
        "incomplete_details": None if reply.is_whole else {"reason": "max_output_tokens"},
        "output": [item or _item(reply)],
        "usage": _usage(request, len(reply.pieces)),
    }


def _item(reply: _Reply) -> dict[str, Any]:
    if reply.called:
        call = {"call_id": f"call_{uuid.uuid4().hex}", "name": reply.called, "arguments": reply.text}
        return {"id": f"fc_{uuid.uuid4().hex}", "type": "function_call", "status": "completed", **call}
    status = "completed" if reply.is_whole else "incomplete"
    content = [_text_part(reply.text)]
    return {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _empty(item: dict[str, Any]) -> dict[str, Any]:
    nothing: dict[str, Any] = {"arguments": ""} if item["type"] == "function_call" else {"content": []}
    return {**item, "status": "in_progress", **nothing}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(request: dict[str, Any], output_tokens: int) -> dict[str, Any]:
    """Token counts: one word, one token."""
    texts = [str(request.get("instructions") or ""), *(text_of(item.get("content")) for item in _items(request))]
    input_tokens = sum(len(text.split()) for text in texts)
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    }


def _reply(request: dict[str, Any]) -> _Reply:
    said = next((text_of(item.get("content")) for item in reversed(_items(request)) if item.get("role") == "user"), "")
    tools = request.get("tools") or []
    names = {tool.get("name") for tool in tools if isinstance(tool, dict) and tool.get("type") == "function"}
    wanted = _CALL.search(said)
    if wanted is not None and wanted[1] in names:
        return _Reply([json.dumps({"text": said})], is_whole=True, called=wanted[1])
    return _Reply(*in_pieces(said, request.get("max_output_tokens")))


def _items(request: dict[str, Any]) -> list[dict[str, Any]]:
    given = request.get("input")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise BadRequestError("input must be a string or a list that isn't empty", "input")
    return [item for item in given if isinstance(item, dict)]
