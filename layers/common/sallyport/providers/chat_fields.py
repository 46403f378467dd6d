"""Reading fields of a chat request whose schema has been checked roughly: what isn't as it should be names its path.

A field that is null counts as absent, and so does one whose value asks for nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sallyport.errors import SchemaViolationError, UnsupportedFieldError


def unsupported(path: str) -> UnsupportedFieldError:
    """Give the refusal of a field or value that the model's upstream has no counterpart for."""
    return UnsupportedFieldError(f"{path} has no counterpart at this model's upstream.", param=path)


def malformed(path: str, wanted: str) -> SchemaViolationError:
    """Give the refusal of a field that isn't what the chat API takes, such as `a text`."""
    return SchemaViolationError(f"{path} must be {wanted}.", param=path)


def present(value: Mapping[str, Any], path: str, known: Iterable[str]) -> dict[str, Any]:
    """Give an object's fields that aren't null. Raises `UnsupportedFieldError` for one that isn't `known`.

    A name that no field of the API could have isn't repeated: the object that has it is named.
    """
    fields = {name: field for name, field in value.items() if field is not None}
    for name in fields:
        if name not in known:
            named = name if _is_name(name) else ""
            raise unsupported(f"{path}.{named}".strip(".") or "body")
    return fields


def an_object(value: Any, path: str) -> Mapping[str, Any]:
    """Give an object. Raises `SchemaViolationError`, as the others here do."""
    if not isinstance(value, dict):
        raise malformed(path, "an object")
    return value


def a_list(value: Any, path: str) -> list[Any]:
    """Give a list."""
    if not isinstance(value, list):
        raise malformed(path, "a list")
    return value


def a_text(value: Any, path: str) -> str:
    """Give a text, which may be empty."""
    if not isinstance(value, str):
        raise malformed(path, "a text")
    return value


def a_name(value: Any, path: str) -> str:
    """Give a text that isn't empty."""
    if not isinstance(value, str) or not value:
        raise malformed(path, "a text that isn't empty")
    return value


def a_flag(value: Any, path: str) -> bool:
    """Give true or false."""
    if not isinstance(value, bool):
        raise malformed(path, "true or false")
    return value


def a_number(value: Any, path: str) -> float:
    """Give a number, as it came."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise malformed(path, "a number")
    return value


def a_count(value: Any, path: str) -> int:
    """Give an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise malformed(path, "an integer of at least 1")
    return value


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and text.isidentifier() and text.isascii() and len(text) <= 64  # noqa: PLR2004 - enough
