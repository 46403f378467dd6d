"""The REST API, served as API Gateway serves it: limits, routing, authorizer, integration, gateway responses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from sallyport_cli.local.door import Refusal, ask_authorizer
from sallyport_cli.local.events import proxy_event
from sallyport_cli.local.gateway_responses import render
from sallyport_cli.local.integration_responses import (
    MalformedResponseError,
    ResponseHead,
    collect,
    read_buffered,
    read_streamed,
)
from sallyport_cli.local.invocation import (
    Answer,
    BufferedAnswer,
    FailedAnswer,
    StreamCutError,
    StreamedAnswer,
)
from sallyport_cli.local.pool import FunctionPool, ThrottledError
from sallyport_cli.local.request import GatewayRequest, from_scope
from sallyport_cli.local.request_log import Console, RequestRecord
from sallyport_cli.local.routes import Match, RoutingTable
from sallyport_cli.local.stack import Route, Stack

MAX_BODY_BYTES: Final = 10 * 1024 * 1024
MAX_EVENT_BYTES: Final = 6 * 1024 * 1024
MAX_HEAD_BYTES: Final = 10_240
STREAM_IDLE_TIMEOUT_S: Final = 300.0


class ApiGateway:
    """An ASGI application. A client that hangs up stops nothing: the function's answer is read to its end."""

    def __init__(self, stack: Stack, pools: Mapping[str, FunctionPool], console: Console) -> None:
        self._stack = stack
        self._pools = pools
        self._console = console
        self._routes = RoutingTable(stack.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one http scope."""
        request = from_scope(scope)
        record = RequestRecord(request.method, request.path, time.perf_counter())
        client = _Client(send, request, record)
        try:
            await self._answer(request, receive, client)
        except ClientDisconnect:
            record.note = "the client hung up before its request was read"
        finally:
            self._console.request(record)

    async def _answer(self, request: GatewayRequest, receive: Receive, client: _Client) -> None:
        outcome = await self._let_in(request, receive)
        if isinstance(outcome, Refusal):
            client.record.tenant = str((outcome.context or {}).get("tenant", ""))
            await self._refuse(request, outcome, client)
            return
        match, event, context = outcome
        client.record.function = match.route.function
        client.record.tenant = str((context or {}).get("tenant", ""))
        await self._integrate(request, match.route, event, context, client)

    async def _let_in(
        self, request: GatewayRequest, receive: Receive
    ) -> tuple[Match, bytes, Mapping[str, Any] | None] | Refusal:
        """Route, event and authorizer's context of a request that may reach its function."""
        if request.head_bytes > MAX_HEAD_BYTES:
            return Refusal("DEFAULT_4XX")
        body = await _read_body(receive)
        if body is None:
            return Refusal("REQUEST_TOO_LARGE")
        match = self._routes.match(request.method, request.path)
        if match is None:
            return Refusal("MISSING_AUTHENTICATION_TOKEN")
        context = None
        if match.route.authorized and self._stack.authorizer is not None:
            pool = self._pools[self._stack.authorizer]
            verdict = await ask_authorizer(self._stack, pool, request, match, self._console.say)
            if isinstance(verdict, Refusal):
                return verdict
            context = verdict
        event = json.dumps(proxy_event(self._stack, request, match, body, context)).encode()
        return Refusal("REQUEST_TOO_LARGE", context) if len(event) > MAX_EVENT_BYTES else (match, event, context)

    async def _refuse(self, request: GatewayRequest, refusal: Refusal, client: _Client) -> None:
        rendered = render(self._stack, refusal.kind, request, refusal.context)
        client.record.note = refusal.kind
        await client.send_whole(ResponseHead(rendered.status, rendered.headers), rendered.body)

    async def _integrate(
        self,
        request: GatewayRequest,
        route: Route,
        event: bytes,
        context: Mapping[str, Any] | None,
        client: _Client,
    ) -> None:
        give_up_at = asyncio.get_running_loop().time() + route.timeout_s
        try:
            async with asyncio.timeout_at(give_up_at):
                answer = await self._pools[route.function].invoke(event, request.trace_id)
                if route.streamed:
                    head, payload = await _streamed_response(answer)
                else:
                    head, body = await _buffered_response(answer)
        except ThrottledError:
            await self._refuse(request, Refusal("THROTTLED", context), client)
        except TimeoutError:
            await self._refuse(request, Refusal("INTEGRATION_TIMEOUT", context), client)
        except (MalformedResponseError, StreamCutError) as error:
            self._console.say(f"  {route.function} | {error}")
            await self._refuse(request, Refusal("INTEGRATION_FAILURE", context), client)
        else:
            if route.streamed:
                await client.send_stream(head, payload, give_up_at)
            else:
                await client.send_whole(head, body)


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, or None if it is larger than API Gateway takes; what is too much is read and thrown away."""
    body, too_large = b"", False
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if not too_large:
            body += message.get("body", b"")
            too_large = len(body) > MAX_BODY_BYTES
        if not message.get("more_body"):
            return None if too_large else body


async def _buffered_response(answer: Answer) -> tuple[ResponseHead, bytes]:
    if isinstance(answer, FailedAnswer):
        raise MalformedResponseError(f"the function failed: {answer.error_type}")
    payload = await collect(answer.body) if isinstance(answer, StreamedAnswer) else answer.payload
    return read_buffered(payload)


async def _streamed_response(answer: Answer) -> tuple[ResponseHead, AsyncIterator[bytes]]:
    if isinstance(answer, FailedAnswer):
        raise MalformedResponseError(f"the function failed: {answer.error_type}")
    if isinstance(answer, BufferedAnswer):
        raise MalformedResponseError("a streamed route needs a streamed answer")
    try:
        return await read_streamed(answer)
    except BaseException:
        answer.body.abandon()
        raise


class _Client:
    """The way back. What can't be sent any more is still taken from the function."""

    def __init__(self, send: Send, request: GatewayRequest, record: RequestRecord) -> None:
        self._send = send
        self._request = request
        self.record = record

    async def send_whole(self, head: ResponseHead, body: bytes) -> None:
        """A buffered response."""
        await self._start(head, [("Content-Length", str(len(body)))])
        await self._put(body, more=False)

    async def send_stream(self, head: ResponseHead, payload: AsyncIterator[bytes], give_up_at: float) -> None:
        """A streamed response; one that is cut ends without its last chunk, so that the client notices."""
        await self._start(head, [])
        try:
            async for chunk in _with_timeouts(payload, give_up_at):
                await self._put(chunk, more=True)
        except (StreamCutError, TimeoutError) as error:
            self.record.note = f"cut: {str(error) or type(error).__name__}"
            return  # uvicorn drops the connection of an application that doesn't end its response
        await self._put(b"", more=False)

    async def _start(self, head: ResponseHead, own: list[tuple[str, str]]) -> None:
        self.record.status = head.status
        headers = [*head.headers, *own, ("X-Amzn-Trace-Id", self._request.trace_id)]
        names = {name.lower() for name, _ in headers}
        if "content-type" not in names:
            headers.append(("Content-Type", "application/json"))
        if "x-amzn-requestid" not in names:
            headers.append(("x-amzn-RequestId", self._request.request_id))
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": head.status, "headers": raw})

    async def _put(self, body: bytes, *, more: bool) -> None:
        if body and self.record.first_byte_s is None:
            self.record.first_byte_s = time.perf_counter() - self.record.started_at_s
        self.record.sent_bytes += len(body)
        with contextlib.suppress(OSError):  # the client hung up; the function runs on
            await self._send({"type": "http.response.body", "body": body, "more_body": more})


async def _with_timeouts(payload: AsyncIterator[bytes], give_up_at: float) -> AsyncIterator[bytes]:
    """The payload, unless nothing comes for the idle timeout or the integration's own timeout is over."""
    loop = asyncio.get_running_loop()
    chunks = aiter(payload)
    while True:
        async with asyncio.timeout_at(min(give_up_at, loop.time() + STREAM_IDLE_TIMEOUT_S)):
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return
        yield chunk
