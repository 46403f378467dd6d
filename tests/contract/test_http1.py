"""Our reading of HTTP/1.1 answers, next to the standard library's, on answers cut into pieces anywhere."""

import http.client
import io
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.http1 import (
    MalformedResponseError,
    NoResponseError,
    Response,
    ResponseError,
    TruncatedResponseError,
    request_head,
)

BODIES = st.binary(max_size=300)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=12).map(lambda name: f"x-{name}")
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=5)
PIECES = st.lists(st.integers(1, 50), max_size=20)
STATUSES = st.sampled_from([200, 201, 204, 302, 304, 400, 404, 429, 500, 529])


class Pieces(io.RawIOBase):
    """A socket's bytes, arriving in pieces."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = data
        self._sizes = iter(sizes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        size = min(next(self._sizes, 1000), len(buffer), len(self._data))
        buffer[:size], self._data = self._data[:size], self._data[size:]
        return size


class FakeSocket:
    """What `http.client.HTTPResponse` wants of a socket."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def makefile(self, mode: str) -> io.BytesIO:
        return self._file


def read(data: bytes, sizes: list[int] | None = None) -> tuple[int, dict[str, str], bytes]:
    response = Response(io.BufferedReader(Pieces(data, sizes or [])))
    body = response.read_all(10_000)
    assert response.ended
    return response.status, response.headers, body


def read_by_standard_library(data: bytes) -> tuple[int, dict[str, str], bytes]:
    response = http.client.HTTPResponse(FakeSocket(data), method="POST")  # type: ignore[arg-type]
    response.begin()
    body = response.read()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, body


def head(status: int, headers: dict[str, str], *framing: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Reason", *[f"{name}: {value}" for name, value in headers.items()], *framing]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunked(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        piece, body = body[:size], body[size:]
        if piece:
            yield b"%x;ext=1\r\n%s\r\n" % (len(piece), piece)
    yield (b"%X\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\nx-trailer: 1\r\n\r\n"


@given(STATUSES, HEADERS, BODIES, PIECES)
def test_a_sized_answer_reads_as_the_standard_library_reads_it(
    status: int, headers: dict[str, str], body: bytes, sizes: list[int]
) -> None:
    body = b"" if status in {204, 304} else body
    data = head(status, headers, f"Content-Length: {len(body)}") + body
    assert read(data, sizes) == read_by_standard_library(data)


@given(HEADERS, BODIES, PIECES, PIECES)
def test_a_chunked_answer_reads_as_the_standard_library_reads_it(
    headers: dict[str, str], body: bytes, chunks: list[int], sizes: list[int]
) -> None:
    data = head(200, headers, "Transfer-Encoding: chunked") + b"".join(chunked(body, chunks))
    assert read(data, sizes) == read_by_standard_library(data)


@given(HEADERS, BODIES, PIECES)
def test_an_answer_until_the_close_reads_as_the_standard_library_reads_it(
    headers: dict[str, str], body: bytes, sizes: list[int]
) -> None:
    data = head(200, headers, "Connection: close") + body
    assert read(data, sizes) == read_by_standard_library(data)


@given(HEADERS, BODIES, st.data())
def test_an_answer_cut_anywhere_is_never_taken_for_a_whole_one(
    headers: dict[str, str], body: bytes, data: st.DataObject
) -> None:
    whole = head(200, headers, "Transfer-Encoding: chunked") + b"".join(chunked(body, [7, 50]))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(TruncatedResponseError):
        read(cut)


@given(st.binary(max_size=400))
def test_any_bytes_are_an_answer_or_an_error(data: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"):
        try:
            read(start + data)
        except ResponseError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n no-name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nname : value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: \0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
    ],
)
def test_an_answer_that_may_be_read_in_two_ways_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        read(data)


def test_an_interim_answer_is_passed_over() -> None:
    assert read(b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + head(200, {}, "content-length: 2") + b"{}")[2] == b"{}"


def test_no_byte_at_all_is_no_response() -> None:
    with pytest.raises(NoResponseError):
        read(b"")


def test_an_answer_over_the_bound_is_refused() -> None:
    with pytest.raises(MalformedResponseError):
        read(head(200, {}, "content-length: 10001") + b"x" * 10_001)


@pytest.mark.parametrize(
    ("version", "header", "persistent"),
    [
        (b"1.1", b"x: y", True),
        (b"1.1", b"connection: close", False),
        (b"1.1", b"connection: x, Close", False),
        (b"1.0", b"x: y", False),
        (b"1.0", b"connection: keep-alive", True),
    ],
)
def test_who_may_be_asked_again_on_the_same_connection(version: bytes, header: bytes, persistent: bool) -> None:
    data = b"HTTP/" + version + b" 200 OK\r\ncontent-length: 0\r\n" + header + b"\r\n\r\n"
    assert Response(io.BufferedReader(Pieces(data, []))).persistent is persistent


def test_a_chunk_is_given_before_its_line_ends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as reader:
        ours.settimeout(10)
        theirs.sendall(head(200, {}, "transfer-encoding: chunked") + b"5\r\nhello")
        assert Response(reader).read_some(100) == b"hello"


@pytest.mark.parametrize("target", ["", "/a b", "/a\r\nx: y", "/é"])
def test_a_target_that_would_be_more_than_one_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="target"):
        request_head("GET", target, [])


@pytest.mark.parametrize(
    "field", [("a", "b\r\nc: d"), ("a", "b\nc"), ("a", "\0"), ("a b", "c"), ("a:", "b"), ("", "b"), ("a", "é")]
)
def test_a_field_that_would_be_more_than_one_is_refused(field: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="field"):
        request_head("GET", "/", [field])


def test_a_request_head_is_what_the_standard_says() -> None:
    assert request_head("POST", "/v1/x", [("host", "a"), ("x", "")]) == b"POST /v1/x HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n"


@pytest.mark.parametrize("tail", [b"", b"y", b"\0", b"\r", b"y\0"])
def test_a_field_of_spaces_is_read_in_one_go(tail: bytes) -> None:
    """A pattern that tries every way to share them out would take hours, with no deadline looked at."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx:" + b" \t" * 30_000 + tail + b"\r\n\r\n"
    if tail.isalpha() or not tail:
        assert read(answer)[1]["x"] == tail.decode()
    else:
        with pytest.raises(MalformedResponseError):
            read(answer)
