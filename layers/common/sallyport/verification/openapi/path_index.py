"""Which of a document's paths a request's path is: as OpenAPI 3.1 says it ("Paths Object"), literal before template.

Paths are compared segment by segment, each decoded once, with case and the slash at the end as they are: `/a` and `/a/`
are two paths, and a parameter never takes an empty segment.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

type Segment = str | list[str]
"""A literal's text, decoded; or a parameter: what stands before it in the segment, its name, what stands after."""


class Match(NamedTuple):
    """A path of the document, and the decoded value of each of its parameters."""

    item: Mapping[str, Any]
    values: Mapping[str, str]


class PathIndex:
    """The paths of one compiled document. `items` have `segments` (a list of `Segment`) each."""

    def __init__(self, items: Sequence[Mapping[str, Any]]) -> None:
        self._literal: dict[tuple[str, ...], Mapping[str, Any]] = {}
        self._templates: dict[int, list[Mapping[str, Any]]] = {}
        for item in items:
            segments = item["segments"]
            if all(isinstance(segment, str) for segment in segments):
                self._literal[tuple(segments)] = item
            else:
                self._templates.setdefault(len(segments), []).append(item)
        for templates in self._templates.values():
            templates.sort(key=_generality)

    def find(self, path: str) -> Match | None:
        """Give the most specific path that a request's is; `path` is percent-encoded as it came.

        None has a semicolon as such: many servers take it and what follows off a segment before they look at it, so
        that `/users/me;x` would pass as another user and be `/users/me` to the application.
        """
        if ";" in path:
            return None
        try:
            segments = tuple(unquote(segment, errors="strict") for segment in path.removeprefix("/").split("/"))
        except UnicodeDecodeError:
            return None
        literal = self._literal.get(segments)
        if literal is not None:
            return Match(literal, {})
        for item in self._templates.get(len(segments), ()):
            values = _values(item["segments"], segments)
            if values is not None:
                return Match(item, values)
        return None


def _generality(item: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Order templates: from the left, a literal comes before a parameter, more fixed text before less."""
    return [
        (0, 0) if isinstance(segment, str) else (1, -len(segment[0]) - len(segment[2])) for segment in item["segments"]
    ]


def _values(template: Sequence[Segment], segments: Sequence[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for wanted, segment in zip(template, segments, strict=True):
        if isinstance(wanted, str):
            if segment != wanted:
                return None
            continue
        before, name, after = wanted
        value = segment[len(before) : len(segment) - len(after)]
        if not value or before + value + after != segment:
            return None
        values[name] = value
    return values
