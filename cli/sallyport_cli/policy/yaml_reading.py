"""YAML as plain values and the line of each: what JSON can say, and nothing whose meaning depends on the reader.

PyYAML alone takes YAML 1.1, where the country `NO` is false, `12:30` a number and the second of two equal keys wins.
This reads its events, so that a document of 100,000 networks takes a second, and one that is nested or aliased into
itself is refused before it grows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import yaml

MAX_DOCUMENT_BYTES: Final = 8_000_000
_MAX_DEPTH: Final = 20
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DECEIVING = re.compile("[\u0085\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_END = re.compile("\r\n|\r|\n")
_ESCAPE = re.compile(r"\\(?:(?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: Final[Mapping[str, bool | None]] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
_COLLECTION_TAGS: Final = frozenset({None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_STRING_TAGS: Final = frozenset({"!", "tag:yaml.org,2002:str"})

type Path = tuple[str | int, ...]
"""Where a value is: keys of mappings and places in lists, from the top."""


class YamlError(Exception):
    """The text isn't such YAML. `line` is from 1, None where the whole text is at fault."""

    def __init__(self, line: int | None, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class Lines:
    """On which line each value and each key of a document stands, from 1."""

    def __init__(self) -> None:
        self._values: dict[Path, int] = {(): 1}
        self._keys: dict[Path, int] = {}

    def of_value(self, path: Path) -> int:
        """Give a value's line, or for one that isn't there that of what should hold it."""
        while path not in self._values:
            path = path[:-1]
        return self._values[path]

    def of_key(self, path: Path) -> int:
        """Give the line of a mapping's key, or as `of_value` for what has none."""
        return self._keys.get(path) or self.of_value(path)

    def note_value(self, path: Path, line: int) -> None:
        """Note where a value begins."""
        self._values[path] = line

    def note_key(self, path: Path, line: int) -> None:
        """Note where a key stands."""
        self._keys[path] = line


@dataclass(frozen=True)
class Parsed:
    """A document's values: a mapping at the top, then strings, numbers, booleans, None, lists and mappings."""

    values: dict[str, Any]
    lines: Lines


def parse_yaml(text: str, max_depth: int = _MAX_DEPTH) -> Parsed:
    """Read one YAML (or JSON) document with a mapping at its top. Raises `YamlError` for the first thing at fault."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_DOCUMENT_BYTES:
        raise YamlError(None, f"is larger than {MAX_DOCUMENT_BYTES // 1_000_000} MB")
    _check_visible(text)
    lines = Lines()
    try:
        events = yaml.parse(_without_surrogate_pairs(text), Loader=_LOADER)
        values = _read_stream(events, _Reader(events, lines, max_depth))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else None, f"isn't YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise YamlError(None, f"isn't YAML: {str(error).partition(chr(10))[0]}") from None
    return Parsed(values, lines)


def _check_visible(text: str) -> None:
    """Refuse what makes a reviewer see other lines, or another order, than the parser does."""
    found = _DECEIVING.search(text)
    if found is not None:
        line = len(_LINE_END.findall(text, 0, found.start())) + 1
        raise YamlError(
            line, f"has U+{ord(found[0]):04X}, which can't be seen and hides or reorders what can; take it out"
        )


def _without_surrogate_pairs(text: str) -> str:
    r"""Write what JSON escapes in two halves, such as \ud83d\ude00, as itself: YAML knows no such escape."""
    if not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return text
    return _ESCAPE.sub(lambda found: json.loads(f'"{found[0]}"') if found["pair"] else found[0], text)


def _read_stream(events: Iterator[Any], reader: _Reader) -> dict[str, Any]:
    next(events)  # the stream's start
    if not isinstance(next(events), yaml.DocumentStartEvent):
        raise YamlError(None, "is empty")
    first = next(events)
    values = reader.read(first, ())
    next(events)  # the document's end
    following = next(events)
    if isinstance(following, yaml.DocumentStartEvent):
        raise YamlError(_line(following), "a second document begins here; one file is one document")
    if not isinstance(values, dict):
        raise YamlError(_line(first), "is no mapping; a policy document begins with `version: 1`")
    return cast("dict[str, Any]", values)


class _Reader:
    """Reads values from parser events."""

    def __init__(self, events: Iterator[Any], lines: Lines, max_depth: int) -> None:
        self._events = events
        self._lines = lines
        self._max_depth = max_depth

    def read(self, event: Any, path: Path) -> Any:
        """Read the value that begins with `event`."""
        _check_plain(event)
        self._lines.note_value(path, _line(event))
        if isinstance(event, yaml.ScalarEvent):
            _check_readable(event)
            return _scalar(event)
        if len(path) >= self._max_depth:
            raise YamlError(_line(event), f"is nested more than {self._max_depth} deep")
        return self._sequence(path) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(path)

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self.read(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = _key(event)
            key_path = (*path, key)
            if key in values:
                raise YamlError(
                    _line(event), f"the key {key} is there twice; first on line {self._lines.of_key(key_path)}"
                )
            self._lines.note_key(key_path, _line(event))
            values[key] = self.read(next(self._events), key_path)
        return values


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _check_plain(event: Any) -> None:
    """Refuse what copies values or makes other types of them."""
    if isinstance(event, yaml.AliasEvent):
        raise YamlError(_line(event), f"aliases such as *{event.anchor} aren't taken; write the value out")
    if event.anchor is not None:
        raise YamlError(_line(event), f"anchors such as &{event.anchor} aren't taken")
    if not isinstance(event, yaml.ScalarEvent) and event.tag not in _COLLECTION_TAGS:
        raise YamlError(_line(event), "has a tag; only plain YAML is taken")


def _check_readable(event: Any) -> None:
    """Refuse what an escape has brought in: a terminal that shows the value would obey it."""
    found = _DECEIVING.search(event.value) or _UNPRINTABLE.search(event.value)
    if found is not None:
        raise YamlError(_line(event), f"stands for text with U+{ord(found[0]):04X}, which can't be shown; take it out")


def _key(event: Any) -> str:
    """Give a key as it is written: `NO`, `1` and `true` are names here."""
    if not isinstance(event, yaml.ScalarEvent):
        raise YamlError(_line(event), "a key is text")
    _check_plain(event)
    if event.tag is not None and event.tag not in _STRING_TAGS:
        raise YamlError(_line(event), "has a tag; only plain YAML is taken")
    if event.implicit[0] and event.value == "<<":
        raise YamlError(_line(event), "merge keys (<<) aren't taken; write the values out")
    _check_readable(event)
    return str(event.value)


def _scalar(event: Any) -> Any:
    """Give a scalar's value by YAML 1.2; what only looks like a number, such as `010` or `12:30`, is text."""
    text: str = event.value
    if event.tag in _STRING_TAGS or (event.tag is None and not event.implicit[0]):
        return text
    if event.tag is not None:
        raise YamlError(_line(event), "has a tag; only plain YAML is taken")
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit() else text
