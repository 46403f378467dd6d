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

from sallyport.adapters.socket_reader import SocketReader, Wait
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
        self._reader: SocketReader | None = None
        self._whole = True
        self._busy = False
        self._heard = False
        self._used_s = 0.0

    def __del__(self) -> None:
        """Leave no socket behind an owner that is gone."""
        self.close()

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, wait: Wait, *, resend: bool = True
    ) -> Response:
        """Send a request and give the response once its head has come.

        `wait` is asked before every wait, those for the response's body included, and may raise to end it. `headers`
        has `host`; `content-length` is added to a body. A kept connection that the peer has closed without a byte of an
        answer is made anew, once, unless `resend` forbids it: the peer may have read the request. Raises
        `NotConnectedError`, `TimeoutError`, `OSError`, `ResponseError`, and `ValueError` for a header that can't be
        sent.
        """
        fields = [*headers.items(), ("content-length", str(len(body)))] if body else list(headers.items())
        head = request_head(method, target, fields)
        reused = self._still_open()
        try:
            return self._exchange(head, body, wait)
        except (NoResponseError, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            if not (resend and reused) or self._heard:
                raise
            return self._exchange(head, body, wait)

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        opened, self._socket, self._reader = self._socket, None, None
        if opened is not None:
            with suppress(OSError):
                opened.close()

    def release(self, response: Response) -> None:
        """Keep the connection for the next request if this response was all that came on it, drop it otherwise."""
        clean = response.ended and response.persistent and self._whole
        if clean and self._reader is not None and not self._reader.has_more():
            self._used_s, self._busy = self._wall_clock(), False
        else:
            self.close()

    def _still_open(self) -> bool:
        """Say whether the kept connection can be used; drop it if not. Readable while idle means closed, or garbage.

        Where an answer was never released, the rest of it would be taken for the next request's.
        """
        if self._socket is not None and not self._busy:
            idle_s = self._wall_clock() - self._used_s
            if 0 <= idle_s <= MAX_IDLE_S and not _readable(self._socket):
                return True
        self.close()
        return False

    def _exchange(self, head: bytes, body: bytes, wait: Wait) -> Response:
        reader = self._reader or self._connect(wait)
        reader.wait, reader.received, self._busy = wait, 0, True
        try:
            self._whole = self._send(head, body, wait)
            return Response(reader)
        except BaseException:
            self._heard = reader.received > 0
            self.close()
            raise

    def _send(self, head: bytes, body: bytes, wait: Wait) -> bool:
        """Send, and say whether all of it went; a peer that answers early may have stopped to read."""
        assert self._socket is not None  # there is a reader, so there is a socket
        try:
            for part in (head + body,) if len(body) < _JOINED_BYTES else (head, body):
                self._socket.settimeout(wait())
                self._socket.sendall(part)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            return False  # if no answer can be read either, reading it says so
        return True

    def _connect(self, wait: Wait) -> SocketReader:
        """Try each address in turn, TLS included, all within the connect timeout; looking up the name isn't bounded."""
        origin, left = self._origin, within(min(self._connect_timeout_s, wait()))
        try:
            connected = _first_answering(origin, left)
            if origin.scheme == "https":
                connected = _secured(connected, origin.host, left)
        except OSError as error:
            raise NotConnectedError(type(error).__name__) from error
        self._socket, self._reader = connected, SocketReader(connected)
        return self._reader


def _first_answering(origin: Url, left: Wait) -> socket.socket:
    # As bytes: a name as text loads the IDNA codec, and no configured host is other than ASCII.
    found = socket.getaddrinfo(origin.host.encode("ascii"), origin.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, address in found:
        connected = socket.socket(family, kind, protocol)
        try:
            connected.settimeout(left())
            connected.connect(address)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connected.close()
            failure = error
        else:
            return connected
    raise failure


def within(timeout_s: float, monotonic: Callable[[], float] = time.monotonic) -> Wait:
    """Give a `wait` that ends all waiting after so many seconds from now, with `TimeoutError`."""
    ends_s = monotonic() + timeout_s

    def wait() -> float:
        left_s = ends_s - monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    return wait


def _secured(connected: socket.socket, host: str, left: Wait) -> socket.socket:
    try:
        connected.settimeout(left())
        return _tls_context().wrap_socket(connected, server_hostname=host, suppress_ragged_eofs=False)
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
