"""CPU time of single operations in this process, measured side by side."""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple


class Case(NamedTuple):
    """An operation to measure. `make_batch` prepares, unmeasured, a batch that makes `calls` calls of it."""

    name: str
    calls: int
    make_batch: Callable[[], Callable[[], object]]


class Figures(NamedTuple):
    """Microseconds of CPU per call, one figure per batch."""

    batches_us: tuple[float, ...]

    @property
    def median_us(self) -> float:
        """Give the middle one."""
        return median(self.batches_us)

    def range(self) -> str:
        """Write the least and the most."""
        return f"{figure(min(self.batches_us))}-{figure(max(self.batches_us))}"


def measure(cases: Sequence[Case], batches: int) -> Mapping[str, Figures]:
    """Measure all cases in turn, batch by batch, so that whatever slows the machine for a while slows all alike.

    User and kernel time. The loop around the calls is part of every figure; the first batch of each isn't counted.
    """
    taken = [[_batch_us(case) for case in cases] for _ in range(batches + 1)]
    columns = zip(*taken[1:], strict=True)
    return {case.name: Figures(column) for case, column in zip(cases, columns, strict=True)}


def figure(number: float) -> str:
    """Write a number with about three digits."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"  # noqa: PLR2004 - three digits


def _batch_us(case: Case) -> float:
    run = case.make_batch()
    before_ns = time.process_time_ns()
    run()
    return (time.process_time_ns() - before_ns) / case.calls / 1000
