"""What a streamed answer loses on its way through the gateway, against the same answer fetched directly.

The function as shipped runs under a Runtime API that this process speaks, for SAM CLI's emulator holds an answer back
until its end.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from io import BufferedReader
from statistics import median
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from bench.emulator import BenchmarkError
from bench.shipped import ROOT
from bench.stage import Stage, Subject
from bench.tables import print_table
from sallyport.runtime.streaming import DELIMITER

SHORT, LONG = 20, 20_000
"""Events in an answer: few to see when the first comes, many to see how fast they do."""
TOGETHER = 64
"""Events in an HTTP chunk where they don't come alone."""
ROUNDS, LONG_ROUNDS, WARM_UP = 60, 7, 10
PATIENCE_S = 60.0
_MIB = 1024 * 1024


class Streamed(NamedTuple):
    """One answer: seconds from the request until its first byte and until its end, and its bytes."""

    first_s: float
    whole_s: float
    size: int


def print_streams(stage: Stage) -> None:
    """Measure and print."""
    with Pair(stage) as pair:
        short = pair.measure(SHORT, ROUNDS)
        alone, together = pair.measure(LONG, LONG_ROUNDS, 1), pair.measure(LONG, LONG_ROUNDS, 1, TOGETHER)
    print("A streamed chat on loopback, directly from the upstream and through the route's function, by turns. Not in")
    print(f"it: TLS and API Gateway. First byte: {ROUNDS} answers of {SHORT} events. Speed: {LONG_ROUNDS} answers of")
    print(f"{LONG:,} events in {alone[0][0].size / _MIB:.1f} MiB, each in an HTTP chunk of its own, as upstreams send")
    print(f"them, or {TOGETHER} in one.\n")
    rows = [
        [name, *_cells([each.first_s * 1000 for each in few]), *_speeds(one), *_speeds(many)]
        for name, few, one, many in zip(("direct", "through the gateway"), short, alone, together, strict=True)
    ]
    print_table(["", "first byte ms", "range", "alone MiB/s", "events/s", "together MiB/s", "events/s"], rows)
    added_ms = [(through.first_s - direct.first_s) * 1000 for direct, through in zip(*short, strict=True)]
    print(f"\nAdded to the time to the first byte: {median(added_ms):.2f} ms (median of the pairs' differences).")


def _cells(first_ms: Sequence[float]) -> list[str]:
    return [f"{median(first_ms):.2f}", f"{min(first_ms):.2f}-{max(first_ms):.2f}"]


def _speeds(answers: Sequence[Streamed]) -> list[str]:
    seconds = median(each.whole_s - each.first_s for each in answers)
    return [f"{answers[0].size / _MIB / seconds:.1f}", f"{LONG / seconds:,.0f}"]


class Pair:
    """An upstream, a direct connection to it, and a function in front of it."""

    def __init__(self, stage: Stage) -> None:
        self._subject = stage.streamed_chat()
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            url = _start_source(cleanup)
            self._direct = cleanup.enter_context(DirectCall(url))
            self._function = cleanup.enter_context(StreamedFunction(self._subject, url))
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._cleanup.close()

    def measure(
        self, events: int, rounds: int, warm_up: int = WARM_UP, in_chunk: int = 1
    ) -> tuple[list[Streamed], list[Streamed]]:
        """Give the direct answers and those through the gateway. Raises `BenchmarkError` if their sizes differ."""
        event = json.loads(self._subject.event)
        event["body"] = json.dumps(json.loads(event["body"]) | {"max_tokens": events, "seed": in_chunk})
        direct, through = [], []
        for _ in range(warm_up):
            self._direct.call(event["body"].encode())
            self._function.call(event)
        for _ in range(rounds):
            direct.append(self._direct.call(event["body"].encode()))
            through.append(self._function.call(event))
        if len({each.size for each in (*direct, *through)}) != 1:
            raise BenchmarkError("an answer isn't the same through the gateway")
        return direct, through


class DirectCall:
    """A kept-alive connection to the upstream."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._socket.close()

    def call(self, body: bytes) -> Streamed:
        """Fetch one answer."""
        began_s = time.perf_counter()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: upstream\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        line, _ = _read_head(self._file)
        if b" 200 " not in line:
            raise BenchmarkError(f"the upstream answered {line!r}")
        return _read_stream(self._file, began_s, prelude=False)


class StreamedFunction:
    """A function's process, and the Runtime API that it asks for its events."""

    def __init__(self, subject: Subject, upstream_url: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        environ = {
            **subject.environ,
            "AWS_LAMBDA_RUNTIME_API": address,
            "SALLYPORT_UPSTREAM_BASE_URL": f"{upstream_url}/v1",
        }
        self._process = subprocess.Popen(
            subject.command, env=environ, cwd=subject.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._connection: socket.socket | None = None
        self._file: BufferedReader | None = None
        self._is_waiting = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._drop()
        self._listener.close()

    def call(self, event: Mapping[str, Any]) -> Streamed:
        """Have one event answered, once the function is done with the one before. Raises `BenchmarkError`."""
        line, _ = self._next_request()
        if not line.startswith(b"GET "):
            raise BenchmarkError(f"the function sent {line!r}")
        began_s = time.perf_counter()
        self._send_event(json.dumps(event).encode())
        line, fields = self._next_request()
        if fields.get(b"transfer-encoding") != b"chunked" or self._file is None:
            raise BenchmarkError(f"the function sent {line!r}")
        streamed = _read_stream(self._file, began_s, prelude=True)
        self._send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        return streamed

    def _send_event(self, payload: bytes) -> None:
        deadline_ms = int(time.time() * 1000) + 300_000
        lines = [
            *("HTTP/1.1 200 OK", "Content-Type: application/json", "Lambda-Runtime-Aws-Request-Id: bench"),
            *(f"Lambda-Runtime-Deadline-Ms: {deadline_ms}", f"Content-Length: {len(payload)}"),
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:bench",
        ]
        self._send("\r\n".join([*lines, "", ""]).encode() + payload)

    def _send(self, data: bytes) -> None:
        if self._connection is None:
            raise BenchmarkError("the function has closed its connection")
        self._connection.sendall(data)

    def _next_request(self) -> tuple[bytes, dict[bytes, bytes]]:
        """Read the head of the runtime's next request, on a new connection if it has made one."""
        while True:
            if self._file is None:
                self._connection, _ = self._listener.accept()
                self._connection.settimeout(PATIENCE_S)
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._file = self._connection.makefile("rb")
            line, fields = _read_head(self._file)
            if line:
                return line, fields
            self._drop()

    def _drop(self) -> None:
        if self._file is not None and self._connection is not None:
            self._file.close()
            self._connection.close()
        self._connection = self._file = None


def _start_source(cleanup: ExitStack) -> str:
    source = subprocess.Popen(
        [sys.executable, "-m", "bench.stream_source"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    cleanup.callback(source.communicate)  # which ends its standard input, and so ends it
    assert source.stdout is not None
    return f"http://127.0.0.1:{source.stdout.readline().strip()}"


def _read_head(file: BufferedReader) -> tuple[bytes, dict[bytes, bytes]]:
    line, fields = file.readline(), {}
    while (field := file.readline()).strip():
        name, _, value = field.partition(b":")
        fields[name.lower()] = value.strip()
    return line, fields


def _read_stream(file: BufferedReader, began_s: float, *, prelude: bool) -> Streamed:
    """Read a chunked body to its end. With a prelude the answer begins after its delimiter."""
    first_s, size, head = 0.0, 0, b"" if prelude else None
    while (chunk_size := int(file.readline(), 16)) > 0:
        data = file.read(chunk_size + 2)[:-2]
        if head is not None:
            head += data
            if DELIMITER not in head:
                continue
            answer, data = head.split(DELIMITER, 1)
            if b'"statusCode":200' not in answer:
                raise BenchmarkError(f"the function answered {answer!r}")
            head = None
        if data and not first_s:
            first_s = time.perf_counter() - began_s
        size += len(data)
    while (trailer := file.readline()).strip():
        raise BenchmarkError(f"the answer broke off: {trailer!r}")
    return Streamed(first_s, time.perf_counter() - began_s, size)
