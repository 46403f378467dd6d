"""A body held to its route's JSON Schema (draft 2020-12); a violation is told by field and keyword, never by value."""

import json
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NoReturn

import jsonschema_rs

from sallyport.errors import SchemaViolationError
from sallyport.verification.schema_cost import MAX_CHECKS, cost_of
from sallyport.verification.schema_words import reason
from sallyport.verification.strict_json import MAX_SHOWN_CHARS
from sallyport.verification.unknown_fields import KnownFields

_SCHEMAS = os.path.join(os.path.dirname(__file__), "schemas")

_LATEST_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DRAFTS = {
    _LATEST_DRAFT: jsonschema_rs.Draft202012Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
}
_MAX_PATTERN_BYTES = 1_048_576
_MAX_REASON_CHARS = 300


class RequestSchema:
    """A compiled schema; make it once per process.

    `is_built_in`: a test holds what it costs; to find that anew takes as long as to compile it, 4 ms of a cold start.
    """

    def __init__(self, document: dict[str, Any], *, is_built_in: bool = False) -> None:
        self._document = document
        self._is_built_in = is_built_in
        self._validator = _validator(document) if is_built_in else compile_schema(document)

    @classmethod
    def built_in(cls, name: str) -> "RequestSchema":
        """Load the schema that ships for a route, such as `chat_completions`."""
        return cls(read_built_in(name), is_built_in=True)

    @cached_property
    def known_fields(self) -> KnownFields:
        """Give what is known of a body's fields; for built-in schemas alone."""
        return KnownFields(self._document)

    def check(self, body: Any) -> None:
        """Raise `SchemaViolationError` that names the first field at fault, if any is.

        The validator's error holds a copy of the value at fault, so the root is looked at here, and no list of all
        errors is ever made: a body of a few hundred kilobytes would make gigabytes of them.
        """
        if self._validator.is_valid(body):
            return
        self._check_root(body)
        if not self._explainable:
            raise _violation([], "", None, body)
        try:
            self._validator.validate(body)
        except jsonschema_rs.ValidationError as error:
            keyword = str(error.schema_path[-1]) if error.schema_path else ""
            raise _violation(error.instance_path, keyword, self._keyword_value(error.schema_path), body) from None

    @cached_property
    def _explainable(self) -> bool:
        """`is_valid` remembers what it has seen of a recursive schema; `validate` may take hours over the same body."""
        return self._is_built_in or cost_of(self._document).explainable

    def _check_root(self, body: Any) -> None:
        if self._document.get("type") == "object" and not isinstance(body, dict):
            raise _violation([], "type", "object", body)
        required = self._document.get("required", [])
        if isinstance(body, dict) and any(name not in body for name in required):
            raise _violation([], "required", required, body)

    def _keyword_value(self, path: Sequence[str | int]) -> Any:
        """Give what the schema says there; None in a part with an `$id` of its own, whose paths begin anew."""
        value: Any = self._document
        try:
            for step in path:
                value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
        return value


def compile_schema(document: Any) -> jsonschema_rs.Validator:
    """Compile a schema of draft 2020-12 or, if its `$schema` says so, of draft 7; formats count, which both leave open.

    Raises `ValueError` for a schema that is none, for another draft, for a reference to another document, for
    references that multiply, and for a pattern that can't be matched in linear time or is too large.
    """
    validator = _validator(document)
    if cost_of(document).checks > MAX_CHECKS:
        raise ValueError(f"with its references followed, the schema has more than {MAX_CHECKS} checks")
    return validator


def _validator(document: Any) -> jsonschema_rs.Validator:
    named = document.get("$schema", _LATEST_DRAFT) if isinstance(document, dict) else _LATEST_DRAFT
    make = _DRAFTS.get(named.removesuffix("#")) if isinstance(named, str) else None
    if make is None:
        raise ValueError("$schema must be that of draft 2020-12 or of draft 7")
    patterns = jsonschema_rs.RegexOptions(size_limit=_MAX_PATTERN_BYTES, dfa_size_limit=_MAX_PATTERN_BYTES)
    try:
        return make(document, retriever=_refuse_reference, validate_formats=True, pattern_options=patterns)
    except jsonschema_rs.ValidationError as error:
        place = "/".join(str(step) for step in error.instance_path)
        raise ValueError(f"the schema is not valid at /{place}: {error.message}"[:_MAX_REASON_CHARS]) from None


def read_built_in(name: str) -> dict[str, Any]:
    """Give the schema document that ships for a route.

    One may be written as another one's: `x-fields` of `x-like` are its own, beside its `properties`.
    """
    with open(os.path.join(_SCHEMAS, f"{name}.json"), "rb") as file:
        document: dict[str, Any] = json.load(file)
    if "x-like" not in document:
        return document
    like, fields = read_built_in(document.pop("x-like")), document.pop("x-fields")
    fields_of_both = {field: like["properties"][field] for field in fields} | document["properties"]
    return {**document, "properties": fields_of_both, "$defs": like["$defs"]}


def _violation(path: Sequence[str | int], keyword: str, wanted: Any, body: Any) -> SchemaViolationError:
    field, reason = _explain(path, keyword, wanted, body)
    return SchemaViolationError(f"Invalid request: {field or 'the body'} {reason}.", param=field or None)


def _explain(path: Sequence[str | int], keyword: str, wanted: Any, body: Any) -> tuple[str, str]:
    """Give the field and the reason, made of the schema's own words."""
    field = _field(path)
    if keyword == "required" and isinstance(wanted, list):
        return _field([*path, _missing(path, wanted, body)]), "is required"
    return field, reason("" if wanted is None else keyword, wanted)


def _missing(path: Sequence[str | int], wanted: Sequence[str], body: Any) -> str:
    for step in path:
        body = body[step]
    return next(name for name in wanted if name not in body)


def _field(path: Sequence[str | int]) -> str:
    """Write a path; names of the client's own are cut, for one can be as long as a body."""
    field = ""
    for step in path:
        name = step if isinstance(step, int) else step[:MAX_SHOWN_CHARS]
        field += f"[{name}]" if isinstance(step, int) else f".{name}" if field else str(name)
    return field


def _refuse_reference(_: str) -> NoReturn:
    raise ValueError("a schema may not refer to another document")
