"""Patterns of a document: only such that the functions' own engine matches in linear time."""

from __future__ import annotations

from typing import Final

from sallyport.verification.openapi.schema_check import make_validator

MAX_PATTERN_CHARS: Final = 1000
_LOOKING: Final = ("(?=", "(?!", "(?<=", "(?<!")


def pattern_problem(pattern: object) -> str | None:
    """Say why a pattern isn't taken, or give None."""
    if not isinstance(pattern, str):
        return "a pattern is text"
    if len(pattern) > MAX_PATTERN_CHARS:
        return f"a pattern has at most {MAX_PATTERN_CHARS} characters"
    try:
        make_validator({"pattern": pattern})
    except ValueError:
        if any(look in pattern for look in _LOOKING):
            return "the pattern looks ahead or behind, which can't be matched in linear time"
        return "the pattern isn't a regular expression, refers back to a group, or repeats too much to be matched fast"
    return None
