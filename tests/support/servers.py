"""A server on loopback whose every byte the test decides: real sockets, no patches."""

import itertools
import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self


class Received(NamedTuple):
    """A request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Peer:
    """One accepted connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def read(self) -> Received | None:
        """Give the next request, None if the client has closed."""
        line = b"" if self._file.closed else self._file.readline()
        if not line:
            return None
        method, target, _ = line.decode("latin-1").split(" ")
        headers = {}
        while (field := self._file.readline().decode("latin-1").strip()) != "":
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        return Received(method, target, headers, self._file.read(int(headers.get("content-length", 0))))

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole response with Content-Length."""
        lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body; an empty one ends it."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def wait_closed(self) -> None:
        """Wait until the client closes."""
        self._file.read()

    def drip(self, data: bytes, pause_s: float = 0.02) -> None:
        """Send the data over and over, byte after byte with a pause between, until the client closes."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            for byte in itertools.cycle(data):
                self.send(bytes([byte]))
                if selector.select(pause_s):
                    return

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._connection.close()


class ScriptedServer:
    """Runs `script(peer)` for each connection, in a thread of its own."""

    def __init__(self, script: Callable[[Peer], None]) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._accepted: list[socket.socket] = []
        self._tls: ssl.SSLContext | None = None
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def secure_with(self, context: ssl.SSLContext) -> None:
        """Speak TLS on every connection; one whose handshake fails is dropped."""
        self._tls = context

    def __enter__(self) -> Self:
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(10)
        for connection in self._accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._accepted.append(connection)
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client may close first
            peer = Peer(connection if self._tls is None else self._tls.wrap_socket(connection, server_side=True))
            with peer:
                self._script(peer)
        connection.close()


def serve(answer: Callable[[Received, Peer], None], received: list[Received]) -> Callable[[Peer], None]:
    """Give a script that answers every request of a connection, and notes each in `received`."""

    def script(peer: Peer) -> None:
        while (request := peer.read()) is not None:
            received.append(request)
            answer(request, peer)

    return script


def refused_url() -> str:
    """Give a loopback URL that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
