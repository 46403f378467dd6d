"""Lambda's Runtime API for one function process.

Source: "Using the Lambda runtime API for custom runtimes" in the Lambda developer guide, with the streaming mode
and its trailers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Final

import h11

from sallyport_cli.local.invocation import (
    BodyPipe,
    BufferedAnswer,
    FailedAnswer,
    Invocation,
    StreamedAnswer,
)

MAX_BUFFERED_ANSWER_BYTES: Final = 6 * 1024 * 1024
PREFIX: Final = "/2018-06-01/runtime/"
_READ_BYTES: Final = 64 * 1024
_ERROR_TYPE_TRAILER: Final = b"lambda-runtime-function-error-type"
_OK_STATUS: Final = b'{"status":"OK"}'


class ConnectionLostError(Exception):
    """The runtime closed its connection, or spoke no HTTP."""


class _Exchange:
    """One connection of the runtime, seen as request after request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._connection = h11.Connection(h11.SERVER)
        self.trailers: dict[bytes, bytes] = {}

    async def next_request(self) -> h11.Request | None:
        """The next request, or None when the runtime is done with this connection."""
        if self._connection.our_state is h11.MUST_CLOSE:
            return None
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        event = await self._next_event()
        return event if isinstance(event, h11.Request) else None

    async def body(self) -> AsyncIterator[bytes]:
        """The request's body, piece by piece as it arrives; afterwards `trailers` holds its trailers."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.trailers = {bytes(name): bytes(value) for name, value in event.headers}
                return
            else:
                raise ConnectionLostError

    async def read_body(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.body()])

    async def respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Sends a whole response."""
        fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers]
        for event in (h11.Response(status_code=status, headers=fields), h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._connection.send(event) or b"")
        await self._writer.drain()

    async def _next_event(self) -> object:
        while True:
            event = self._connection.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._connection.receive_data(await self._reader.read(_READ_BYTES))


class RuntimeApi:
    """The server that one function process talks to, and the one invocation it may be working on."""

    def __init__(self, on_waiting: Callable[[], None], on_init_error: Callable[[FailedAnswer], None]) -> None:
        self._on_waiting = on_waiting
        self._on_init_error = on_init_error
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._delivery: asyncio.Future[Invocation] | None = None
        self.current: Invocation | None = None

    async def start(self) -> str:
        """Listens on a free loopback port; gives `host:port` for AWS_LAMBDA_RUNTIME_API."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def close(self) -> None:
        """Stops listening and drops the runtime's connections."""
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def deliver(self, invocation: Invocation) -> None:
        """Hands an invocation to the process, which must be waiting in `/next`."""
        assert self._delivery is not None
        self.current = invocation
        self._delivery.set_result(invocation)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        exchange = _Exchange(reader, writer)
        try:
            while (request := await exchange.next_request()) is not None:
                await self._dispatch(request, exchange)
        except (ConnectionLostError, ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            pass  # the process died or was killed: whoever waits for it hears so from its exit
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _dispatch(self, request: h11.Request, exchange: _Exchange) -> None:
        target = request.target.decode("ascii").removeprefix(PREFIX)
        if request.method == b"GET" and target == "invocation/next":
            await exchange.read_body()
            await self._next(exchange)
        elif request.method == b"POST" and target == "init/error":
            self._on_init_error(FailedAnswer(_error_type(request), await exchange.read_body()))
            await exchange.respond(202, [], _OK_STATUS)
        elif request.method == b"POST" and target.startswith("invocation/"):
            await self._answer(request, target.split("/"), exchange)
        else:
            await exchange.read_body()
            await exchange.respond(404, [], _error_body("UnknownPath", "no such path"))

    async def _next(self, exchange: _Exchange) -> None:
        unanswered, self.current = self.current, None
        if unanswered is not None:  # without effect on one that was answered to its end
            unanswered.fail("Runtime.InvalidState", "the runtime asked for the next event before it had answered")
        self._delivery = asyncio.get_running_loop().create_future()
        self._on_waiting()
        invocation = await self._delivery
        self._delivery = None
        await exchange.respond(200, _invocation_headers(invocation), invocation.payload)

    async def _answer(self, request: h11.Request, path: list[str], exchange: _Exchange) -> None:
        invocation = self.current
        if invocation is None or len(path) != 3 or path[1] != invocation.request_id or invocation.answered:  # noqa: PLR2004 - invocation/ID/verb
            await exchange.read_body()
            await exchange.respond(400, [], _error_body("InvalidRequestID", "no invocation waits for this answer"))
        elif path[2] == "error":
            invocation.set_answer(FailedAnswer(_error_type(request), await exchange.read_body()))
            await exchange.respond(202, [], _OK_STATUS)
        elif _header(request, b"lambda-runtime-function-response-mode") == "streaming":
            await self._take_stream(invocation, request, exchange)
        else:
            await self._take_buffered(invocation, exchange)

    async def _take_buffered(self, invocation: Invocation, exchange: _Exchange) -> None:
        payload = await exchange.read_body()
        if len(payload) > MAX_BUFFERED_ANSWER_BYTES:
            message = (
                f"Response payload size exceeded maximum allowed payload size ({MAX_BUFFERED_ANSWER_BYTES} bytes)."
            )
            invocation.set_answer(
                FailedAnswer("Function.ResponseSizeTooLarge", _error_body("Function.ResponseSizeTooLarge", message))
            )
            await exchange.respond(413, [], _error_body("RequestEntityTooLarge", message))
        else:
            invocation.set_answer(BufferedAnswer(payload))
            await exchange.respond(202, [], _OK_STATUS)

    async def _take_stream(self, invocation: Invocation, request: h11.Request, exchange: _Exchange) -> None:
        pipe = BodyPipe()
        invocation.set_answer(StreamedAnswer(_header(request, b"content-type"), pipe))
        async for chunk in exchange.body():  # where it breaks off, the process's exit says why
            await pipe.put(chunk)
        error_type = exchange.trailers.get(_ERROR_TYPE_TRAILER)
        pipe.finish(cut_because=error_type.decode("latin-1") if error_type else None)
        await exchange.respond(202, [], _OK_STATUS)


def _invocation_headers(invocation: Invocation) -> list[tuple[str, str]]:
    return [
        ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
        ("Lambda-Runtime-Deadline-Ms", str(invocation.deadline_ms)),
        ("Lambda-Runtime-Invoked-Function-Arn", invocation.function_arn),
        ("Lambda-Runtime-Trace-Id", invocation.trace_id),
    ]


def _header(request: h11.Request, name: bytes) -> str:
    return next((bytes(value).decode("latin-1") for key, value in request.headers if key == name), "")


def _error_type(request: h11.Request) -> str:
    return _header(request, b"lambda-runtime-function-error-type") or "Unhandled"


def _error_body(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()
