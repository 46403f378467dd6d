"""Streamed answers, byte for byte: prelude, chunks, trailers, and every way of breaking off."""

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sallyport.runtime.client import RuntimeApi
from sallyport.runtime.errors import DeadlineExceeded
from sallyport.runtime.loop import Loop
from sallyport.runtime.streaming import StreamedResponse
from tests.support.fake_runtime_api import (
    ACCEPTED,
    CLOSE,
    PATIENCE_S,
    FakeRuntimeApi,
    Reply,
    chunks,
    event,
    parse,
    response,
    status,
)
from tests.unit.runtime.conftest import Serve, serve_fake
from tests.unit.runtime.test_buffered_answers import AGENT

PRELUDE = b'{"statusCode":200,"headers":{"a":"b"}}' + bytes(8)


class Body:
    """A body that raises after its chunks, if told to, and notes that it was closed."""

    def __init__(self, *parts: bytes, error: BaseException | None = None) -> None:
        self._parts = parts
        self._error = error
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed += 1


def streaming(body: Any, error_event: Callable[[BaseException], bytes] | None = None) -> Callable[..., Any]:
    return lambda _event, _context: StreamedResponse(200, {"a": "b"}, body, error_event=error_event)


def error_of(trailers: dict[str, str]) -> Any:
    return json.loads(base64.b64decode(trailers["Lambda-Runtime-Function-Error-Body"]))


def test_a_stream_is_sent_byte_for_byte_as_documented() -> None:
    body = Body(b"data: 1\n\n", b"", b"data: 2\n\n")
    with FakeRuntimeApi(event(), ACCEPTED) as fake:
        serve_fake(fake, streaming(body), {})
    assert fake.requests[1] == (
        b"POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\n"
        + f"Host: {fake.address}\r\nUser-Agent: {AGENT}\r\n".encode()
        + b"Content-Type: application/vnd.awslambda.http-integration-response\r\n"
        b"Lambda-Runtime-Function-Response-Mode: streaming\r\n"
        b"Transfer-Encoding: chunked\r\n"
        b"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
        b"2e\r\n" + PRELUDE + b"\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"
    )
    assert body.closed == 1


def test_the_prelude_holds_many_valued_headers_and_cookies(serve: Serve) -> None:
    def handler(_event: Any, _context: Any) -> StreamedResponse:
        return StreamedResponse(201, {}, [], {"x": ("1", "2")}, ("a=1", "b=2"))

    sent, trailers = chunks(serve(handler, event(), ACCEPTED)[1])
    assert json.loads(sent[0].removesuffix(bytes(8))) == {
        "statusCode": 201,
        "headers": {},
        "multiValueHeaders": {"x": ["1", "2"]},
        "cookies": ["a=1", "b=2"],
    }
    assert (len(sent), trailers) == (1, {})


def test_each_chunk_is_on_the_wire_before_the_next_is_asked_for() -> None:
    with FakeRuntimeApi(event(), ACCEPTED) as fake:

        def body() -> Iterator[bytes]:
            fake.wait_for(bytes(8) + b"\r\n")
            yield b"first"
            fake.wait_for(b"first\r\n")
            yield b"second"
            fake.wait_for(b"second\r\n")

        serve_fake(fake, streaming(body()), {})
    assert chunks(fake.requests[1])[0] == [PRELUDE, b"first", b"second"]


def test_a_chunk_of_a_megabyte_arrives_whole(serve: Serve) -> None:
    big = bytes(range(256)) * 4096
    assert chunks(serve(streaming(Body(big)), event(), ACCEPTED)[1])[0] == [PRELUDE, big]


def test_the_next_event_is_served_over_the_same_connection() -> None:
    with FakeRuntimeApi(event(), ACCEPTED, event(), ACCEPTED) as fake:
        serve_fake(fake, streaming(Body(b"x")), {})
    assert fake.connections == [1, 1, 1, 1]


def test_an_error_in_mid_stream_ends_with_an_event_and_trailers(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    body = Body(b"data: 1\n\n", error=ValueError("sk-secret"))
    event_of = "event: error\ndata: {}\n\n".format
    requests = serve(streaming(body, lambda error: event_of(type(error).__name__).encode()), event(), ACCEPTED)
    sent, trailers = chunks(requests[1])
    assert sent == [PRELUDE, b"data: 1\n\n", b"event: error\ndata: ValueError\n\n"]
    assert list(trailers) == ["Lambda-Runtime-Function-Error-Type", "Lambda-Runtime-Function-Error-Body"]
    assert trailers["Lambda-Runtime-Function-Error-Type"] == "ValueError"
    assert error_of(trailers)["errorMessage"].startswith(f"ValueError at {__file__}:")
    assert body.closed == 1
    logged = capsys.readouterr().err
    assert json.loads(logged)["errorType"] == "ValueError"
    assert "sk-secret" not in logged + json.dumps(error_of(trailers))


def test_an_error_in_mid_stream_ends_with_trailers_also_without_an_event(serve: Serve) -> None:
    sent, trailers = chunks(serve(streaming(Body(b"1", error=OSError())), event(), ACCEPTED)[1])
    assert (sent, trailers["Lambda-Runtime-Function-Error-Type"]) == ([PRELUDE, b"1"], "OSError")


def test_a_failing_error_event_does_not_hide_the_error(serve: Serve) -> None:
    def failing(_error: BaseException) -> bytes:
        raise LookupError

    sent, trailers = chunks(serve(streaming(Body(error=OSError()), failing), event(), ACCEPTED)[1])
    assert (sent, trailers["Lambda-Runtime-Function-Error-Type"]) == ([PRELUDE], "OSError")


def test_a_stream_does_not_go_on_into_the_time_reserved_for_settling(serve: Serve) -> None:
    clock = [1_000.0]
    seen = []

    def body() -> Iterator[bytes]:
        yield b"in time"
        clock[0] = 1_008.0
        yield b"too late"

    def error_event(error: BaseException) -> bytes:
        seen.append(type(error))
        return b"cut"

    requests = serve(streaming(body(), error_event), event(deadline_ms=1_010_000), ACCEPTED, now=lambda: clock[0])
    sent, trailers = chunks(requests[1])
    assert (sent, seen) == ([PRELUDE, b"in time", b"cut"], [DeadlineExceeded])
    assert trailers["Lambda-Runtime-Function-Error-Type"] == "DeadlineExceeded"


def test_headers_beyond_16_kb_are_reported_before_anything_is_streamed(serve: Serve) -> None:
    body = Body(b"x")
    requests = serve(lambda _event, _context: StreamedResponse(200, {"a": "b" * 16_384}, body), event(), ACCEPTED)
    assert parse(requests[1]).line.endswith("/invocation/id-1/error HTTP/1.1")
    assert parse(requests[1]).json["errorType"] == "Runtime.MarshalError"
    assert body.closed == 1


def test_a_body_that_fails_to_close_does_not_stop_the_loop(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    class Stuck(Body):
        def close(self) -> None:
            raise OSError

    assert len(serve(streaming(Stuck(b"x")), event(), ACCEPTED, event(), ACCEPTED)) == 4
    assert json.loads(capsys.readouterr().err.splitlines()[0])["message"] == "closing a stream failed"


def endless(chunk: bytes = bytes(65_536)) -> Iterator[bytes]:
    while True:
        yield chunk


def test_a_stream_whose_reader_is_gone_is_given_up_and_the_next_event_served() -> None:
    cut = Reply(b"", close=True, read_body=False)
    with FakeRuntimeApi(event(), cut, event(), ACCEPTED) as fake:
        bodies = iter([endless(), iter([b"whole"])])
        serve_fake(fake, lambda _event, _context: StreamedResponse(200, {"a": "b"}, next(bodies)), {})
    assert chunks(fake.requests[-1])[0] == [PRELUDE, b"whole"]
    assert fake.connections == [1, 1, 2, 2]


def test_a_stream_that_is_refused_while_it_runs_is_given_up() -> None:
    refusal = Reply(response(413, b"{}"), close=True, read_body=False)
    body = Body()
    with FakeRuntimeApi(event(), refusal, event(), ACCEPTED) as fake:
        bodies: Iterator[Any] = iter([endless(), body])
        serve_fake(fake, lambda _event, _context: StreamedResponse(200, {"a": "b"}, next(bodies)), {})
    assert fake.connections == [1, 1, 2, 2]
    assert body.closed == 1


def test_a_stream_that_is_refused_at_its_end_does_not_stop_the_loop(serve: Serve) -> None:
    assert len(serve(streaming(Body(b"x")), event(), status(403), event(), ACCEPTED)) == 4


def test_the_loop_ends_when_a_stream_is_answered_with_a_server_error(serve: Serve) -> None:
    body = Body(b"x")
    assert len(serve(streaming(body), event(), status(500), event(), ACCEPTED)) == 2
    assert body.closed == 1


def test_a_silent_runtime_api_does_not_take_the_time_reserved_for_settling() -> None:
    """The peer reads nothing of the stream, so that sending blocks until one second before the deadline: 0.1 s."""
    done: list[str] = []
    over = threading.Event()

    def handler(_event: Any, context: Any) -> StreamedResponse:
        context.after_response(lambda: done.append("settled"))
        return StreamedResponse(200, {}, endless())

    def serve_then_fall_silent(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(event(deadline_ms=1_001_100).data)
            over.wait(PATIENCE_S)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = threading.Thread(target=serve_then_fall_silent, args=(listener,))
        peer.start()
        api = RuntimeApi(f"127.0.0.1:{listener.getsockname()[1]}")
        Loop(api, handler, {}, lambda: 1_000.0).serve_one()
        api.close()
        over.set()
        peer.join()
    assert done == ["settled"]


def test_an_exit_in_mid_stream_leaves_the_stream_visibly_unfinished() -> None:
    body = Body(b"x", error=SystemExit(3))
    with FakeRuntimeApi(event(), ACCEPTED) as fake:
        api = RuntimeApi(fake.address)
        with pytest.raises(SystemExit):
            Loop(api, streaming(body), {}).run()
        api.close()
    assert b"\r\n0\r\n" not in fake.requests[1]
    assert body.closed == 1


def test_a_connection_lost_at_the_end_does_not_stop_the_loop(serve: Serve) -> None:
    assert len(serve(streaming(Body(b"x")), event(), CLOSE, event(), ACCEPTED)) == 4


def test_a_streamed_response_is_immutable() -> None:
    made = StreamedResponse(200, {}, [])
    with pytest.raises(AttributeError):
        made.status = 500
    with pytest.raises(AttributeError):
        del made.status
    assert (made.status, made.multi_value_headers, made.cookies, made.error_event) == (200, {}, (), None)
