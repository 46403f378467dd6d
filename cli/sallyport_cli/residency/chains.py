"""Whether audit chains are whole: each record linked to the one before, and all of them to the anchors.

What is checked begins, for each chain, with its last anchor before the period, or with its first record. So a record
that was removed at the beginning of the period shows, as one in its middle does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from sallyport.observability.anchors import Anchor, first_hash
from sallyport.observability.audit import FIRST_SEQ
from sallyport_cli.residency.records import Record

UNANCHORED_S: Final = 960
"""So old a chain may be without an anchor: its first request may take 15 minutes, and the anchor comes after it."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a chain: altered, removed, out of order, cut, missing, forged or unanchored."""

    kind: str
    chain: str
    text: str


@dataclass(frozen=True)
class Period:
    """From when on chains are checked, until when their anchors are looked at, and now; in epoch seconds."""

    since_s: float
    until_s: float
    now_s: float


@dataclass(frozen=True)
class Checked:
    """One chain: its records by number, and its faults. `pending`: how many records stand after the last anchor."""

    chain: str
    records: Sequence[Record]
    pending: int
    faults: Sequence[Fault]


@dataclass(frozen=True)
class _Expected:
    """What is known of a chain from elsewhere than its records: where it begins, and its anchors from there on."""

    chain: str
    first: int
    prev: str
    anchors: Mapping[int, Sequence[Anchor]]
    has_anchor: bool

    @property
    def last(self) -> int:
        """The last record that is anchored; before the first, if none is."""
        return max(self.anchors, default=self.first - 1)


def check_chains(records: Iterable[Record], anchors: Iterable[Anchor], period: Period) -> list[Checked]:
    """Check all chains that have records, or anchors in the period; in the order of their names."""
    by_chain: dict[str, tuple[list[Record], list[Anchor]]] = {}
    for record in records:
        by_chain.setdefault(record.chain, ([], []))[0].append(record)
    for anchor in anchors:
        by_chain.setdefault(anchor.chain, ([], []))[1].append(anchor)
    checked = (_check(chain, *by_chain[chain], period) for chain in sorted(by_chain))
    return [found for found in checked if found.records or found.faults]


def _check(chain: str, records: Sequence[Record], anchors: Sequence[Anchor], period: Period) -> Checked:
    expected = _expected(chain, anchors, period)
    ordered = sorted((record for record in records if record.seq >= expected.first), key=_number_then_place)
    faults = [*_told_twice(ordered), *_walk(ordered, expected), *_end(ordered, expected, period)]
    distinct = [next(same) for _, same in groupby(ordered, key=lambda record: record.seq)]
    pending = sum(record.seq > expected.last for record in distinct)
    return Checked(chain, distinct, pending, faults)


def _expected(chain: str, anchors: Sequence[Anchor], period: Period) -> _Expected:
    before = [anchor for anchor in anchors if anchor.at_s < period.since_s]
    base = max(before, key=lambda anchor: anchor.seq, default=None)
    first, prev = (FIRST_SEQ, first_hash(chain)) if base is None else (base.seq + 1, base.hash)
    later: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        if first <= anchor.seq and anchor.at_s <= period.until_s:
            later.setdefault(anchor.seq, []).append(anchor)
    return _Expected(chain, first, prev, later, has_anchor=bool(anchors))


def _number_then_place(record: Record) -> tuple[int, int]:
    return record.seq, record.place


def _told_twice(ordered: Sequence[Record]) -> Iterator[Fault]:
    """Logs may deliver a line twice; that is the same record once more, and no fault."""
    for seq, same in groupby(ordered, key=lambda record: record.seq):
        first, *others = same
        if any(other.fields != first.fields for other in others):
            yield Fault("forged", first.chain, f"record {seq:,} is there twice, with different content")


def _walk(ordered: Sequence[Record], expected: _Expected) -> Iterator[Fault]:
    """Go from record to record: numbers, content, links, anchors, order."""
    seq, prev, place = expected.first, expected.prev, 0
    for number, same in groupby(ordered, key=lambda record: record.seq):
        record = next(same)
        if number > seq:
            yield Fault("removed", expected.chain, f"{_span(seq, number - 1)} missing before record {number:,}")
        elif record.prev != prev:
            yield Fault("forged", expected.chain, f"record {number:,} doesn't follow from what stands before it")
        yield from _record_faults(record, expected)
        if record.place < place:
            yield Fault("out of order", expected.chain, f"record {number:,} stands before record {number - 1:,}")
        seq, prev, place = number + 1, record.hash, record.place


def _record_faults(record: Record, expected: _Expected) -> Iterator[Fault]:
    if not record.is_sound:
        yield Fault("altered", expected.chain, f"record {record.seq:,} doesn't fit its hash")
    if any(anchor.hash != record.hash for anchor in expected.anchors.get(record.seq, ())):
        yield Fault("forged", expected.chain, f"record {record.seq:,} isn't the one that was anchored")


def _end(ordered: Sequence[Record], expected: _Expected, period: Period) -> Iterator[Fault]:
    """Look at what only the anchors know of, and at a chain that they don't know of."""
    last = ordered[-1].seq if ordered else expected.first - 1
    if last < expected.last:
        kind = "cut" if ordered or expected.first > FIRST_SEQ else "missing"
        yield Fault(kind, expected.chain, f"{_span(last + 1, expected.last)} missing, and anchored")
    if not expected.has_anchor and ordered[0].time_ms < (period.now_s - UNANCHORED_S) * 1000:
        yield Fault("unanchored", expected.chain, f"{_span(ordered[0].seq, last)} there, and no anchor knows of it")


def _span(first: int, last: int) -> str:
    return f"record {first:,} is" if first == last else f"records {first:,} to {last:,} are"
