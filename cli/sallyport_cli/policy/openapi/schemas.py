"""Schemas of a document as JSON Schema 2020-12, all that are referred to in one flat list of definitions.

OpenAPI 3.0 has a dialect of its own (`nullable`, boolean `exclusiveMinimum`, nothing beside a `$ref`). A field that is
`readOnly` isn't required of requests, one that is `writeOnly` isn't of answers, so what both use is compiled twice.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeGuard

from sallyport_cli.policy.openapi.document import Document
from sallyport_cli.policy.openapi.patterns import pattern_problem
from sallyport_cli.policy.yaml_reading import Path

REQUEST: Final = "request"
ANSWER: Final = "answer"
MAX_SCHEMA_DEPTH: Final = 48
MAX_ENUM: Final = 5000
_HIDDEN: Final = {REQUEST: "readOnly", ANSWER: "writeOnly"}
_ONE: Final = frozenset(
    {"additionalProperties", "items", "not", "if", "then", "else", "contains", "propertyNames"}
    | {"unevaluatedItems", "unevaluatedProperties"}
)
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPS: Final = frozenset({"properties", "patternProperties", "dependentSchemas"})
_PLAIN: Final = frozenset(
    {"type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength"}
    | {"minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains", "maxProperties"}
    | {"minProperties", "required", "dependentRequired", "format"}
)
_NUMBERS: Final = frozenset({"multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"})
_LONG: Final = re.compile(r"-?[1-9][0-9]{18,40}")
_NOT_TAKEN: Final = frozenset({"$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"})
_DIALECTS: Final = ("https://json-schema.org/draft/2020-12/schema", "https://spec.openapis.org/oas/3.1/dialect/")
_BOUNDS: Final = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}


class Schemas:
    """Compiles schemas one by one; `defs` grows with what they refer to."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.defs: dict[str, Any] = {}
        self.places: dict[str, Path] = {}
        self._names: dict[tuple[Path, str], str] = {}
        self._waiting: list[tuple[str, Any, Path, str]] = []

    def compile(self, schema: Any, path: Path, direction: str) -> Any:
        """Give a schema whose references are all to `defs`, and compile these. Raises `ValueError` with the place."""
        compiled = self._schema(schema, path, direction, 0)
        while self._waiting:
            name, target, target_path, one = self._waiting.pop()
            self.defs[name] = self._schema(target, target_path, one, 0)
        return compiled

    def _schema(self, schema: Any, path: Path, direction: str, depth: int) -> Any:
        if isinstance(schema, bool) and not self._document.is_3_0:
            return schema
        if depth > MAX_SCHEMA_DEPTH:
            self._document.fail(path, f"a schema is nested more than {MAX_SCHEMA_DEPTH} deep")
        fields = self._document.mapping(schema, path)
        if "$ref" in fields and self._document.is_3_0:
            fields = {"$ref": fields["$ref"]}
        self._check_taken(fields, path)
        compiled: dict[str, Any] = {}
        for keyword, value in fields.items():
            self._keyword(compiled, keyword, value, (*path, keyword), direction, depth + 1)
        if self._document.is_3_0:
            _modernise(compiled, nullable=fields.get("nullable") is True)
        self._take_hidden(compiled, fields, path, direction)
        return compiled

    def _check_taken(self, fields: dict[str, Any], path: Path) -> None:
        for keyword in _NOT_TAKEN & fields.keys():
            self._document.fail((*path, keyword), f"{keyword} isn't taken; refer by a JSON pointer in a $ref")
        dialect = fields.get("$schema", _DIALECTS[0])
        if not isinstance(dialect, str) or not dialect.startswith(_DIALECTS):
            self._document.fail((*path, "$schema"), "the only dialect that is taken is JSON Schema 2020-12")

    def _keyword(
        self, compiled: dict[str, Any], keyword: str, value: Any, path: Path, direction: str, depth: int
    ) -> None:
        """Compile one keyword; what only describes is left out."""
        document = self._document
        if keyword == "$ref":
            compiled["$ref"] = self._reference(value, path, direction)
        elif keyword in _ONE:
            if isinstance(value, bool):
                compiled[keyword] = value
            else:
                compiled[keyword] = self._schema(value, path, direction, depth)
        elif keyword in _LISTS:
            parts = document.sequence(value, path)
            compiled[keyword] = [self._schema(one, (*path, i), direction, depth) for i, one in enumerate(parts)]
        elif keyword in _MAPS:
            named = document.mapping(value, path)
            if keyword == "patternProperties":
                for pattern in named:
                    self._check_pattern(pattern, (*path, pattern))
            compiled[keyword] = {k: self._schema(one, (*path, k), direction, depth) for k, one in named.items()}
        elif keyword in _PLAIN:
            self._check_plain(keyword, value, path)
            compiled[keyword] = _number(value) if keyword in _NUMBERS else value

    def _check_plain(self, keyword: str, value: Any, path: Path) -> None:
        if keyword == "pattern":
            self._check_pattern(value, path)
        if keyword == "enum" and len(self._document.sequence(value, path)) > MAX_ENUM:
            self._document.fail(path, f"has more than {MAX_ENUM} values")

    def _check_pattern(self, pattern: object, path: Path) -> None:
        problem = pattern_problem(pattern)
        if problem is not None:
            self._document.fail(path, problem)

    def _reference(self, reference: Any, path: Path, direction: str) -> str:
        target_path, target = self._document.resolve(reference, path)
        if _is_other(target_path):
            self._document.fail(path, "$ref names what isn't a schema")
        key = (target_path, direction)
        if key not in self._names:
            name = self._names[key] = f"{direction[0]}{len(self._names)}"
            self.places[name] = target_path
            self._waiting.append((name, target, target_path, direction))
        return f"#/$defs/{self._names[key]}"

    def _take_hidden(self, compiled: dict[str, Any], fields: dict[str, Any], path: Path, direction: str) -> None:
        """Don't require what isn't there in this direction, nor anything twice, which JSON Schema doesn't take."""
        required, properties = compiled.get("required"), fields.get("properties", {})
        if not _are_names(required) or not isinstance(properties, dict):
            return
        left = [name for name in dict.fromkeys(required) if not self._is_hidden(properties.get(name), path, direction)]
        compiled["required"] = left
        if not left:
            del compiled["required"]

    def _is_hidden(self, schema: Any, path: Path, direction: str) -> bool:
        word = _HIDDEN[direction]
        if not isinstance(schema, dict):
            return False
        if schema.get(word) is True and not (self._document.is_3_0 and "$ref" in schema):
            return True
        target = self._document.follow(schema, path)[1] if "$ref" in schema else schema
        return isinstance(target, dict) and target.get(word) is True


def _is_other(path: Path) -> bool:
    """Say whether what stands at a path is certainly no schema: taken for one, it would let every value pass."""
    is_component = path[:1] == ("components",) and path[1:2] != ("schemas",)
    return not path or (len(path) <= 3 and (path[0] == "paths" or is_component))  # noqa: PLR2004


def _are_names(value: Any) -> TypeGuard[list[str]]:
    """Say whether a value is what `required` must be; the engine refuses what isn't."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _number(value: Any) -> Any:
    """Give a bound; the reader of YAML leaves an integer that is as long as the largest of 64 bits a text."""
    return int(value) if isinstance(value, str) and _LONG.fullmatch(value) else value


def _modernise(compiled: dict[str, Any], *, nullable: bool) -> None:
    """Turn what OpenAPI 3.0 says otherwise ("Schema Object") into 2020-12."""
    for exclusive, bound in _BOUNDS.items():
        if isinstance(compiled.get(exclusive), bool):
            is_exclusive = compiled.pop(exclusive)
            if is_exclusive and bound in compiled:
                compiled[exclusive] = compiled.pop(bound)
    if nullable and isinstance(compiled.get("type"), str):
        compiled["type"] = [compiled["type"], "null"]
