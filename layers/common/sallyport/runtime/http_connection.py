"""One kept-alive HTTP/1.1 connection to the Runtime API, bytes in and bytes out.

Written on the socket, because http.client can't send trailers, and costs a cold start 20 ms for its e-mail parser.
It trusts its peer, which is the machine's own Lambda service.
"""

import select
import socket

from sallyport import http1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import BufferedReader

MAX_BODY_BYTES = 67_108_864
"""Far above the 6 MB of an event: the peer is trusted, the bound is a last net."""
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
            response = http1.Response(self._reader)
            body = response.read_all(MAX_BODY_BYTES)
        except (OSError, ValueError, http1.ResponseError) as error:
            self.close()
            raise ConnectionLostError(type(error).__name__) from error
        if not response.persistent:
            self.close()
        return Response(response.status, response.headers, body)
