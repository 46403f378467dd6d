"""JSON as RFC 8259 means it, and I-JSON (RFC 7493) where that leaves a choice.

Python's own parser takes NaN, infinite numbers and names that stand twice; two parsers that read a body differently are
a way around every check made between them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from sallyport.errors import InvalidJsonError, UnsupportedFieldError

MAX_DEPTH = 64
MAX_VALUES = 400_000
MAX_SHOWN_CHARS = 64
"""Of a field's name that nobody knows."""
_MAX_NUMBER_LENGTH = 64
_MOST_PER_CHARACTER = 3
"""What `_count` gives at most for one."""
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or what is left of one at the end; possessive, so that no text makes it look twice at a character."""
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class _RefusedError(Exception):
    """Why the text isn't strict JSON, in words that repeat none of it."""


def parse_strict(text: str) -> Any:
    """Parse one JSON value. Raises `InvalidJsonError`; its message repeats nothing of the text."""
    _check_structure(text)
    try:
        text.encode()
        value = _DECODER.decode(text)
    except _RefusedError as refusal:
        raise InvalidJsonError(f"The request body isn't valid JSON: {refusal}.") from None
    except json.JSONDecodeError as error:
        raise InvalidJsonError(
            f"The request body isn't valid JSON (line {error.lineno}, column {error.colno})."
        ) from None
    except UnicodeEncodeError:
        raise InvalidJsonError("The request body isn't valid UTF-8.") from None
    except RecursionError:
        raise InvalidJsonError("The request body is nested too deeply.") from None
    if _has_many_brackets(text) and _deeper_than(value, MAX_DEPTH):
        raise InvalidJsonError(f"The request body is nested more than {MAX_DEPTH} levels deep.")
    if "\\" in text and _SURROGATE_ESCAPE.search(text) is not None:
        _check_surrogates(value)
    return value


def check_names(body: Mapping[str, Any]) -> None:
    """Raise `UnsupportedFieldError` for a field of a body, or of its tools, whose name isn't in small ASCII letters.

    No field of these APIs has such a name. To an upstream in Go (encoding/json: Ollama, say) or .NET `Model` is
    `model`, and the last of the two counts, so that it would do something else than what was checked and recorded.
    """
    _check_spelling("", body)
    tools = body.get("tools")
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, dict):
            _check_spelling(f"tools[{index}].", tool)


def _check_spelling(path: str, fields: Mapping[str, Any]) -> None:
    for name in fields:
        if not name.isascii() or name != name.lower():
            raise UnsupportedFieldError(
                "A field's name must be in small letters.", param=f"{path}{name[:MAX_SHOWN_CHARS]}"
            )


def _check_structure(text: str) -> None:
    """Refuse a body of very many small values, which takes fifty times its own size in memory."""
    if _MOST_PER_CHARACTER * len(text) <= MAX_VALUES:
        return
    if _count(text) > MAX_VALUES and _count(_STRING.sub("", text)) > MAX_VALUES:
        raise InvalidJsonError(f"The request body has more than {MAX_VALUES} values.")


def _count(text: str) -> int:
    """Give a number that is at least that of the values: braces count thrice, for objects take the most memory."""
    return text.count(",") + text.count("[") + 3 * text.count("{")


def _check_surrogates(value: Any) -> None:
    """RFC 7493, section 2.1: half a surrogate pair is no character, and can't be written as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidJsonError("The request body has half a surrogate pair in a string.") from None


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _RefusedError("an object has the same name twice")
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise _RefusedError("NaN and Infinity aren't JSON numbers")


def _read_int(text: str) -> int:
    if len(text) > _MAX_NUMBER_LENGTH:
        raise _RefusedError("a number is too long")
    return int(text)


def _read_float(text: str) -> float:
    number = float(text) if len(text) <= _MAX_NUMBER_LENGTH else float("inf")
    if number in {float("inf"), float("-inf")}:
        raise _RefusedError("a number is too large or too long")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_names, parse_constant=_refuse_constant, parse_int=_read_int, parse_float=_read_float
)
"""Made once: `json.loads` makes one for each text, which takes as long as to read an event of a stream."""


def _has_many_brackets(text: str) -> bool:
    """Say whether a text has `MAX_DEPTH` or more that open something: splitting looks no further, counting does."""
    return len(text.split("{", MAX_DEPTH)) + len(text.split("[", MAX_DEPTH)) - 2 >= MAX_DEPTH


def _deeper_than(value: Any, depth: int) -> bool:
    """Walk level by level: a body with few brackets never gets here."""
    level = [value]
    for _ in range(depth):
        level = [child for parent in level if isinstance(parent, dict | list) for child in _children(parent)]
        if not level:
            return False
    return True


def _children(parent: dict[str, Any] | list[Any]) -> list[Any]:
    children = list(parent.values()) if isinstance(parent, dict) else parent
    return [child for child in children if isinstance(child, dict | list)]
