"""The transport to an upstream: streaming, reuse, and every way of breaking off."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from sallyport.adapters.upstream_http import HttpTransport
from sallyport.errors import (
    DeadlineExceededError,
    SallyportError,
    UpstreamInterruptedError,
    UpstreamInvalidResponseError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from sallyport.providers.transport import UpstreamRequest, UpstreamResponse
from tests.support.servers import Peer, Received, ScriptedServer, refused_url, serve

REQUEST = UpstreamRequest("POST", "/v1/chat/completions", {"content-type": "application/json"}, b"{}")
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n"


def plenty() -> float:
    return 60.0


def transport_to(url: str, idle_timeout_s: float = 5) -> HttpTransport:
    return HttpTransport(url, 1, idle_timeout_s)


def body_of(response: UpstreamResponse) -> bytes:
    try:
        return b"".join(response.chunks())
    finally:
        response.close()


def failing_with(kind: type[SallyportError], script: Callable[[Peer], None], idle_timeout_s: float = 5) -> None:
    with ScriptedServer(script) as server:
        transport = transport_to(server.url, idle_timeout_s)
        with pytest.raises(kind):
            body_of(transport.send(REQUEST, plenty))


def test_the_request_goes_out_as_it_is() -> None:
    received: list[Received] = []
    with ScriptedServer(serve(lambda _, peer: peer.answer(200, b"{}"), received)) as server:
        transport = transport_to(server.url)
        assert body_of(transport.send(REQUEST, plenty)) == b"{}"
    method, target, headers, body = received[0]
    assert (method, target, body) == ("POST", "/v1/chat/completions", b"{}")
    assert headers["content-type"] == "application/json"


def test_a_chunk_is_given_before_the_next_is_sent() -> None:
    go_on = threading.Event()

    def script(peer: Peer) -> None:
        peer.read()
        peer.send(CHUNKED)
        peer.chunk(b"data: 1\n\n")
        assert go_on.wait(10)
        peer.chunk(b"data: 2\n\n")
        peer.chunk(b"")
        peer.wait_closed()

    with ScriptedServer(script) as server:
        transport = transport_to(server.url)
        response = transport.send(REQUEST, plenty)
        chunks = response.chunks()
        assert next(chunks) == b"data: 1\n\n"
        go_on.set()
        assert list(chunks) == [b"data: 2\n\n"]
        response.close()


@pytest.mark.parametrize("chunked", [True, False])
def test_a_connection_is_reused(chunked: bool) -> None:
    def answer(_: Received, peer: Peer) -> None:
        if not chunked:
            return peer.answer(200, b"x" * 200_000)
        peer.send(CHUNKED)
        peer.chunk(b"x" * 200_000)
        return peer.chunk(b"")

    with ScriptedServer(serve(answer, [])) as server:
        transport = transport_to(server.url)
        for _ in range(3):
            assert len(body_of(transport.send(REQUEST, plenty))) == 200_000
        assert server.connections == 1


def test_an_answer_left_half_read_is_not_reused() -> None:
    with ScriptedServer(serve(lambda _, peer: peer.answer(200, b"x" * 200_000), [])) as server:
        transport = transport_to(server.url)
        half_read = transport.send(REQUEST, plenty)
        next(half_read.chunks())
        half_read.close()
        assert len(body_of(transport.send(REQUEST, plenty))) == 200_000
        assert server.connections == 2


def test_an_answer_that_was_never_released_is_nobody_elses() -> None:
    def script(peer: Peer) -> None:
        peer.read()
        peer.answer(200, b"first")
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n")
        peer.read()
        peer.answer(200, b"another tenant's")

    def other(peer: Peer) -> None:
        peer.read()
        peer.answer(200, b"one's own")

    scripts = iter([script, other])

    def one_each(peer: Peer) -> None:
        next(scripts)(peer)

    with ScriptedServer(one_each) as server:
        transport = transport_to(server.url)
        body_of(transport.send(REQUEST, plenty))
        forgotten = transport.send(REQUEST, plenty)
        assert body_of(transport.send(REQUEST, plenty)) == b"one's own"
        assert (forgotten.status, server.connections) == (200, 2)


def test_a_connection_that_the_upstream_closed_is_made_anew() -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.read()
        peer.answer(200, b"{}")
        peer.close()
        closed.set()

    with ScriptedServer(script) as server:
        transport = transport_to(server.url)
        body_of(transport.send(REQUEST, plenty))
        assert closed.wait(10)
        assert body_of(transport.send(REQUEST, plenty)) == b"{}"


def test_a_burst_of_small_chunks_is_read_piece_by_piece() -> None:
    def answer(_: Received, peer: Peer) -> None:
        peer.send(CHUNKED + b"".join(b"5\r\n%05d\r\n" % number for number in range(50_000)) + b"0\r\n\r\n")

    with ScriptedServer(serve(answer, [])) as server:
        pieces = list(transport_to(server.url).send(REQUEST, plenty).chunks())
    assert len(pieces) >= 50_000
    assert b"".join(pieces) == b"".join(b"%05d" % number for number in range(50_000))


def test_a_redirect_is_not_followed() -> None:
    received: list[Received] = []
    answer = serve(lambda _, peer: peer.answer(307, b"", location="http://127.0.0.1:1/"), received)
    with ScriptedServer(answer) as server:
        transport = transport_to(server.url)
        response = transport.send(REQUEST, plenty)
        assert response.status == 307
        body_of(response)
    assert len(received) == 1


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(UpstreamUnreachableError):
        transport_to(refused_url()).send(REQUEST, plenty)


def closing_after_one_answer(received: list[Received]) -> Callable[[Peer], None]:
    """Answers the first request of each connection, reads the second and closes."""

    def script(peer: Peer) -> None:
        first = peer.read()
        assert first is not None
        received.append(first)
        peer.answer(200, b"{}")
        second = peer.read()
        if second is not None:
            received.append(second)

    return script


@pytest.mark.parametrize(
    ("method", "resend", "sent"), [("POST", True, 3), ("POST", False, 2), ("PATCH", False, 2), ("GET", False, 3)]
)
def test_what_a_kept_connection_may_have_taken_is_sent_again_only_where_that_does_no_harm(
    method: str, resend: bool, sent: int
) -> None:
    received: list[Received] = []
    with ScriptedServer(closing_after_one_answer(received)) as server:
        transport = HttpTransport(server.url, 1, 5, resend=resend)
        body_of(transport.send(REQUEST, plenty))
        with suppress(UpstreamUnreachableError):
            body_of(transport.send(REQUEST._replace(method=method), plenty))
    assert len(received) == sent


def test_a_connection_closed_without_an_answer_is_unreachable() -> None:
    received: list[Received | None] = []

    def script(peer: Peer) -> None:
        received.append(peer.read())

    failing_with(UpstreamUnreachableError, script)
    assert len(received) == 1  # a fresh connection's request is never repeated


def test_an_answer_that_is_no_http_is_invalid() -> None:
    failing_with(UpstreamInvalidResponseError, serve(lambda _, peer: peer.send(b"SSH-2.0-OpenSSH\r\n\r\n"), []))


def test_an_upstream_that_never_answers_times_out() -> None:
    failing_with(UpstreamTimeoutError, serve(lambda _, peer: peer.wait_closed(), []), idle_timeout_s=0.05)


def test_an_upstream_that_falls_silent_in_mid_stream_times_out() -> None:
    def answer(_: Received, peer: Peer) -> None:
        peer.send(CHUNKED)
        peer.chunk(b"data: 1\n\n")
        peer.wait_closed()

    failing_with(UpstreamTimeoutError, serve(answer, []), idle_timeout_s=0.05)


def test_a_chunked_answer_that_is_cut_is_interrupted() -> None:
    def script(peer: Peer) -> None:
        peer.read()
        peer.send(CHUNKED)
        peer.chunk(b"data: 1\n\n")

    failing_with(UpstreamInterruptedError, script)


def test_an_answer_shorter_than_promised_is_interrupted() -> None:
    def script(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")

    failing_with(UpstreamInterruptedError, script)


def test_no_time_left_is_a_deadline_before_anything_is_sent() -> None:
    received: list[Received] = []
    with ScriptedServer(serve(lambda _, peer: peer.answer(200), received)) as server:
        with pytest.raises(DeadlineExceededError):
            transport_to(server.url).send(REQUEST, lambda: 0.0)
    assert received == []


def test_the_deadline_ends_a_stream_that_goes_on() -> None:
    left = [9.0, 9.0, 9.0, 0.0]

    def answer(_: Received, peer: Peer) -> None:
        peer.send(CHUNKED)
        for _number in range(100):
            peer.chunk(b"data: 1\n\n")
        peer.wait_closed()

    with ScriptedServer(serve(answer, [])) as server:
        transport = transport_to(server.url)
        with pytest.raises(DeadlineExceededError):
            body_of(transport.send(REQUEST, lambda: left.pop(0) if left else 0.0))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nopenai-model: a\r\n set-cookie: evil=1\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/2 200\r\n\r\n",
    ],
)
def test_an_answer_that_can_be_read_in_two_ways_is_invalid(head: bytes) -> None:
    failing_with(UpstreamInvalidResponseError, serve(lambda _, peer: peer.send(head), []))


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"other"',
        b'HTTP/1.1 204 No Content\r\ncontent-length: 7\r\n\r\n"other"',
        CHUNKED + b'2\r\n{}\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"other"',
    ],
)
def test_what_follows_an_answer_is_never_taken_for_the_next_one(answer: bytes) -> None:
    with ScriptedServer(serve(lambda _, peer: peer.send(answer), [])) as server:
        transport = transport_to(server.url)
        for _ in range(3):
            assert body_of(transport.send(REQUEST, plenty)) in {b"{}", b""}
        assert server.connections == 3


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nx: ", CHUNKED + b"1", CHUNKED + b"0\r\nx: "])
def test_the_deadline_is_asked_for_before_every_wait(start: bytes) -> None:
    left = [9.0, 9.0, 9.0]

    def answer(_: Received, peer: Peer) -> None:
        peer.send(start)
        peer.wait_closed()

    with ScriptedServer(serve(answer, [])) as server:
        with pytest.raises(DeadlineExceededError):
            body_of(transport_to(server.url).send(REQUEST, lambda: left.pop() if left else 0.0))


def test_a_request_is_not_repeated_once_a_byte_of_an_answer_has_come() -> None:
    received: list[Received] = []

    def script(peer: Peer) -> None:
        for answer in (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"HTTP/1.1 200 O"):
            request = peer.read()
            assert request is not None
            received.append(request)
            peer.send(answer)

    with ScriptedServer(script) as server:
        transport = transport_to(server.url)
        body_of(transport.send(REQUEST, plenty))
        with pytest.raises(UpstreamInvalidResponseError):
            transport.send(REQUEST, plenty)
    assert len(received) == 2


def test_an_answer_to_a_body_that_was_not_read_is_heard() -> None:
    def script(peer: Peer) -> None:
        peer.answer(413, b"{}")
        peer.close()

    large = REQUEST._replace(body=b"x" * 5_000_000)
    with ScriptedServer(script) as server:
        response = transport_to(server.url).send(large, plenty)
        assert (response.status, body_of(response)) == (413, b"{}")
