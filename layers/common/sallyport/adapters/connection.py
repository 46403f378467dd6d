"""One kept-alive HTTP connection to one origin, over the standard library's client.

A Lambda process serves one request at a time, so a pool per origin is a single connection.
"""

import http.client
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

MAX_IDLE_S = 20.0
"""An older idle connection is dropped: a frozen process misses the peer's goodbye, and writes into the void."""


class NotConnectedError(OSError):
    """No connection could be made: name, route, refusal, TLS, or the connect timeout."""


class Origin(NamedTuple):
    """Where to connect: `https` or `http`, host, port."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """Read the origin of a URL. Raises `ValueError` for anything but http(s)://host[:port]..."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
            raise ValueError("not an http(s) URL with a host and without credentials")
        return cls(parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))


class KeptConnection:
    """Sends requests over one connection, made when first needed and again when it has been lost."""

    def __init__(self, origin: Origin, connect_timeout_s: float, wall_clock: Callable[[], float] = time.time) -> None:
        self._origin = origin
        self._connect_timeout_s = connect_timeout_s
        self._wall_clock = wall_clock
        self._connection: http.client.HTTPConnection | None = None
        self._used_s = 0.0
        self._socket: socket.socket | None = None

    def __del__(self) -> None:
        """Leave no socket behind an owner that is gone."""
        self.close()

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> http.client.HTTPResponse:
        """Send a request and give the response once its header has come; `timeout_s` bounds each wait on the socket.

        A kept connection that the peer has closed without a byte of an answer is made anew, once. Raises
        `NotConnectedError`, `TimeoutError`, `OSError` and `http.client.HTTPException`.
        """
        reused = self._still_open()
        try:
            return self._send(method, target, headers, body, timeout_s)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            self.close()
            if not reused:
                raise
            return self._send(method, target, headers, body, timeout_s)

    def wait_at_most(self, timeout_s: float) -> None:
        """Bound every further wait for bytes of the response that is being read."""
        if self._socket is not None:
            self._socket.settimeout(timeout_s)

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        connection, self._connection, self._socket = self._connection, None, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def release(self) -> None:
        """Note that the response has been read to its end, so that the connection may serve again."""
        self._used_s = self._wall_clock()

    def _still_open(self) -> bool:
        """Say whether the kept connection can be used; drop it if not. Readable while idle means closed, or garbage."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            idle_s = self._wall_clock() - self._used_s
            if 0 <= idle_s <= MAX_IDLE_S and not _readable(connection.sock):
                return True
        self.close()
        return False

    def _send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> http.client.HTTPResponse:
        connection = self._connection or self._connect(min(self._connect_timeout_s, timeout_s))
        self.wait_at_most(timeout_s)
        try:
            connection.request(method, target, body=body, headers=dict(headers))
            return connection.getresponse()
        except Exception:
            self.close()
            raise

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        origin = self._origin
        kind = http.client.HTTPSConnection if origin.scheme == "https" else http.client.HTTPConnection
        connection = kind(origin.host, origin.port, timeout=timeout_s)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotConnectedError(type(error).__name__) from error
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection, self._socket = connection, connection.sock
        return connection


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
