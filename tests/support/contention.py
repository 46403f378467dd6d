"""Many processes at one limit, and how many of them are let through."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).parents[2]
SIZES = (2, 8, 32)
SLIDING = "tests.support.contention_worker:Sliding"
MINUTE_MS = 60_000
EDGE_MS = 1_800_000_000_000
"""Where a minute and an hour begin."""


class Target(NamedTuple):
    """A table of counters, and where it is."""

    url: str
    table: str


class Outcome(NamedTuple):
    """What came of a job, in all processes together."""

    admitted: int
    timeouts: int
    errors: tuple[str, ...]


class Crowd:
    """Processes that are started once and take part in one job after the other."""

    def __init__(self, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, "-m", "tests.support.contention_worker", *map(str, SIZES)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'layers' / 'common'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate()  # the end of its input ends it

    def run(self, job: Mapping[str, Any]) -> Outcome:
        """Have a job done by `job["processes"]` processes, from a barrier."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        parts = json.loads(self._process.stdout.readline())
        return Outcome(
            sum(part["admitted"] for part in parts),
            sum(part["timeouts"] for part in parts),
            tuple(error for part in parts for error in part["errors"]),
        )


def make_job(target: Target, member: str, processes: int, limit: int, calls: int, **changes: Any) -> dict[str, Any]:
    """Describe a job: each process makes `calls` requests at `EDGE_MS` against `limit` requests a minute."""
    return {
        "contender": SLIDING,
        "url": target.url,
        "table": target.table,
        "member": member,
        "processes": processes,
        "rules": [("requests", limit, "1m")],
        "limit": limit,
        "cost": {"requests": 1},
        "clock_ms": [EDGE_MS] * calls,
        "seed": member,
        **changes,
    }
