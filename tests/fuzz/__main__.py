"""`python -m tests.fuzz [--count N] [--seed N]`: exits 1, with the body, at the first thing that may never happen."""

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.fuzz.answers import Answers
from tests.fuzz.leaks import Leaks
from tests.fuzz.requests import Requests, UnsoundError
from tests.support.peak_memory import peak_mib

MAX_GROWTH_MIB = 300


def main() -> int:
    """Run, and print what became of the bodies."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000_000))
    arguments = parser.parse_args()
    print(
        f"seed {arguments.seed}, {arguments.count} requests, as many answers and half as many past a leak guard",
        flush=True,
    )
    chance = Random(arguments.seed)  # noqa: S311 - no secret
    requests, answers, leaks = Requests(chance), Answers(chance), Leaks(chance)
    try:
        _run("requests", requests.one, requests.ends, arguments.count)
        _run("answers", answers.one, answers.ends, arguments.count)
        _run("answers past a leak guard", leaks.one, leaks.ends, arguments.count // 2)
    except UnsoundError as error:
        print(error)
        return 1
    return 0


def _run(what: str, one: Callable[[], None], ends: Counter[str], count: int) -> None:
    for _ in range(min(count, 50)):
        one()  # what a process imports and compiles only once
    before, started = peak_mib(), time.process_time()
    for _ in range(count):
        one()
    grown, taken = peak_mib() - before, time.process_time() - started
    print(f"{what}: {count} in {taken:.0f} s of CPU, largest memory {peak_mib():.0f} MiB, grown by {grown:.0f}")
    for end, times in ends.most_common():
        print(f"  {times:7} {end}")
    if grown > MAX_GROWTH_MIB:
        raise UnsoundError(f"memory grew by {grown:.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
