"""The kinds of values in the section on verification, each with its check and its form in the JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

from sallyport.policy.compiled_canaries import MAX_PARAMETERS_BYTES, PARAMETER_NAME
from sallyport.policy.compiled_verification import (
    FAILURES,
    FINDING_NAME,
    FORBIDDEN_CHARACTERS,
    MAX_MATCH_CHARS,
    MAX_NAMES,
    MAX_PATTERN_CHARS,
    MAX_PATTERNS,
    MAX_WORDS,
    MIN_WORD_CHARS,
    NEVER_FORBIDDEN,
    NEVER_FORCED,
    PROMPT_ACTIONS,
    REQUEST_ROUTES,
    ROLES,
    RULE_NAME,
)
from sallyport.policy.limit_rules import ROUTES
from sallyport.policy.verification_rules import ACTIONS, DIRECTIONS, MODES, OFF, UNKNOWN_FIELDS
from sallyport.verification.patterns import compile_pattern
from sallyport.verification.schema import compile_schema, read_built_in
from sallyport.verification.strip import MAX_PATH_LENGTH, StripPaths
from sallyport_cli.policy.canary_types import json_text
from sallyport_cli.policy.field_types import TenantName, matching
from sallyport_cli.policy.upstream_types import AppName, list_of, one_of

MAX_SCHEMA_BYTES: Final = 100_000
"""Of a JSON Schema, as it is stored."""

_APP: Final = "^[a-z0-9][a-z0-9_-]{0,63}$"
_TENANT: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_BESIDE: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\.(json|yaml|yml)$"


def is_file(schema: str) -> bool:
    """Say whether a schema is the name of a file; else it is the schema itself, as JSON."""
    return not schema.startswith("{")


def check_schema(schema: Any) -> Mapping[str, Any]:
    """Give a JSON Schema that functions can hold bodies to, compiled by their own code. Raises `ValueError`."""
    if not isinstance(schema, dict):
        raise ValueError("must be a JSON Schema: a mapping of its keywords")  # noqa: TRY004 - pydantic and its callers want it
    size = len(json.dumps(schema, separators=(",", ":")))
    if size > MAX_SCHEMA_BYTES:
        raise ValueError(f"has {size:,} bytes of JSON; at most {MAX_SCHEMA_BYTES:,}")
    compile_schema(schema)
    return schema


def known_detectors() -> tuple[str, ...]:
    """Give the names of the leak guard's detectors."""
    from sallyport.verification.leaks.detectors import DETECTORS  # noqa: PLC0415 - compiles them all

    return tuple(DETECTORS)


@cache
def api_fields(route: str) -> dict[str, Any]:
    """Give the fields that a route's API has, each with its schema."""
    fields: dict[str, Any] = read_built_in(route)["properties"]
    return fields


def _schema(value: object) -> str:
    """Give a schema as JSON text, or the name of its file."""
    if isinstance(value, str):
        return _beside(value)
    if not isinstance(value, dict):
        raise ValueError("must be a JSON Schema, or the name of a file with one")  # noqa: TRY004 - pydantic takes no other
    text = json_text(value)
    check_schema(value)
    return text


def _beside(text: str) -> str:
    if re.fullmatch(_BESIDE, text) is None or ".." in text:
        raise ValueError("must be a .json or .yaml file beside the document or below, such as schemas/chat.json")
    return text


def _detector(text: str) -> str:
    known = known_detectors()
    if text not in known:
        close = get_close_matches(text, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
        raise ValueError(f"{text[:40]!r} is no detector; {hint}")
    return text


def _pattern(text: str) -> str:
    compile_pattern(text, max_length=MAX_PATTERN_CHARS)
    return text


def _word(text: str) -> str:
    if not MIN_WORD_CHARS <= len(text) <= MAX_MATCH_CHARS or text != text.strip():
        raise ValueError(f"must be {MIN_WORD_CHARS} to {MAX_MATCH_CHARS} characters without spaces around them")
    return text


def _strip_path(text: str) -> str:
    StripPaths([text])
    return text


_is_parameter = matching(PARAMETER_NAME, "a field's name is 1 to 64 lower-case letters, digits and underscores")


def _forced(name: str) -> str:
    if name in NEVER_FORCED:
        raise ValueError(f"{name} can't be forced; that is for the caller, or for the gateway")
    return _is_parameter(name)


def _forbidden(name: str) -> str:
    if name in NEVER_FORBIDDEN:
        raise ValueError(f"{name} can't be forbidden; without it there are no requests")
    return _is_parameter(name)


def _small(values: Mapping[str, str]) -> Mapping[str, str]:
    size = len(json.dumps({name: json.loads(text) for name, text in values.items()}))
    if size > MAX_PARAMETERS_BYTES:
        raise ValueError(f"has {size:,} bytes of JSON; at most {MAX_PARAMETERS_BYTES:,}")
    return values


def _off(value: object) -> object:
    """Take `off`, which YAML 1.1 and what wrote a JSON file may give as false."""
    return OFF if value is False else value


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern}


def _enum(known: tuple[str, ...], what: str) -> Any:
    return Annotated[str, AfterValidator(one_of(known, what)), WithJsonSchema({"enum": list(known)})]


def _several(known: tuple[str, ...], what: str, least: int = 0) -> Any:
    item = Annotated[str, AfterValidator(one_of(known, what))]
    return list_of(item, {"enum": list(known)}, len(known), least)


def _texts(check: Callable[[str], str], schema: dict[str, Any], most: int) -> Any:
    return list_of(Annotated[str, AfterValidator(check)], schema, most)


RuleName = Annotated[
    str,
    AfterValidator(matching(RULE_NAME, "a rule is 1 to 40 lower-case letters, digits, dashes and underscores")),
    WithJsonSchema(_text(f"^{RULE_NAME}$")),
]
FindingName = Annotated[
    str,
    AfterValidator(matching(FINDING_NAME, "a pattern's name is 1 to 40 lower-case letters, digits and underscores")),
    WithJsonSchema(_text(f"^{FINDING_NAME}$")),
]
Mode = Annotated[
    str,
    BeforeValidator(_off),
    AfterValidator(one_of(MODES, "mode of verification")),
    WithJsonSchema({"enum": [*MODES, False]}),
]
UnknownFields = _enum(UNKNOWN_FIELDS, "way with unknown fields")
LeakAction = _enum(ACTIONS, "action")
PromptAction = _enum(PROMPT_ACTIONS, "action of a prompt's rule")
OnFailure = _enum(FAILURES, "way with failures")
RequestRoute = _enum(REQUEST_ROUTES, "route of a provider")
RequestRoutes = _several(REQUEST_ROUTES, "route of a provider", 1)
Routes = _several(ROUTES, "route", 1)
Directions = _several(DIRECTIONS, "direction", 1)
Roles = _several(ROLES, "role", 1)
Characters = _several(FORBIDDEN_CHARACTERS, "kind of characters")
Apps = list_of(AppName, _text(_APP), MAX_NAMES, 1)
Tenants = list_of(TenantName, _text(_TENANT), MAX_NAMES, 1)
Detectors = _texts(_detector, _text(f"^{FINDING_NAME}$"), MAX_NAMES)
PatternText = Annotated[
    str,
    AfterValidator(_pattern),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_PATTERN_CHARS}),
]
PatternTexts = _texts(_pattern, {"type": "string", "minLength": 1, "maxLength": MAX_PATTERN_CHARS}, MAX_PATTERNS)
Words = _texts(_word, {"type": "string", "minLength": MIN_WORD_CHARS, "maxLength": MAX_MATCH_CHARS}, MAX_WORDS)
StripTexts = _texts(_strip_path, {"type": "string", "minLength": 1, "maxLength": MAX_PATH_LENGTH}, MAX_NAMES)
Forbidden = _texts(_forbidden, _text(f"^{PARAMETER_NAME}$"), MAX_NAMES)
ForcedName = Annotated[str, AfterValidator(_forced), WithJsonSchema(_text(f"^{PARAMETER_NAME}$"))]
Forced = Annotated[
    dict[ForcedName, Annotated[str, PlainValidator(json_text), WithJsonSchema({})]],
    Field(max_length=MAX_NAMES),
    AfterValidator(_small),
]
OwnSchema = Annotated[str, PlainValidator(_schema), WithJsonSchema({"anyOf": [{"type": "object"}, _text(_BESIDE)]})]
BesideName = Annotated[str, AfterValidator(_beside), WithJsonSchema(_text(_BESIDE))]
