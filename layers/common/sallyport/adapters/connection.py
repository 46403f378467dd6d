"""One kept-alive HTTP/1.1 connection to one origin.

A Lambda process serves one request at a time, so a pool per origin is a single connection.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from io import BufferedReader

from sallyport.http1 import NoResponseError, Response, request_head
from sallyport.policy.urls import Url

MAX_IDLE_S = 20.0
"""An older idle connection is dropped: a frozen process misses the peer's goodbye, and writes into the void."""

_JOINED_BYTES = 65_536
"""Up to here head and body are one write; beyond, the copy costs more than another system call."""


class NotConnectedError(OSError):
    """No connection could be made: name, route, refusal, TLS, or the connect timeout."""


class KeptConnection:
    """Sends requests over one connection, made when first needed and again when it has been lost."""

    def __init__(self, origin: Url, connect_timeout_s: float, wall_clock: Callable[[], float] = time.time) -> None:
        self._origin = origin
        self._connect_timeout_s = connect_timeout_s
        self._wall_clock = wall_clock
        self._socket: socket.socket | None = None
        self._reader: BufferedReader | None = None
        self._timeout_s = 0.0
        self._used_s = 0.0

    def __del__(self) -> None:
        """Leave no socket behind an owner that is gone."""
        self.close()

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Response:
        """Send a request and give the response once its head has come; `timeout_s` bounds each wait on the socket.

        `headers` has `host`; `content-length` is added to a body. A kept connection that the peer has closed without a
        byte of an answer is made anew, once. Raises `NotConnectedError`, `TimeoutError`, `OSError`, `ResponseError`,
        and `ValueError` for a header that can't be sent.
        """
        fields = [*headers.items(), ("content-length", str(len(body)))] if body else list(headers.items())
        head = request_head(method, target, fields)
        reused = self._still_open()
        try:
            return self._exchange(head, body, timeout_s)
        except (NoResponseError, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            if not reused:
                raise
            return self._exchange(head, body, timeout_s)

    def wait_at_most(self, timeout_s: float) -> None:
        """Bound every further wait for bytes of the response that is being read."""
        if self._socket is not None and timeout_s != self._timeout_s:
            self._socket.settimeout(timeout_s)
            self._timeout_s = timeout_s

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        opened, self._socket, self._reader = (self._reader, self._socket), None, None
        for file in opened:
            if file is not None:
                with suppress(OSError):
                    file.close()

    def release(self, response: Response) -> None:
        """Keep the connection for the next request if this response was read to its end, drop it otherwise."""
        if response.ended and response.persistent:
            self._used_s = self._wall_clock()
        else:
            self.close()

    def _still_open(self) -> bool:
        """Say whether the kept connection can be used; drop it if not. Readable while idle means closed, or garbage."""
        if self._socket is not None:
            idle_s = self._wall_clock() - self._used_s
            if 0 <= idle_s <= MAX_IDLE_S and not _readable(self._socket):
                return True
        self.close()
        return False

    def _exchange(self, head: bytes, body: bytes, timeout_s: float) -> Response:
        if self._socket is None:
            self._connect(min(self._connect_timeout_s, timeout_s))
        self.wait_at_most(timeout_s)
        try:
            return self._exchange_once(head, body)
        except BaseException:
            self.close()
            raise

    def _exchange_once(self, head: bytes, body: bytes) -> Response:
        assert self._socket is not None
        assert self._reader is not None
        for part in (head + body,) if len(body) < _JOINED_BYTES else (head, body):
            self._socket.sendall(part)
        return Response(self._reader)

    def _connect(self, timeout_s: float) -> None:
        origin = self._origin
        try:
            # As bytes: a name as text loads the IDNA codec, and no configured host is other than ASCII.
            connected = socket.create_connection((origin.host.encode("ascii"), origin.port), timeout_s)  # type: ignore[arg-type]
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if origin.scheme == "https":
                connected = _secured(connected, origin.host)
        except OSError as error:
            raise NotConnectedError(type(error).__name__) from error
        self._socket, self._reader, self._timeout_s = connected, connected.makefile("rb"), timeout_s


def _secured(connected: socket.socket, host: str) -> socket.socket:
    try:
        return _tls_context().wrap_socket(connected, server_hostname=host)
    except BaseException:
        connected.close()
        raise


@cache
def _tls_context() -> ssl.SSLContext:
    """Certificates and names are checked; loading the authorities takes long enough to do it once."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
