"""The Runtime API where it misbehaves."""

import pytest

from sallyport.runtime.client import RuntimeApi, RuntimeApiError
from tests.support.fake_runtime_api import ACCEPTED, CLOSE, FakeRuntimeApi, Reply, event

FIELDS = b"Lambda-Runtime-Aws-Request-Id: id-1\r\nLambda-Runtime-Deadline-Ms: 1\r\n"


def next_body(*script: Reply) -> bytes:
    with FakeRuntimeApi(*script) as fake:
        api = RuntimeApi(fake.address)
        try:
            return api.next_invocation().body
        finally:
            api.close()


def test_a_chunked_event_is_read() -> None:
    data = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        + FIELDS
        + b"\r\n2;x=y\r\n{}\r\n1\r\n \r\n0\r\nA: b\r\n\r\n"
    )
    assert next_body(Reply(data)) == b"{} "


def test_an_event_that_ends_with_the_connection_is_read() -> None:
    assert next_body(Reply(b"HTTP/1.0 200 OK\r\n" + FIELDS + b"\r\n{}", close=True)) == b"{}"


def test_an_interim_response_is_passed_over() -> None:
    assert next_body(Reply(b"HTTP/1.1 102 Wait\r\n\r\n" + event(b"[]").data)) == b"[]"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"HTTP/1.1 two\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nA: b",
    ],
    ids=["nothing", "empty", "no status", "cut body", "cut head"],
)
def test_what_is_no_answer_means_that_the_runtime_api_is_gone(data: bytes) -> None:
    with pytest.raises(RuntimeApiError):
        next_body(Reply(data, close=True))


def test_nobody_listening_means_that_the_runtime_api_is_gone() -> None:
    with FakeRuntimeApi() as fake:
        api = RuntimeApi(fake.address)
    with pytest.raises(RuntimeApiError):
        api.next_invocation()


def test_a_kept_connection_that_was_closed_is_made_anew() -> None:
    closing = Reply(event().data.replace(b"200 X\r\n", b"200 X\r\nConnection: close\r\n"), close=True)
    with FakeRuntimeApi(closing, ACCEPTED) as fake:
        api = RuntimeApi(fake.address)
        api.respond(api.next_invocation(), b"{}")
        api.close()
    assert fake.connections == [1, 2]


def test_an_answer_whose_connection_was_lost_is_sent_again() -> None:
    with FakeRuntimeApi(event(), CLOSE, ACCEPTED) as fake:
        api = RuntimeApi(fake.address)
        api.respond(api.next_invocation(), b"{}")
        api.close()
    assert fake.requests[1] == fake.requests[2]
    assert fake.connections == [1, 1, 2]


def test_an_answer_that_is_lost_twice_means_that_the_runtime_api_is_gone() -> None:
    with FakeRuntimeApi(event(), CLOSE, CLOSE, ACCEPTED) as fake:
        api = RuntimeApi(fake.address)
        invocation = api.next_invocation()
        with pytest.raises(RuntimeApiError):
            api.respond(invocation, b"{}")
        api.close()
