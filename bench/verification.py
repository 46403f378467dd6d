"""What it costs to check bodies and events: CPU beside other libraries on the same input, and memory."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping

from bench import leaks, patterns
from bench.cpu import Case, Figures, figure, measure
from bench.emulator import BenchmarkError
from bench.limits_crowd import bench_python
from bench.shipped import ROOT
from bench.tables import print_table
from bench.verification_bodies import SIZES_KB, chat, stream
from sallyport.gateway.answer_guard import AnswerGuard
from sallyport.gateway.event_stream import whole_events
from sallyport.gateway.record import RequestRecord
from sallyport.gateway.verifying import AnswerChecks, CurrentChecks
from sallyport.observability.log import Logger
from sallyport.policy.verification_rules import ENFORCE, REPORT, VerificationRules
from sallyport.verification.answers import AnswerSchema
from sallyport.verification.event_stream import EventReader
from sallyport.verification.schema import RequestSchema
from sallyport.verification.stream_rules import StreamChecker
from sallyport.verification.strict_json import check_names, parse_strict

SCHEMA = ROOT / "layers" / "common" / "sallyport" / "verification" / "schemas" / "chat_completions.json"
BATCHES, CALLS, EVENTS = 9, 40, 500
_MEMORY = """
import sys
from sallyport.verification.schema import RequestSchema
from sallyport.verification.strict_json import parse_strict
from bench.verification_bodies import chat
from tests.support.peak_memory import peak_mib
schema, text = RequestSchema.built_in("chat_completions"), chat(int(sys.argv[1]))
schema.check(parse_strict(chat(2)))
before = peak_mib()
schema.check(parse_strict(text))
print(peak_mib() - before)
"""


def run() -> None:
    """Measure and print."""
    print("A chat's body, parsed and held to the route's schema; microseconds of CPU, median and range. The first four")
    print("in one process, the others in another. Pydantic has a model of the main fields alone, not of the schema.\n")
    print_table(["", *(f"{size} KB" for size in SIZES_KB)], _request_rows())
    print()
    print(f"A streamed chat of {EVENTS} events, each arriving alone; microseconds of CPU per event, and over `off`.\n")
    print_table(["", "median us", "range", "added us"], _event_rows())
    print()
    print("Memory that the largest resident set grows by, parsing and checking one body, in MiB.\n")
    print_table(["", "MiB"], [[f"{size} KB", f"{memory_mib(size):.1f}"] for size in (50, 500, 5000)])
    print()
    leaks.run()
    print()
    patterns.run()


def request_figures() -> Mapping[int, Mapping[str, Figures]]:
    """Measure the gateway's own steps, by size."""
    return {size: measure(_request_cases(chat(size)), BATCHES) for size in SIZES_KB}


def memory_mib(size_kb: int) -> float:
    """Give what a fresh process grows by."""
    command = [sys.executable, "-c", _MEMORY, str(size_kb)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def event_figures(events: int = EVENTS) -> Mapping[str, Figures]:
    """Measure a stream, per event, each of which arrives alone."""
    pieces = [piece + b"\n\n" for piece in stream(events).split(b"\n\n")[:-1]]
    schema = AnswerSchema.of_events("chat_completions")

    def parse() -> None:
        for piece in pieces:
            if piece.startswith(b"data: {"):
                json.loads(piece[6:])

    def check() -> None:
        reader, checker = EventReader(), StreamChecker("chat_completions", schema)
        for piece in pieces:
            for event in reader.feed(piece):
                if checker.feed(event) is not None:
                    raise BenchmarkError("a good stream was refused")

    works: dict[str, Callable[[], object]] = {
        "json.loads alone": parse,
        "passed on, off": lambda: _drain(whole_events(pieces)),
        "passed on, report": lambda: _drain(_guard(REPORT).stream(whole_events(pieces))),
        "passed on, enforce": lambda: _drain(_guard(ENFORCE).stream(whole_events(pieces))),
        "EventReader, StreamChecker": check,
    }
    return measure([_once(name, len(pieces), work) for name, work in works.items()], BATCHES)


def _guard(mode: str) -> AnswerGuard:
    logger = Logger("bench", "bench", write=lambda _: None)
    checks = AnswerChecks(mode, None, None)
    return AnswerGuard("chat_completions", checks, RequestRecord(logger, "id", "chat_completions"), logger)


def _drain(chunks: Iterable[bytes]) -> None:
    for _ in chunks:
        pass


def _once(name: str, calls: int, work: Callable[[], object]) -> Case:
    return Case(name, calls, lambda: work)


def _request_cases(text: str) -> list[Case]:
    schema, value = RequestSchema.built_in("chat_completions"), json.loads(text)
    checks, rules = CurrentChecks("chat_completions", schema), VerificationRules()

    def whole() -> None:
        body = parse_strict(text)
        schema.check(body)
        check_names(body)
        checks.get(rules, "acme").passed(body)

    works: dict[str, Callable[[], object]] = {
        "json alone": lambda: json.loads(text),
        "sallyport: strict parse": lambda: parse_strict(text),
        "sallyport: schema": lambda: schema.check(value),
        "sallyport: parse, schema, rules": whole,
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
    found = event_figures()
    off = found["passed on, off"].median_us
    return [
        [name, figure(one.median_us), one.range(), figure(one.median_us - off) if name.startswith("passed") else ""]
        for name, one in found.items()
    ]


def _cell(found: Figures) -> str:
    return f"{figure(found.median_us)} ({found.range()})"
