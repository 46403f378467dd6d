"""One kept-alive HTTP/1.1 connection to the Runtime API, bytes in and bytes out.

Written on the socket, because http.client can't send trailers, and costs a cold start 20 ms for its e-mail parser.
It trusts its peer, which is the machine's own Lambda service.
"""

import select
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import BufferedReader

MAX_LINE_BYTES = 1_048_576
_JOINED_BYTES = 65_536
"""Up to here parts are joined into one write; beyond, the copy costs more than another system call."""


class ConnectionLostError(Exception):
    """The peer closed the connection, couldn't be reached, kept silent for too long, or spoke no HTTP."""


class Response:
    """A response that was read to its end. `headers` has lower-case names."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class HttpConnection:
    """A connection that is made when first needed, and anew after it was lost."""

    def __init__(self, address: str) -> None:
        """`address` is `host:port`, as in AWS_LAMBDA_RUNTIME_API."""
        host, _, port = address.rpartition(":")
        self._peer = (host.strip("[]"), int(port))
        self._socket: socket.socket | None = None
        self._reader: BufferedReader | None = None

    def is_open(self) -> bool:
        """Say whether the peer still listens. Readable between two exchanges means: it closed."""
        if self._socket is None:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(0):
            return True
        self.close()
        return False

    def open(self) -> None:
        """Connect. Raises `ConnectionLostError`."""
        self.close()
        family = socket.AF_INET6 if ":" in self._peer[0] else socket.AF_INET
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            connected.connect(self._peer)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connected.close()
            raise ConnectionLostError(type(error).__name__) from error
        self._socket, self._reader = connected, connected.makefile("rb")

    def close(self) -> None:
        """Drop the connection."""
        if self._reader is not None:
            self._reader.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._reader = None

    def send(self, parts: "Sequence[bytes]", timeout_s: float | None = None) -> None:
        """Send the parts, each within the time. Raises `ConnectionLostError`; an answer may still be there to read."""
        if self._socket is None:
            raise ConnectionLostError("closed")
        joined = sum(map(len, parts)) <= _JOINED_BYTES
        try:
            self._socket.settimeout(timeout_s)
            for part in (b"".join(parts),) if joined else parts:
                self._socket.sendall(part)
        except OSError as error:
            if isinstance(error, TimeoutError):
                self.close()
            raise ConnectionLostError(type(error).__name__) from error

    def receive(self, timeout_s: float | None = None) -> Response:
        """Read one response. Raises `ConnectionLostError`, and then it is closed."""
        if self._socket is None or self._reader is None:
            raise ConnectionLostError("closed")
        try:
            self._socket.settimeout(timeout_s)
            return self._receive(self._reader)
        except (OSError, ValueError) as error:
            self.close()
            raise ConnectionLostError(type(error).__name__) from error
        except ConnectionLostError:
            self.close()
            raise

    def _receive(self, reader: "BufferedReader") -> Response:
        while True:
            status_line = _line(reader).split(None, 2)
            headers = _fields(reader)
            status = int(status_line[1]) if len(status_line) > 1 else 0
            if status >= 200:  # noqa: PLR2004 - below it a response is an interim one
                break
        body, framed = _body(reader, headers)
        if not framed or headers.get("connection", "").lower() == "close":
            self.close()
        return Response(status, headers, body)


def _line(reader: "BufferedReader") -> bytes:
    line = reader.readline(MAX_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise ConnectionLostError("closed")
    return line.rstrip(b"\r\n")


def _fields(reader: "BufferedReader") -> dict[str, str]:
    fields = {}
    while line := _line(reader).decode("utf-8", "replace"):
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    return fields


def _body(reader: "BufferedReader", headers: dict[str, str]) -> tuple[bytes, bool]:
    """Read a body, and say whether the message ended by itself or by the end of the connection."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunked(reader), True
    length = headers.get("content-length")
    if length is None:
        return reader.read(), False
    return _exactly(reader, int(length)), True


def _chunked(reader: "BufferedReader") -> bytes:
    chunks = []
    while size := int(_line(reader).partition(b";")[0], 16):
        chunks.append(_exactly(reader, size))
        _line(reader)
    _fields(reader)
    return b"".join(chunks)


def _exactly(reader: "BufferedReader", count: int) -> bytes:
    """Read so many bytes: one buffer of that size, filled from the socket."""
    data = reader.read(count)
    if len(data) < count:
        raise ConnectionLostError("closed")
    return data
