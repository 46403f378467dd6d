"""Warm requests: the CPU time that one costs the function's own process."""

from contextlib import ExitStack
from statistics import median

from bench.emulator import EmulatedFunction
from bench.fakes import STREAM_CHUNKS
from bench.stage import Stage, Subject
from bench.tables import print_table, verdict

WARM_UP = 30
BATCHES = 7
BATCH = 60
AIM_MS = 1.5


def run(stage: Stage) -> None:
    """Measure and print."""
    subjects = [stage.stock(), stage.empty(), stage.authorizer(), stage.chat(), stage.streamed_chat()]
    with ExitStack() as cleanup:
        functions = [cleanup.enter_context(subject.start()) for subject in subjects]
        for subject, function in zip(subjects, functions, strict=True):
            for _ in range(WARM_UP):
                subject.call(function)
        per_request = [
            [_cpu_ms(subject, function) for subject, function in zip(subjects, functions, strict=True)]
            for _ in range(BATCHES)
        ]
    print(
        f"CPU time of the function's process per warm request, user and kernel, {BATCHES} batches of {BATCH}. In it is"
    )
    print(
        "everything the process does: the Runtime API's two exchanges, JSON, checks, the limit's signed DynamoDB call,"
    )
    print("the upstream's answer, the log line. Not in it: TLS, because the fakes speak plain HTTP.\n")
    rows = []
    for number, subject in enumerate(subjects):
        batches = [batch[number] for batch in per_request]
        aim = verdict(median(batches), AIM_MS) if subject.name == "chat" else ""
        rows.append([subject.name, f"{median(batches):.2f}", f"{min(batches):.2f}-{max(batches):.2f}", aim])
    print_table(["function", "median ms", "range", ""], rows)
    print(f"\nThe streamed answer has {STREAM_CHUNKS} chunks, each of which arrives and is passed on alone.")


def _cpu_ms(subject: Subject, function: EmulatedFunction) -> float:
    before_s = function.cpu_s()
    for _ in range(BATCH):
        subject.call(function)
    return (function.cpu_s() - before_s) * 1000 / BATCH
