"""A Runtime API on a real loopback socket: scripted answers out, the runtime's exact bytes in.

It takes one connection at a time, as the runtime makes them. When the script has ended it stops listening, so that the
runtime finds nobody and ends too.
"""

import json
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

PATIENCE_S = 20.0
DEADLINE_MS = 4_000_000_000_000
"""An invocation's default deadline: far off."""


class Reply(NamedTuple):
    """What to do with the next request: read it (or only its head), send this, and perhaps close."""

    data: bytes
    close: bool = False
    read_body: bool = True


def response(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Make a whole HTTP response."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def event(
    body: bytes = b"{}",
    request_id: str = "id-1",
    deadline_ms: int = DEADLINE_MS,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Answer GET /next with an event."""
    fields = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": request_id,
        "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        **(headers or {}),
    }
    return Reply(response(200, body, fields))


def status(code: int) -> Reply:
    """Answer with a status and Lambda's usual JSON."""
    return Reply(response(code, b'{"status":"X"}\n'))


ACCEPTED = status(202)
CLOSE = Reply(b"", close=True)
"""Read the request and close without a word."""


class FakeRuntimeApi:
    """Serves a script of replies. `requests` holds the raw bytes of every request, `connections` where each came in."""

    def __init__(self, *script: Reply) -> None:
        self._script = list(script)
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.requests: list[bytes] = []
        self.connections: list[int] = []
        self._peer = self._listener.getsockname()
        self.address = f"127.0.0.1:{self._peer[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            socket.create_connection(self._peer, PATIENCE_S).close()  # a connection without a request ends it
        self._thread.join(PATIENCE_S)

    def wait_for(self, data: bytes) -> None:
        """Wait until these bytes stand in the newest request."""
        with self._changed:
            assert self._changed.wait_for(lambda: bool(self.requests) and data in self.requests[-1], PATIENCE_S), data

    def _serve(self) -> None:
        connection_number = 0
        try:
            while self._script:
                connection, _ = self._listener.accept()
                connection_number += 1
                connection.settimeout(PATIENCE_S)
                with connection:
                    self._serve_connection(connection, connection_number)
                if connection_number not in self.connections:
                    return
        except OSError:
            pass  # the test has ended
        finally:
            self._listener.close()

    def _serve_connection(self, connection: socket.socket, number: int) -> None:
        reader = _Reader(connection, self)
        try:
            while self._script and reader.begin(number):
                reply = self._script.pop(0)
                if reply.read_body:
                    reader.read_body()
                if not self._script:
                    self._listener.close()
                connection.sendall(reply.data)
                if reply.close:
                    return
        except ConnectionError:
            pass  # the runtime dropped this connection

    def record(self, data: bytes) -> bytes:
        with self._changed:
            self.requests[-1] += data
            self._changed.notify_all()
        return data


class _Reader:
    """Reads requests, every byte of which it hands over as it comes."""

    def __init__(self, connection: socket.socket, api: FakeRuntimeApi) -> None:
        self._file = connection.makefile("rb")
        self._api = api
        self._fields: dict[str, str] = {}

    def begin(self, connection_number: int) -> bool:
        """Read a head; False if the runtime has closed."""
        line = self._file.readline()
        if not line:
            return False
        self._api.requests.append(b"")
        self._api.connections.append(connection_number)
        self._api.record(line)
        self._fields = {}
        while (line := self._line()) != b"\r\n":
            name, _, value = line.decode().partition(":")
            self._fields[name.lower()] = value.strip()
        return True

    def read_body(self) -> None:
        if self._fields.get("transfer-encoding") != "chunked":
            self._api.record(self._file.read(int(self._fields.get("content-length", 0))))
            return
        while size := int(self._line(), 16):
            self._api.record(self._file.read(size + 2))
        while self._line() != b"\r\n":
            pass

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line:
            raise ConnectionError
        return self._api.record(line)


class Answer(NamedTuple):
    """A recorded request, taken apart."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


def parse(request: bytes) -> Answer:
    """Take a recorded request with a plain body apart; header names as they were sent."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    return Answer(line, dict(_split(fields)), body)


def chunks(request: bytes) -> tuple[list[bytes], dict[str, str]]:
    """Take a recorded chunked body apart: its chunks, and its trailers."""
    rest = request.partition(b"\r\n\r\n")[2]
    found: list[bytes] = []
    while True:
        size_line, _, rest = rest.partition(b"\r\n")
        size = int(size_line, 16)
        if size == 0:
            return found, dict(_split(rest.decode().rstrip("\r\n").split("\r\n")))
        found.append(rest[:size])
        assert rest[size : size + 2] == b"\r\n"
        rest = rest[size + 2 :]


def _split(fields: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [field.partition(":") for field in fields if field]
    return [(name, value.strip()) for name, _, value in pairs]
