"""Reads a socket by lines and pieces, asking before every wait how long it may be.

The standard library's buffered reader waits as long as the socket's timeout allows, anew for each piece, so a peer that
drips bytes holds it for ever; and nobody can see whether it has read more than was asked for.
"""

import socket
import ssl
from collections.abc import Callable

RECEIVE_BYTES = 65_536

type Wait = Callable[[], float]
"""Gives the seconds for which the next wait may last; raises where there are none left."""


class SocketReader:
    """A `Reader` over one socket. `received` counts the bytes that have come since it was last set to 0."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._buffer = b""
        self._start = 0
        self._space = memoryview(bytearray(RECEIVE_BYTES))
        self.received = 0
        self.wait: Wait = lambda: 0.0

    def readline(self, limit: int, /) -> bytes:
        """Give bytes up to a line's end, the limit, or the peer's end. Raises `OSError`, and what `wait` raises."""
        searched = 0
        while (end := self._buffer.find(b"\n", self._start + searched)) < 0 and self._held() < limit:
            searched = self._held()
            if not self._receive():
                break
        return self._take(min(end + 1 - self._start if end >= 0 else self._held(), limit))

    def read1(self, limit: int, /) -> bytes:
        """Give what has come, waiting for at least one byte; none at the peer's end. Raises as `readline` does."""
        if not self._held():
            self._receive()
        return self._take(limit)

    def has_more(self) -> bool:
        """Say whether bytes are there that nobody has asked for."""
        return self._held() > 0 or (isinstance(self._source, ssl.SSLSocket) and self._source.pending() > 0)

    def _held(self) -> int:
        return len(self._buffer) - self._start

    def _receive(self) -> bool:
        self._source.settimeout(self.wait())
        count = self._source.recv_into(self._space)
        self.received += count
        self._buffer, self._start = self._buffer[self._start :] + self._space[:count], 0
        return count > 0

    def _take(self, count: int) -> bytes:
        """Take from the start, which moves: cutting the buffer would copy it for every small piece in it."""
        taken = self._buffer[self._start : self._start + count]
        self._start += len(taken)
        return taken
