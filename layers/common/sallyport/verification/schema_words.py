"""What a schema wants of a value, in the schema's own words and never in the value's."""

import json
from typing import Any

_UNKNOWN = "isn't as the API defines it"
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
_MAX_CHARS = 200
"""Of a schema's own words in a refusal, such as the values that an operator permits."""


def reason(keyword: str, wanted: Any) -> str:
    """Say what a keyword of a schema, such as `enum`, wants; an unknown one wants what can't be said in short."""
    return _REASONS.get(keyword, _UNKNOWN).format(_words(wanted))


def _words(wanted: Any) -> str:
    words = ", ".join(_word(item) for item in (wanted if isinstance(wanted, list) else [wanted]))
    return words if len(words) <= _MAX_CHARS else f"{words[:_MAX_CHARS]}..."


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
