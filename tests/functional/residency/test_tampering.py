"""The property behind `sallyport residency verify`: no single change of anchored records goes unseen."""

import json
from collections.abc import Callable
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from sallyport_cli.residency.records import read_records
from sallyport_cli.route_logs import LogLine
from tests.functional.residency.chain_of import NOW_S, Instance, MemoryAnchors, check

_LINES: Final[list[str]] = []
_STORE: Final = MemoryAnchors()
for _chain in ("s-chat/0a", "s-chat/0b", "s-app/0c"):
    _instance = Instance(_LINES, _STORE, _chain)
    for _ in range(7):
        _instance.request()  # anchored at 2, 8 and 14: all of them
OWN: Final = frozenset(json.loads(_LINES[0])) - {"level", "message", "timestamp", "service", "function_name"}

places = st.integers(0, len(_LINES) - 1)
values = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=3), max_size=3)


def test_what_nobody_touched_is_whole() -> None:
    assert check(_LINES, _STORE.written).is_whole


@given(places, st.sampled_from(sorted(OWN)), values)
def test_a_changed_value_is_found(place: int, name: str, value: Any) -> None:
    fields = json.loads(_LINES[place])
    if name in fields and (fields[name], type(fields[name])) == (value, type(value)):
        return
    assert not _with(place, json.dumps(fields | {name: value})).is_whole


@given(places, st.text(min_size=1, max_size=9), values)
def test_a_field_more_is_found(place: int, name: str, value: Any) -> None:
    fields = json.loads(_LINES[place])
    if name not in fields:
        assert not _with(place, json.dumps(fields | {name: value})).is_whole


@given(places, st.sampled_from(sorted(OWN)))
def test_a_field_less_is_found(place: int, name: str) -> None:
    fields = json.loads(_LINES[place])
    if fields.pop(name, None) is not None:
        assert not _with(place, json.dumps(fields)).is_whole


@given(places, st.data())
def test_a_changed_byte_is_found_unless_the_record_means_the_same(place: int, data: st.DataObject) -> None:
    line = _LINES[place]
    at, letter = data.draw(st.integers(0, len(line) - 1)), data.draw(st.characters(min_codepoint=32, max_codepoint=126))
    tampered = line[:at] + letter + line[at + 1 :]
    if _record(tampered) != _record(line):
        assert not _with(place, tampered).is_whole


@given(st.sets(places, min_size=1))
def test_removed_records_are_found(removed: set[int]) -> None:
    assert not check([line for place, line in enumerate(_LINES) if place not in removed], _STORE.written).is_whole


@given(places, places)
def test_exchanged_lines_of_one_chain_are_found(one: int, other: int) -> None:
    lines = list(_LINES)
    lines[one], lines[other] = lines[other], lines[one]
    if one != other and json.loads(lines[one])["chain"] == json.loads(lines[other])["chain"]:
        assert not check(lines, _STORE.written).is_whole


@given(places, places)
def test_a_record_in_the_place_of_another_is_found(place: int, other: int) -> None:
    if place != other:
        assert not _with(place, _LINES[other]).is_whole


@given(st.lists(st.text(max_size=40) | places.map(_LINES.__getitem__), max_size=8))
def test_reading_never_fails(lines: list[str]) -> None:
    check(lines, _STORE.written)


@given(places, st.sampled_from([str.upper, str.lower, str.title, lambda line: line[: len(line) // 2]]))
def test_broken_lines_are_found(place: int, broken: Callable[[str], str]) -> None:
    if _record(broken(_LINES[place])) != _record(_LINES[place]):
        assert not _with(place, broken(_LINES[place])).is_whole


def _with(place: int, line: str) -> Any:
    return check([*_LINES[:place], line, *_LINES[place + 1 :]], _STORE.written, now_s=NOW_S + 7200)


def _record(line: str) -> object:
    return [(found.chain, found.seq, found.fields) for found in read_records([LogLine(0, line)]).records]
