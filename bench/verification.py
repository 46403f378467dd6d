"""What it costs to check bodies and events: CPU beside other libraries on the same input, and memory."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping

from bench import leaks
from bench.cpu import Case, Figures, figure, measure
from bench.limits_crowd import bench_python
from bench.shipped import ROOT
from bench.tables import print_table
from bench.verification_bodies import SIZES_KB, chat, stream
from sallyport.verification.event_stream import EventReader
from sallyport.verification.schema import RequestSchema
from sallyport.verification.stream_rules import StreamChecker
from sallyport.verification.strict_json import check_names, parse_strict

SCHEMA = ROOT / "layers" / "common" / "sallyport" / "verification" / "schemas" / "chat_completions.json"
BATCHES, CALLS, EVENTS = 9, 40, 500
_MEMORY = """
import resource, sys
from sallyport.verification.schema import RequestSchema
from sallyport.verification.strict_json import parse_strict
from bench.verification_bodies import chat
schema, text = RequestSchema.built_in("chat_completions"), chat(int(sys.argv[1]))
schema.check(parse_strict(chat(2)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
schema.check(parse_strict(text))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def run() -> None:
    """Measure and print."""
    print("A chat's body, parsed and held to the route's schema; microseconds of CPU, median and range.\n")
    print_table(["", *(f"{size} KB" for size in SIZES_KB)], _request_rows())
    print()
    print(f"A streamed chat of {EVENTS} pieces, fed in 1,400 bytes at a time; microseconds of CPU per event.\n")
    print_table(["", "median us", "range"], _event_rows())
    print()
    print("Memory that the largest resident set grows by, parsing and checking one body, in MiB.\n")
    print_table(["", "MiB"], [[f"{size} KB", f"{memory_mib(size):.1f}"] for size in (50, 500, 5000)])
    print()
    leaks.run()


def request_figures() -> Mapping[int, Mapping[str, Figures]]:
    """Measure the gateway's own steps, by size."""
    return {size: measure(_request_cases(chat(size)), BATCHES) for size in SIZES_KB}


def memory_mib(size_kb: int) -> float:
    """Give what a fresh process grows by."""
    command = [sys.executable, "-c", _MEMORY, str(size_kb)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def event_figures(events: int = EVENTS) -> Mapping[str, Figures]:
    """Measure a stream, per event."""
    raw = stream(events)
    pieces = [raw[start : start + 1400] for start in range(0, len(raw), 1400)]

    def read() -> None:
        reader = EventReader()
        for piece in pieces:
            for _ in reader.feed(piece):
                pass

    def check() -> None:
        reader, checker = EventReader(), StreamChecker("chat_completions")
        for piece in pieces:
            for event in reader.feed(piece):
                assert checker.feed(event) is None
        assert checker.end() is None

    def parse() -> None:
        for line in raw.split(b"\n\n"):
            if line.startswith(b"data: {"):
                json.loads(line[6:])

    count = raw.count(b"\n\n")
    works = {"split and json.loads alone": parse, "EventReader": read, "EventReader and StreamChecker": check}
    return measure([_once(name, count, work) for name, work in works.items()], BATCHES)


def _once(name: str, calls: int, work: Callable[[], object]) -> Case:
    return Case(name, calls, lambda: work)


def _request_cases(text: str) -> list[Case]:
    schema, value = RequestSchema.built_in("chat_completions"), json.loads(text)

    def whole() -> None:
        body = parse_strict(text)
        schema.check(body)
        check_names(body)

    works: dict[str, Callable[[], object]] = {
        "json alone": lambda: json.loads(text),
        "sallyport: strict parse": lambda: parse_strict(text),
        "sallyport: schema": lambda: schema.check(value),
        "sallyport: parse, schema, names": whole,
    }
    calls = max(CALLS, 80_000 // len(text))
    return [_repeated(name, calls, work) for name, work in works.items()]


def _repeated(name: str, calls: int, work: Callable[[], object]) -> Case:
    def batch() -> None:
        for _ in range(calls):
            work()

    return Case(name, calls, lambda: batch)


def _request_rows() -> list[list[str]]:
    own = request_figures()
    rows = [[name, *(_cell(own[size][name]) for size in SIZES_KB)] for name in own[SIZES_KB[0]]]
    peers = peer_figures()
    return rows + [[name, *(_cell(sizes[size]) for size in SIZES_KB)] for name, sizes in peers.items()]


def peer_figures() -> dict[str, dict[int, Figures]]:
    """Have the others measured, in their own environment."""
    command = [str(bench_python()), "-m", "bench.verification_peers", str(SCHEMA)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {
        name: {int(size): Figures(tuple(batches)) for size, batches in sizes.items()}
        for name, sizes in json.loads(done.stdout).items()
    }


def _event_rows() -> list[list[str]]:
    return [[name, figure(found.median_us), found.range()] for name, found in event_figures().items()]


def _cell(found: Figures) -> str:
    return f"{figure(found.median_us)} ({found.range()})"
