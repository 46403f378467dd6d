"""What became of a canary's requests, and of those that it is compared with, as it is counted and stored.

Counts are kept per arm and bucket: callers who stay on one arm are alike in ways that single requests aren't, so the
guard's test looks at groups of them. A count names no caller.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from sallyport.policy.canary_rules import CANARY, STABLE

ARMS = (STABLE, CANARY)
BUCKETS = 128
"""Groups of callers on each arm."""
BOUNDS_MS = (100, 250, 500, 1000, 2000, 4000, 8000, 15_000, 30_000, 60_000, 120_000)
"""Of the duration's histogram: the longest of each bin but the last, which holds all that took longer."""
KEPT_S = 45 * 86_400
"""After the last request of a group: longer than a step may hold, or its callers' outcomes would go during the step."""
KEY_PREFIX = "canary#"
_BUCKET_DIGITS = 3
_NO_HISTOGRAM = (0,) * (len(BOUNDS_MS) + 1)


class CountsError(Exception):
    """Counts can't be read or added to, or nobody knows whether they were. The message is the store's error code."""


class Place(NamedTuple):
    """Where an outcome is counted: the canary, what of it is counted together, the arm, the caller's bucket."""

    canary: str
    run: str
    arm: str
    bucket: int


class Outcomes(NamedTuple):
    """What became of some requests, added up. Times in milliseconds.

    `refused`: by the upstream, with a 4xx. `slow` and `slow_first_byte`: as the canary's guard says. `first_byte_ms`:
    until the first byte, or the end where none came. `histogram`: requests per bin of `BOUNDS_MS`.
    """

    requests: int = 0
    failed: int = 0
    slow: int = 0
    slow_first_byte: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    duration_ms: int = 0
    first_byte_ms: int = 0
    histogram: tuple[int, ...] = _NO_HISTOGRAM
    refused: int = 0


ATTRIBUTES: Mapping[str, str] = {
    "requests": "n",
    "failed": "e",
    "refused": "r",
    "slow": "s",
    "slow_first_byte": "f",
    "input_tokens": "it",
    "output_tokens": "ot",
    "duration_ms": "d",
    "first_byte_ms": "t",
}
"""Fields of `Outcomes` and their attributes in the table; the histogram's are h0 to h11."""

type Counted = Mapping[str, Mapping[int, Outcomes]]
"""Outcomes of one run, by arm and bucket; a bucket without requests isn't there."""


class CanaryCounts(Protocol):
    """Keeps the counts."""

    def add(self, place: Place, outcomes: Outcomes, expires_at_s: int) -> None:
        """Add to a bucket's counts, once at most. Raises `CountsError`."""

    def read(self, canary: str, run: str) -> Counted:
        """Give all counts of a run. Raises `CountsError`."""


def partition(canary: str, run: str) -> str:
    """Give the partition of all counts of a run in the counters table."""
    return f"{KEY_PREFIX}{canary}#{run}"


def sort_key(arm: str, bucket: int) -> str:
    """Give the sort key of one bucket's counts."""
    return f"{arm}#{bucket:0{_BUCKET_DIGITS}d}"


def amounts(outcomes: Outcomes) -> dict[str, int]:
    """Give what isn't nothing, by attribute; `n` in any case."""
    found = {attribute: getattr(outcomes, field) for field, attribute in ATTRIBUTES.items()}
    found |= {f"h{number}": count for number, count in enumerate(outcomes.histogram)}
    return {attribute: amount for attribute, amount in found.items() if amount or attribute == "n"}


def read_items(items: Iterable[Mapping[str, Any]]) -> Counted:
    """Give the counts that the items of a run hold. Raises `CountsError` for broken ones."""
    counted: dict[str, dict[int, Outcomes]] = {}
    try:
        for item in items:
            arm, bucket = _read_sort_key(str(item["sk"]["S"]))
            counted.setdefault(arm, {})[bucket] = _outcomes(item)
    except (KeyError, TypeError, ValueError):
        raise CountsError("the stored canary counts are broken") from None
    return counted


def add_up(outcomes: Iterable[Outcomes]) -> Outcomes:
    """Give the sum of outcomes."""
    found = list(outcomes)
    sums = {field: sum(getattr(one, field) for one in found) for field in ATTRIBUTES}
    histograms = [one.histogram for one in found] or [_NO_HISTOGRAM]
    return Outcomes(**sums, histogram=tuple(map(sum, zip(*histograms, strict=True))))


def _read_sort_key(text: str) -> tuple[str, int]:
    """Give the arm and the bucket. Raises `ValueError` for what `sort_key` doesn't give."""
    arm, _, digits = text.partition("#")
    bucket = int(digits)
    if arm not in ARMS or not 0 <= bucket < BUCKETS or text != sort_key(arm, bucket):
        raise ValueError("no arm's bucket")
    return arm, bucket


def _outcomes(item: Mapping[str, Any]) -> Outcomes:
    def number(attribute: str) -> int:
        found = int(item[attribute]["N"]) if attribute in item else 0
        if found < 0:
            raise ValueError("counts are added to alone")
        return found

    fields = {field: number(attribute) for field, attribute in ATTRIBUTES.items()}
    return Outcomes(**fields, histogram=tuple(number(f"h{place}") for place in range(len(BOUNDS_MS) + 1)))
