"""The API as a client sees it: limits, authorizer, streams, and what happens when things break."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from sallyport_cli.local.api_gateway import ApiGateway
from sallyport_cli.serving import listen, serve
from tests.functional.local.stub import DEADLINE_S, Bench, open_bench, until


class Response(NamedTuple):
    """A response read to its end; `whole` is False where the connection ended first."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool


class Client:
    """One connection, one request, byte by byte."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        fields = {"Host": "gw", "Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        await writer.drain()
        return reader, writer

    async def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        async with asyncio.timeout(DEADLINE_S):
            reader, writer = await self.send(method, path, body, headers)
            raw = await reader.read()
            writer.close()
        return parse(raw)


def parse(raw: bytes) -> Response:
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    whole = True
    if headers.get("transfer-encoding") == "chunked":
        rest, whole = unchunk(rest)
    return Response(int(first.split(" ")[1]), headers, rest, whole)


def unchunk(raw: bytes) -> tuple[bytes, bool]:
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        if int(size, 16) == 0:
            return body, True
        body, raw = body + raw[: int(size, 16)], raw[int(size, 16) + 2 :]
    return body, False


@asynccontextmanager
async def open_gateway(bench: Bench) -> AsyncIterator[Client]:
    for function in ("AuthorizerFunction", "Buffered", "Streamed"):
        bench.pool(function)
    listener = listen(0)
    stop, ready = asyncio.Event(), asyncio.Event()
    app = ApiGateway(bench.stack, bench.pools, bench.console)
    serving = asyncio.create_task(serve(app, listener, stop, ready.set))
    await ready.wait()
    try:
        yield Client(listener.getsockname()[1])
    finally:
        stop.set()
        await serving


type Scenario = Callable[[Bench, Client], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    async def run(scenario: Scenario) -> None:
        async with open_bench(tmp_path) as bench, open_gateway(bench) as client:
            await scenario(bench, client)

    return lambda scenario: asyncio.run(run(scenario))


def test_a_stream_reaches_the_client_while_the_function_still_works(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench, client: Client) -> None:
        reader, writer = await client.send("POST", "/stream", bench.order("yield:one", "gate:middle", "yield:two"))
        async with asyncio.timeout(DEADLINE_S):
            first = await reader.readuntil(b"one")
            assert first.startswith(b"HTTP/1.1 200")
            await bench.gate.let_on("middle")
            rest = await reader.read()
        assert rest.endswith(b"3\r\ntwo\r\n0\r\n\r\n")
        writer.close()

    play(scenario)


def test_a_client_that_hangs_up_does_not_stop_the_function(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench, client: Client) -> None:
        order = bench.order("yield:one", "gate:middle", "yield:" + "x" * 3_000_000, "gate:end", after=["later"])
        reader, writer = await client.send("POST", "/stream", order)
        await reader.readuntil(b"one")
        writer.transport.abort()
        await bench.gate.let_on("middle")
        await bench.gate.let_on("end")
        await bench.gate.let_on("later")
        await bench.pool("Streamed").settle()

    play(scenario)


def test_a_crash_in_mid_stream_cuts_the_response(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench, client: Client) -> None:
        reader, writer = await client.send("POST", "/stream", bench.order("yield:one", "gate:middle", "exit:1"))
        first = await reader.readuntil(b"one")
        await bench.gate.let_on("middle")
        response = parse(first + await reader.read())
        assert (response.status, response.body, response.whole) == (200, b"one", False)
        writer.close()

    play(scenario)


@pytest.mark.parametrize("order", [{"steps": ["exit:1"]}, {"steps": ["raise:x"]}, {"answer": {"oops": 1}}])
def test_a_failed_function_is_a_502(play: Callable[[Scenario], None], order: dict[str, object]) -> None:
    async def scenario(bench: Bench, client: Client) -> None:
        response = await client.call("POST", "/open", json.dumps({"port": bench.gate.port, **order}).encode())
        assert (response.status, json.loads(response.body)) == (502, {"code": "INTEGRATION_FAILURE"})

    play(scenario)


def test_a_buffered_answer_on_a_streamed_route_is_a_502(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench, client: Client) -> None:
        assert (await client.call("POST", "/stream", bench.order(buffered=True))).status == 502

    play(scenario)


def test_an_answer_over_6_mb_is_a_502(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench, client: Client) -> None:
        assert (await client.call("POST", "/open", bench.order(size=6 * 1024 * 1024))).status == 502

    play(scenario)


@pytest.mark.parametrize(("size", "status"), [(10 * 1024 * 1024 + 1, 413), (6 * 1024 * 1024, 413), (1024, 200)])
def test_bodies_and_events_have_limits(play: Callable[[Scenario], None], size: int, status: int) -> None:
    async def scenario(_: Bench, client: Client) -> None:
        body = b'{"pad":"' + b"x" * (size - 10) + b'"}'
        assert (await client.call("POST", "/open", body)).status == status

    play(scenario)


def test_headers_have_a_limit(play: Callable[[Scenario], None]) -> None:
    async def scenario(_: Bench, client: Client) -> None:
        assert (await client.call("GET", "/open", headers={"x-long": "x" * 10_240})).status == 431

    play(scenario)


def test_an_integration_that_takes_too_long_is_a_504_and_runs_on(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench, client: Client) -> None:
        await bench.pool("Buffered").warm()
        response = await client.call("POST", "/hasty", bench.order("gate:slow", after=["later"]))
        assert (response.status, json.loads(response.body)) == (504, {"code": "INTEGRATION_TIMEOUT"})
        await bench.gate.let_on("slow")
        await bench.gate.let_on("later")
        await bench.pool("Buffered").settle()

    play(scenario)


@pytest.mark.parametrize(
    ("wish", "status"), [("allow", 200), ("deny", 403), ("unauthorized", 401), ("fail", 503), ("nonsense", 500)]
)
def test_the_authorizer_decides(play: Callable[[Scenario], None], wish: str, status: int) -> None:
    async def scenario(_: Bench, client: Client) -> None:
        response = await client.call("GET", "/closed/7", headers={"x-wish": wish})
        assert response.status == status
        if wish == "allow":
            event = json.loads(response.body)["event"]
            context = event["requestContext"]["authorizer"]
            assert isinstance(context.pop("integrationLatency"), int)
            assert context == {
                "principalId": "p",
                "tenant": "acme",
                "code": "ip_denied",
            }
            assert event["pathParameters"] == {"id": "7"}
        if wish == "deny":
            assert json.loads(response.body) == {"code": "ip_denied", "id": response.headers["x-amzn-requestid"]}

    play(scenario)


def test_a_path_without_a_route_is_api_gateways_403(play: Callable[[Scenario], None]) -> None:
    async def scenario(_: Bench, client: Client) -> None:
        response = await client.call("GET", "/nowhere")
        assert (response.status, json.loads(response.body)) == (403, {"message": "Missing Authentication Token"})

    play(scenario)


def test_each_request_has_a_line_in_the_log(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench, client: Client) -> None:
        await client.call("GET", "/closed/7?secret=1", headers={"x-wish": "allow"})
        await until(lambda: "GET /closed/7 200" in bench.log.getvalue())
        line = bench.log.getvalue()
        assert "Buffered tenant=acme" in line
        assert "secret" not in line

    play(scenario)


def test_past_the_concurrency_api_gateway_throttles(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench, client: Client) -> None:
        bench.pools["Buffered"] = bench.new_pool("Buffered", concurrency=1, wait_s=0.05)
        first = asyncio.create_task(client.call("POST", "/open", bench.order("gate:a")))
        await bench.gate.arrived("a")
        assert (await client.call("POST", "/open", bench.order())).status == 429
        await bench.gate.let_on("a")
        assert (await first).status == 200

    play(scenario)
