"""The echo upstream as an ASGI application."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from sallyport_cli.echo import anthropic, bedrock, responses
from sallyport_cli.echo.answers import (
    MODELS,
    WRONG_EVENT,
    chat_completion,
    chat_events,
    embeddings,
    model,
    models,
)
from sallyport_cli.echo.faults import Faults
from sallyport_cli.echo.serving import Answer, guarded, openai_error, whole
from sallyport_cli.echo.violations import asked, streamed


def create_app(faults: Faults, *, require_key: str | None = None, jwks: Sequence[Path] = ()) -> Starlette:
    """The upstream, with `faults` for every request and, with `require_key`, a 401 for those without that key."""
    echo = _Echo(faults, require_key)

    routes = [
        Route("/v1/chat/completions", echo.chat, methods=["POST"]),
        Route("/v1/embeddings", echo.embed, methods=["POST"]),
        Route("/v1/models", echo.list_models, methods=["GET"]),
        Route("/v1/models/{model:path}", echo.show_model, methods=["GET"]),
    ]
    others = (api.routes(faults, require_key) for api in (responses, anthropic, bedrock))
    routes += [route for api_routes in others for route in api_routes]
    return Starlette(routes=[*routes, *(Route(f"/{path.name}", _serve_json(path)) for path in jwks)])


def _serve_json(path: Path) -> Callable[[Request], Awaitable[FileResponse]]:
    async def serve(_: Request) -> FileResponse:
        return FileResponse(path, media_type="application/json")

    return serve


def _stream(body: dict[str, Any], faults: Faults) -> Answer:
    return Answer(streamed(chat_events(body), WRONG_EVENT, faults), "text/event-stream", faults)


class _Echo:
    def __init__(self, faults: Faults, require_key: str | None) -> None:
        self._faults = faults
        self._require_key = require_key

    async def chat(self, request: Request) -> ASGIApp:
        body = await self._accept(request)
        if not isinstance(body, dict):
            return body
        faults = self._faults.for_model(str(body.get("model", "")))
        request_body = asked(body, faults)
        if body.get("stream"):
            return guarded(lambda: _stream(request_body, faults), faults)
        return guarded(lambda: whole(chat_completion(request_body), faults), faults)

    async def embed(self, request: Request) -> ASGIApp:
        body = await self._accept(request)
        if not isinstance(body, dict):
            return body
        faults = self._faults.for_model(str(body.get("model", "")))
        return guarded(lambda: whole(embeddings(body), faults), faults)

    async def list_models(self, request: Request) -> ASGIApp:
        return self._refuse_key(request) or whole(models(), self._faults)

    async def show_model(self, request: Request) -> ASGIApp:
        name = request.path_params["model"]
        if name not in MODELS:
            return openai_error(404, f"The model '{name}' does not exist", "model_not_found", "model")
        return self._refuse_key(request) or whole(model(name), self._faults)

    async def _accept(self, request: Request) -> dict[str, Any] | JSONResponse:
        raw = await request.body()
        if (refusal := self._refuse_key(request)) is not None:
            return refusal
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        return (
            body if isinstance(body, dict) else openai_error(400, "We could not parse the JSON body of your request.")
        )

    def _refuse_key(self, request: Request) -> JSONResponse | None:
        if self._require_key is None:
            return None
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(given.encode(), self._require_key.encode()):
            return None
        return openai_error(401, "Incorrect API key provided.", "invalid_api_key")
