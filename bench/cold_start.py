"""Cold starts: how long a caller waits who is the first of a new process, and what memory the process then has."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from bench.stage import Stage, Subject
from bench.tables import print_table, verdict

RUNS = 15
AIM_RATIO = 1.5
_MIB = 1024 * 1024


class _Start(NamedTuple):
    """One cold start."""

    taken_ms: float
    cpu_ms: float
    memory_mib: float


def run(stage: Stage) -> None:
    """Measure and print."""
    subjects = [stage.stock(), stage.empty(), stage.authorizer(), stage.chat()]
    rounds = [[_start_once(subject) for subject in subjects] for _ in range(RUNS)]
    print(
        f"Cold start under SAM CLI's emulator: medians of {RUNS} runs each, interleaved. From the event's arrival, on"
    )
    print(
        "which the emulator starts the process, to the end of the answer, calls to loopback fakes included. CPU is what"
    )
    print("the function's process used until then, the steadier figure on a busy machine; peak memory is its VmHWM.\n")
    starts = list(zip(*rounds, strict=True))
    rows = [_row(subject.name, own, starts[0]) for subject, own in zip(subjects, starts, strict=True)]
    print_table(["function", "ms", "range", "x stock", "", "CPU ms", "x stock", "peak MiB"], rows)


def _row(name: str, starts: Sequence[_Start], stock: Sequence[_Start]) -> list[str]:
    taken, cpu, memory = (median(figures) for figures in zip(*starts, strict=True))
    stock_taken, stock_cpu, _ = (median(figures) for figures in zip(*stock, strict=True))
    all_taken = [start.taken_ms for start in starts]
    return [
        name,
        f"{taken:.1f}",
        f"{min(all_taken):.1f}-{max(all_taken):.1f}",
        f"{taken / stock_taken:.2f}",
        "" if starts is stock else verdict(taken / stock_taken, AIM_RATIO),
        f"{cpu:.1f}",
        f"{cpu / stock_cpu:.2f}",
        f"{memory:.1f}",
    ]


def _start_once(subject: Subject) -> _Start:
    with subject.start() as function:
        taken_s = subject.call(function)
        return _Start(taken_s * 1000, function.cpu_s() * 1000, function.peak_memory_bytes() / _MIB)
