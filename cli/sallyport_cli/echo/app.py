"""The echo upstream as an ASGI application."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sallyport_cli.echo.answers import (
    MODELS,
    BadRequestError,
    chat_completion,
    chat_events,
    embeddings,
    error_body,
    model,
    models,
)
from sallyport_cli.echo.faults import Faults


def create_app(faults: Faults, *, require_key: str | None = None, jwks: Sequence[Path] = ()) -> Starlette:
    """The upstream, with `faults` for every request and, with `require_key`, a 401 for those without that key."""
    echo = _Echo(faults, require_key)

    routes = [
        Route("/v1/chat/completions", echo.chat, methods=["POST"]),
        Route("/v1/embeddings", echo.embed, methods=["POST"]),
        Route("/v1/models", echo.list_models, methods=["GET"]),
        Route("/v1/models/{model:path}", echo.show_model, methods=["GET"]),
    ]
    return Starlette(routes=[*routes, *(Route(f"/{path.name}", _serve_json(path)) for path in jwks)])


def _serve_json(path: Path) -> Callable[[Request], Awaitable[FileResponse]]:
    async def serve(_: Request) -> FileResponse:
        return FileResponse(path, media_type="application/json")

    return serve


class _Echo:
    def __init__(self, faults: Faults, require_key: str | None) -> None:
        self._faults = faults
        self._require_key = require_key

    async def chat(self, request: Request) -> ASGIApp:
        body = await self._accept(request)
        if not isinstance(body, dict):
            return body
        faults = self._faults.for_model(str(body.get("model", "")))
        if body.get("stream"):
            return _guarded(lambda: _Answer(list(chat_events(body)), "text/event-stream", faults), faults)
        return _guarded(lambda: _whole(chat_completion(body), faults), faults)

    async def embed(self, request: Request) -> ASGIApp:
        body = await self._accept(request)
        if not isinstance(body, dict):
            return body
        faults = self._faults.for_model(str(body.get("model", "")))
        return _guarded(lambda: _whole(embeddings(body), faults), faults)

    async def list_models(self, request: Request) -> ASGIApp:
        return self._refuse_key(request) or _whole(models(), self._faults)

    async def show_model(self, request: Request) -> ASGIApp:
        name = request.path_params["model"]
        if name not in MODELS:
            return _error(404, f"The model '{name}' does not exist", "model_not_found", "model")
        return self._refuse_key(request) or _whole(model(name), self._faults)

    async def _accept(self, request: Request) -> dict[str, Any] | JSONResponse:
        raw = await request.body()
        if (refusal := self._refuse_key(request)) is not None:
            return refusal
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        return body if isinstance(body, dict) else _error(400, "We could not parse the JSON body of your request.")

    def _refuse_key(self, request: Request) -> JSONResponse | None:
        if self._require_key is None:
            return None
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(given.encode(), self._require_key.encode()):
            return None
        return _error(401, "Incorrect API key provided.", "invalid_api_key")


def _guarded(answer: Callable[[], ASGIApp], faults: Faults) -> ASGIApp:
    if faults.status is not None:
        return _error(faults.status, f"The echo upstream was asked for status {faults.status}.", "fault")
    try:
        return answer()
    except BadRequestError as error:
        return _error(400, str(error), param=error.param)


def _error(status: int, message: str, code: str | None = None, param: str | None = None) -> JSONResponse:
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004
    return JSONResponse(error_body(message, kind, code, param), status)


def _whole(body: dict[str, Any], faults: Faults) -> ASGIApp:
    data = json.dumps(body).encode()
    if faults.cut_after is None and faults.stall_after is None:
        return _Answer([data], "application/json", faults, len(data))
    third = len(data) // 3 + 1
    return _Answer([data[start : start + third] for start in range(0, len(data), third)], "application/json", faults)


class _Answer:
    """A response sent chunk by chunk, with what is to go wrong."""

    def __init__(self, chunks: Iterable[bytes], content_type: str, faults: Faults, length: int | None = None) -> None:
        self._chunks = [b"\x00\xffnot what you asked for"] if faults.garbage else list(chunks)
        self._headers = [(b"content-type", content_type.encode())]
        if length is not None and not faults.garbage:
            self._headers.append((b"content-length", str(length).encode()))
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        if self._faults.silent:
            await _hang(receive)
            return
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        for index, chunk in enumerate(self._chunks):
            if index == self._faults.cut_after:
                return  # uvicorn drops the connection of an application that doesn't end its response
            if index == self._faults.stall_after:
                await _hang(receive)
                return
            if self._faults.delay_ms:
                await asyncio.sleep(self._faults.delay_ms / 1000)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _hang(receive: Receive) -> None:
    """Nothing more, until the client gives up."""
    while (await receive())["type"] != "http.disconnect":
        pass
