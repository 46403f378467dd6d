"""Taking fields out of an answer by their paths, such as `usage.cost`, `choices[*].logprobs`, `choices[0].x`."""

import re
from collections.abc import Iterable, Sequence
from operator import is_
from typing import Any

MAX_PATH_LENGTH = 256

_EVERY = "*"
_FIELD = r"[A-Za-z_][A-Za-z0-9_-]*"
_INDEX = r"\[(?:\*|0|[1-9][0-9]{0,5})\]"
_PATH = re.compile(rf"(?:{_FIELD}|{_INDEX}(?:{_INDEX})*\.{_FIELD})(?:(?:{_INDEX})*\.{_FIELD})*")
_STEP = re.compile(rf"({_FIELD})|\[(\*|[0-9]+)\]")

type _Step = str | int
"""A field's name, an element's index, or `*` for every element; no field is named that."""


class StripPaths:
    """Paths of fields that are taken out. Raises `ValueError` for a text that is no path, and doesn't repeat it.

    A path is of names with `.` between them, each followed by any number of `[*]`, every element of a list, or `[n]`,
    the n-th from 0; it ends with a name. What isn't there, or is of another type, is passed over.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(map(_steps, paths))

    def apply(self, value: Any) -> tuple[Any, bool]:
        """Give a value without those fields, and whether it had any; what is changed is copied, the rest shared."""
        left = value
        for path in self._paths:
            left = _without(left, path)
        return left, left is not value


def _steps(path: str) -> Sequence[_Step]:
    if len(path) > MAX_PATH_LENGTH or _PATH.fullmatch(path) is None:
        raise ValueError("a path is of names and indexes and ends with a name, such as choices[*].logprobs")
    return tuple(name or (index if index == _EVERY else int(index)) for name, index in _STEP.findall(path))


def _without(value: Any, path: Sequence[_Step]) -> Any:
    """Give the value itself if there is nothing to take out of it."""
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        return _without_in_list(value, step, rest)
    if not isinstance(value, dict) or not isinstance(step, str) or step not in value or step == _EVERY:
        return value
    if not rest:
        return {name: kept for name, kept in value.items() if name != step}
    child = _without(value[step], rest)
    return value if child is value[step] else {**value, step: child}


def _without_in_list(values: list[Any], step: _Step, rest: Sequence[_Step]) -> list[Any]:
    if step == _EVERY:
        children = [_without(value, rest) for value in values]
    elif isinstance(step, int) and step < len(values):
        children = [*values[:step], _without(values[step], rest), *values[step + 1 :]]
    else:
        return values
    return values if all(map(is_, children, values)) else children
