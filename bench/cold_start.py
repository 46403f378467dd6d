"""Cold starts: how long a caller waits who is the first of a new process, and what memory the process then has."""

from statistics import median

from bench.stage import Stage, Subject
from bench.tables import print_table, verdict

RUNS = 15
AIM_RATIO = 1.5
_MIB = 1024 * 1024


def run(stage: Stage) -> None:
    """Measure and print."""
    subjects = [stage.stock(), stage.empty(), stage.authorizer(), stage.chat()]
    taken_ms: list[list[float]] = [[] for _ in subjects]
    memory_mib: list[list[float]] = [[] for _ in subjects]
    for _ in range(RUNS):
        for number, subject in enumerate(subjects):
            taken, memory = _start_once(subject)
            taken_ms[number].append(taken)
            memory_mib[number].append(memory)
    print(f"Cold start under SAM CLI's emulator, {RUNS} runs each, interleaved. From the event's arrival, on which the")
    print("emulator starts the process, to the end of the answer; calls to loopback fakes included. Peak memory is")
    print("VmHWM after the first answer.\n")
    base = median(taken_ms[0])
    rows = []
    for subject, taken_of, memory_of in zip(subjects, taken_ms, memory_mib, strict=True):
        ratio = median(taken_of) / base
        rows.append([
            subject.name,
            f"{median(taken_of):.1f}",
            f"{min(taken_of):.1f}-{max(taken_of):.1f}",
            f"{ratio:.2f}",
            verdict(ratio, AIM_RATIO) if subject is not subjects[0] else "",
            f"{median(memory_of):.1f}",
        ])  # fmt: skip
    print_table(["function", "median ms", "range", "x stock", "", "peak MiB"], rows)


def _start_once(subject: Subject) -> tuple[float, float]:
    with subject.start() as function:
        return subject.call(function) * 1000, function.peak_memory_bytes() / _MIB
