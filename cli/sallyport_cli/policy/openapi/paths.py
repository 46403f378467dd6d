"""Path templates as segments, the way the functions compare them (`sallyport.verification.openapi.path_index`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from sallyport.gateway.app_paths import MAX_PATH_CHARS

_PARAMETER: Final = re.compile(r"\{([^{}/]+)\}")
_BRACES: Final = re.compile(r"[{}]")


def segments(template: str) -> list[str | list[str]]:
    """Give a template's segments: a literal's decoded text, or what stands before a parameter, its name, what after.

    Raises `ValueError`.
    """
    if not template.startswith("/"):
        raise ValueError("a path begins with a slash")
    if len(template) > MAX_PATH_CHARS:
        raise ValueError(f"a path has at most {MAX_PATH_CHARS} characters")
    found = [_segment(one) for one in template[1:].split("/")]
    names = list(parameter_names(found))
    if len(set(names)) != len(names):
        raise ValueError("a parameter is there twice")
    if "" in found[:-1] or any(one in {".", ".."} for one in found if isinstance(one, str)):
        raise ValueError("no request has such a path: the gateway refuses empty and dot segments")
    return found


def parameter_names(found: list[str | list[str]]) -> Iterator[str]:
    """Give the names of a template's parameters."""
    return (one[1] for one in found if isinstance(one, list))


def same_place(found: list[str | list[str]]) -> tuple[Any, ...]:
    """Give what two templates have in common that only name their parameters differently."""
    return tuple(one if isinstance(one, str) else (one[0], one[2]) for one in found)


def _segment(text: str) -> str | list[str]:
    parameters = _PARAMETER.findall(text)
    rest = _PARAMETER.sub("", text)
    if _BRACES.search(rest) or set(rest) & set("?#;"):
        raise ValueError("has a brace that is no parameter's, or a question mark, hash or semicolon")
    if len(parameters) > 1:
        raise ValueError("two parameters in one segment can be read in two ways, and aren't taken")
    if not parameters:
        return _decoded(text)
    before, after = _PARAMETER.split(text)[::2]
    return [_decoded(before), parameters[0], _decoded(after)]


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("isn't UTF-8") from None
    if "/" in decoded:
        raise ValueError("no request has such a path: the gateway refuses encoded slashes")
    return decoded
