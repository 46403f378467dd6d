"""JSON of tokens and key sets, read so that no other parser can read it differently.

Python's own parser guesses the encoding, takes NaN, and lets the last of two equal names win.
"""

import json
from typing import Any, NoReturn

MAX_DEPTH = 32


class RepeatedNameError(ValueError):
    """An object has the same name twice."""


def read_json(raw: bytes) -> Any:
    """Read one JSON value in UTF-8. Raises `ValueError`."""
    return _load(raw, _STRICT)


def read_json_without_doubtful_objects(raw: bytes) -> Any:
    """Read one JSON value in UTF-8, with null for each object in which a name stands twice. Raises `ValueError`."""
    return _load(raw, _LENIENT)


def _load(raw: bytes, decoder: json.JSONDecoder) -> Any:
    text = raw.decode()
    try:
        value = decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count("{") + text.count("[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise ValueError("nested too deeply")
    return value


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise RepeatedNameError("an object has the same name twice")
    return value


def _unique_names_or_none(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    value = dict(pairs)
    return value if len(value) == len(pairs) else None


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity aren't JSON numbers")


def _deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [child for parent in level for child in _children(parent)]
    return bool(level)


def _children(parent: Any) -> list[Any]:
    children = parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ()
    return [child for child in children if isinstance(child, dict | list)]


_STRICT = json.JSONDecoder(object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
_LENIENT = json.JSONDecoder(object_pairs_hook=_unique_names_or_none, parse_constant=_refuse_constant)
