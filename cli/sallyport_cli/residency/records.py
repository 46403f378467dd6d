"""Records of the audit trail, as they stand among the lines that functions wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sallyport.observability.audit import FIRST_SEQ, MESSAGE, record_hash
from sallyport_cli.route_logs import LogLine

_ADDED_BY_LOGGER: Final = frozenset({"level", "message", "timestamp", "service", "function_name"})
"""Of a line, but not of the record in it."""
_MOST: Final = 10**15
"""No number in a sound record is greater; one of a thousand digits would be an error, or fill the screen."""


@dataclass(frozen=True)
class Record:
    """One record. `place` orders those of a chain as they were found; `is_sound`: its content fits its hash."""

    chain: str
    seq: int
    prev: str
    hash: str
    place: int
    is_sound: bool
    fields: Mapping[str, Any]

    @property
    def time_ms(self) -> int:
        """When it was written, in epoch milliseconds; 0 where that isn't told."""
        found = self.fields.get("time_ms")
        return found if isinstance(found, int) and 0 <= found <= _MOST else 0

    def text(self, name: str) -> str:
        """Give a text among the fields; empty for anything else."""
        found = self.fields.get(name)
        return found if isinstance(found, str) else ""

    def texts(self, name: str) -> Sequence[str]:
        """Give a list of texts among the fields; empty for anything else."""
        found = self.fields.get(name)
        return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else []


@dataclass(frozen=True)
class Found:
    """The records among lines, and how many lines say that they are one and can't be read as one."""

    records: Sequence[Record]
    unreadable: int


def read_records(lines: Iterable[LogLine]) -> Found:
    """Read JSON lines. All other lines are passed over, broken ones too: a record that one was is missing then."""
    records, unreadable = [], 0
    for line in lines:
        fields = _object(line.text)
        if fields is None or fields.get("message") != MESSAGE:
            continue
        record = _record(fields, line.place)
        if record is None:
            unreadable += 1
        else:
            records.append(record)
    return Found(records, unreadable)


def _object(line: str) -> Mapping[str, Any] | None:
    start = line.find("{")  # before it may stand what `aws logs tail` and others write: a time, a stream
    if start < 0:
        return None
    try:
        found = json.loads(line[start:], object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object. Raises `ValueError` if a key is there twice: each reader may take another of the two."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _record(line: Mapping[str, Any], place: int) -> Record | None:
    fields = {name: value for name, value in line.items() if name not in _ADDED_BY_LOGGER}
    chain, seq, prev, told = (fields.get(name) for name in ("chain", "seq", "prev", "hash"))
    if not isinstance(chain, str) or not chain.isascii():
        return None
    if type(seq) is not int or not FIRST_SEQ <= seq <= _MOST:  # JSON's true would pass for 1
        return None
    if not isinstance(prev, str) or not isinstance(told, str):
        return None
    return Record(chain, seq, prev, told, place, _hash(fields) == told, fields)


def _hash(fields: Mapping[str, Any]) -> str:
    try:
        return record_hash(fields)
    except (ValueError, RecursionError):  # what Python's reader takes, such as NaN, but no writer of records wrote
        return ""
