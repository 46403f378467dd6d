"""How the echo upstream answers: chunk by chunk, with what is to go wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sallyport_cli.echo.answers import BadRequestError, error_body
from sallyport_cli.echo.faults import Faults
from sallyport_cli.echo.violations import content_type as answered_type
from sallyport_cli.echo.violations import sent, spoiled

type ErrorAnswer = Callable[[int, str, str | None, str | None], ASGIApp]
"""Makes an answer of a status, a message, a code and the field at fault, in an API's own shape."""


def guarded(answer: Callable[[], ASGIApp], faults: Faults, error: ErrorAnswer | None = None) -> ASGIApp:
    """The answer; or the status that was asked for, or a 400 for what the API wouldn't take."""
    error = error or openai_error
    if (status := faults.take_status()) is not None:
        return error(status, f"The echo upstream was asked for status {status}.", "fault", None)
    try:
        return answer()
    except BadRequestError as refusal:
        return error(400, str(refusal), None, refusal.param)


def openai_error(status: int, message: str, code: str | None = None, param: str | None = None) -> JSONResponse:
    """An error as OpenAI tells it."""
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004
    return JSONResponse(error_body(message, kind, code, param), status)


def whole(body: dict[str, Any], faults: Faults) -> ASGIApp:
    """A JSON answer; in three parts where it is to be cut or to stall."""
    data = sent(json.dumps(spoiled(body, faults)).encode(), faults)
    if faults.cut_after is None and faults.stall_after is None:
        return Answer([data], "application/json", faults, len(data))
    third = len(data) // 3 + 1
    return Answer([data[start : start + third] for start in range(0, len(data), third)], "application/json", faults)


class Answer:
    """A response sent chunk by chunk, with what is to go wrong."""

    def __init__(
        self,
        chunks: Iterable[bytes],
        content_type: str,
        faults: Faults,
        length: int | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._chunks = [b"\x00\xffnot what you asked for"] if faults.garbage else list(chunks)
        self._headers = [(b"content-type", answered_type(content_type, faults).encode()), *headers]
        if length is not None and not faults.garbage:
            self._headers.append((b"content-length", str(length).encode()))
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Answer one request."""
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
