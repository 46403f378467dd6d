"""What is told of a fault: the field as a client writes it, and the reason, made of the schema's own words."""

from collections.abc import Iterable
from typing import Any

from sallyport.verification.openapi.schema_check import Fault, Unlisted
from sallyport.verification.strict_json import MAX_SHOWN_CHARS

_REASONS = {
    "required": "is required",
    "type": "must be of type {}",
    "enum": "must be one of {}",
    "const": "must be {}",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minItems": "must have at least {} item(s)",
    "maxItems": "must have at most {} item(s)",
    "uniqueItems": "must not have the same item twice",
    "minLength": "must have at least {} character(s)",
    "maxLength": "must have at most {} character(s)",
    "minProperties": "must have at least {} field(s)",
    "maxProperties": "must have at most {} field(s)",
    "pattern": "doesn't match its pattern",
    "format": "must be of the format {}",
    "anyOf": "matches none of the forms that the API defines",
    "oneOf": "matches none, or more than one, of the forms that the API defines",
    "false": "isn't taken by the API",
}
_MAX_WORDS_CHARS = 300


def reason(fault: Fault) -> str:
    """Say what the schema wants."""
    words = _words(fault.wanted)
    words = words if len(words) <= _MAX_WORDS_CHARS else f"{words[:_MAX_WORDS_CHARS]} ..."
    return _REASONS.get(fault.keyword, "isn't as the API defines it").format(words)


def field(path: Iterable[str | int]) -> str:
    """Give a field's place, with names of the sender's own; for the sender alone."""
    return _joined(step[:MAX_SHOWN_CHARS] if isinstance(step, str) else step for step in path)


def logged_field(path: Iterable[str | int]) -> str:
    """Give a field's place with names of the schema alone: others may be data, such as a person's address."""
    return _joined("*" if isinstance(step, Unlisted) else step for step in path)


def _joined(path: Iterable[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _words(wanted: Any) -> str:
    return ", ".join(str(item) for item in wanted) if isinstance(wanted, list) else str(wanted)
