"""What is wrong with a document, in sentences for the person who wrote it; pydantic's own are for programmers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from sallyport_cli.policy.yaml_reading import Lines, Path

MAX_SHOWN: Final = 100
_MISSING: Final = "missing"
_UNKNOWN: Final = "extra_forbidden"
_KEY: Final = "[key]"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: on which line (None: the whole file), in which field, and why."""

    line: int | None
    field: str
    reason: str

    def located(self, name: str) -> str:
        """Give `file:line: field: reason`."""
        place = name if self.line is None else f"{name}:{self.line}"
        return ": ".join(part for part in (place, self.field, self.reason) if part)


def in_lines(name: str, problems: Iterable[Problem]) -> str:
    """Give the problems, a line each, in the order of the document; of very many the first."""
    by_line = sorted(problems, key=lambda problem: problem.line or 0)
    lines = [problem.located(name) for problem in by_line[:MAX_SHOWN]]
    more = len(by_line) - MAX_SHOWN
    return "\n".join([*lines, f"{name}: and {more:,} more problems"] if more > 0 else lines)


def at(*problems: tuple[Path, str]) -> ValidationError:
    """Make the error that a model's validator raises for problems of its fields, by their path below the model."""
    details = [
        InitErrorDetails(type=PydanticCustomError("policy", "{reason}", {"reason": reason}), loc=path, input=None)
        for path, reason in problems
    ]
    return ValidationError.from_exception_data("policy", details)


def read_problems(error: ValidationError, schema: Callable[[], Mapping[str, Any]], lines: Lines) -> list[Problem]:
    """Translate what pydantic found in the values of a document; `schema` gives the document's JSON Schema."""
    found = (details for details in error.errors(include_url=False) if not _is_consequence(details))
    return [_problem(details, schema, lines) for details in found]


def field_name(path: Path) -> str:
    """Write a path as `identity.issuers[0].audiences`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def _is_consequence(details: ErrorDetails) -> bool:
    """A list isn't too short where its entries are there and have mistakes of their own."""
    return details["type"] == "too_short" and bool(details["input"])


def _problem(details: ErrorDetails, schema: Callable[[], Mapping[str, Any]], lines: Lines) -> Problem:
    path, kind = details["loc"], details["type"]
    is_key = bool(path) and path[-1] == _KEY
    path = path[:-1] if is_key else path
    line = lines.of_key(path) if is_key or kind == _UNKNOWN else lines.of_value(path)
    return Problem(line, field_name(path), _reason(details, schema))


def _reason(details: ErrorDetails, schema: Callable[[], Mapping[str, Any]]) -> str:
    kind, path = details["type"], details["loc"]
    if kind == _UNKNOWN:
        return _unknown(str(path[-1]), _known_keys(schema(), path[:-1]))
    if kind == "value_error":
        return str(details["ctx"]["error"])
    translate = _SENTENCES.get(kind)
    return translate(details.get("ctx", {}), details["input"]) if translate else details["msg"]


def _known_keys(schema: Mapping[str, Any], path: Path) -> list[str]:
    """Give the keys that may stand at a path."""
    here = schema
    for part in path:
        here = here.get("items", {}) if isinstance(part, int) else _below(here, part)
        here = next((one for one in here.get("anyOf", ()) if "$ref" in one), here)
        here = schema["$defs"][here["$ref"].rpartition("/")[2]] if "$ref" in here else here
    return list(here.get("properties", {}))


def _below(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema.get("properties", {}).get(key) or schema.get("additionalProperties") or {}
    return found


def _unknown(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    hint = f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(known)}" if known else ""
    return f"is no key of a policy document{hint}"


def _is(value: object) -> str:
    """Say what a value is, without the value itself, which may be a secret in the wrong place."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {int: "a number", float: "a number with a point", str: "text", list: "a list", dict: "a mapping"}
    return names.get(type(value), "something else")


def _text_expected(_context: object, value: object) -> str:
    hint = "; put it in quotes" if isinstance(value, bool | int | float) else ""
    return f"must be text, and is {_is(value)}{hint}"


def _expected(what: str) -> Callable[[object, object], str]:
    return lambda _context, value: f"must be {what}, and is {_is(value)}"


_SENTENCES: Final[Mapping[str, Callable[[Any, object], str]]] = {
    _MISSING: lambda _context, _value: "is missing",
    "string_type": _text_expected,
    "bool_type": _expected("true or false"),
    "float_type": _expected("a number"),
    "int_type": _expected("a whole number"),
    "list_type": _expected("a list"),
    "tuple_type": _expected("a list"),
    "dict_type": _expected("a mapping"),
    "model_type": _expected("a mapping"),
    "greater_than_equal": lambda context, _value: f"must be at least {context['ge']}",
    "less_than_equal": lambda context, _value: f"must be at most {context['le']}",
    "too_long": lambda context, _value: f"has {context['actual_length']:,} entries; at most {context['max_length']:,}",
    "too_short": lambda _context, _value: "must have at least one entry",
}
