"""Patterns of a document: only such that the functions' own engine matches in linear time."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from typing import Final

import jsonschema_rs

from sallyport.verification.openapi.schema_check import PATTERN_BYTES, make_validator

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


@lru_cache(maxsize=10_000)
def pattern_weight(pattern: str) -> int:
    """Give how many KiB a pattern takes when compiled, which is how long one character may take it at worst.

    Up to one it is 0: such a one keeps the engine's fast way, whatever the text.
    """
    weights = range(PATTERN_BYTES // 1024)
    return bisect_left(weights, True, key=lambda weight: _fits(pattern, (weight + 1) * 1024))


def _fits(pattern: str, size: int) -> bool:
    try:
        jsonschema_rs.Draft202012Validator(
            {"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions(size_limit=size)
        )
    except ValueError:
        return False
    return True
