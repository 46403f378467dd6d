"""The document's JSON Schema, for editors: completion, descriptions, and mistakes shown while writing."""

from __future__ import annotations

import functools
from typing import Any, Final

from sallyport_cli.policy.model import Policy

SCHEMA_ID: Final = "urn:sallyport:policy:1"


@functools.cache
def policy_schema() -> dict[str, Any]:
    """Give the schema (draft 2020-12). What it takes may still be refused when it is checked, never the reverse."""
    schema = _without_null(Policy.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "Sallyport policy document",
    }


def _without_null(schema: Any) -> Any:
    """Take null out: a field may be left out, but one that is there has a value."""
    if isinstance(schema, list):
        return [_without_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = _with_named_properties(schema)
    cleaned = {key: _without_null(value) for key, value in schema.items() if not (key == "default" and value is None)}
    variants = [variant for variant in cleaned.get("anyOf", []) if variant != {"type": "null"}]
    if len(variants) == 1:
        del cleaned["anyOf"]
        return variants[0] | cleaned
    return cleaned | ({"anyOf": variants} if variants else {})


def _with_named_properties(schema: dict[str, Any]) -> dict[str, Any]:
    """Refuse names that break the pattern; pydantic's `patternProperties` would leave them unchecked."""
    if "patternProperties" not in schema:
        return schema
    [(pattern, below)] = schema["patternProperties"].items()
    rest = {key: value for key, value in schema.items() if key != "patternProperties"}
    return {**rest, "propertyNames": {"pattern": pattern}, "additionalProperties": below}
