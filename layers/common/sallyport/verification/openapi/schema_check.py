"""A value held to one schema of a document, and where it fails, found without making a list of errors.

jsonschema-rs' `validate` makes an error of every branch of every `oneOf`, each with a copy of the value: of a recursive
schema that is 2**depth of them, a minute for a body of a hundred bytes. Its `is_valid` remembers what it has seen, so
it alone is asked here, of the whole and then of the parts on the way down to the fault.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import jsonschema_rs

type Schema = Mapping[str, Any] | bool

PATTERN_BYTES = 1 << 17
PATTERN_OPTIONS = jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=1 << 20)
"""The engine that takes linear time; both limits are in bytes, of one pattern."""

MAX_STEPS = 512
"""On the way down to a fault."""

MAX_EFFORT = 20_000_000
"""Looks at places of one value, which take 0.2 to 0.4 microseconds each."""

_OF_EQUALS = 4
_LONG = 1 << 63

_MAX_PARTS = 1024
_DEFS = "#/$defs/"
_OF_PARTS = frozenset(
    {"$ref", "allOf", "properties", "patternProperties", "additionalProperties", "items", "prefixItems"}
)
_WITH = {"contains": ("minContains", "maxContains"), "if": ("then", "else")}
_NOT_ALONE = frozenset(
    {"$defs", "then", "else", "minContains", "maxContains", "unevaluatedProperties", "unevaluatedItems"}
)
"""They mean something beside other keywords only."""


class Unlisted(str):
    """A field's name that isn't in the schema, so that it may be data."""

    __slots__ = ()


class Fault(NamedTuple):
    """The first thing wrong with a value: where, by which keyword, and what that wanted."""

    path: tuple[str | int, ...]
    keyword: str
    wanted: Any


class Cost(NamedTuple):
    """What a schema may cost: looks at one value, looks' worth of patterns for one character, and `uniqueItems`."""

    looks: int = 1
    weight: int = 0
    is_unique: int = 0

    def effort(self, value: Any, chars: int) -> int:
        """Give at most how many looks a value may take that was read from so many characters.

        Integers beyond 64 bits all have one hash to the engine, so `uniqueItems` compares each to each.
        """
        values, long = _counted(value)
        return self.looks * values + self.weight * chars + self.is_unique * _OF_EQUALS * long * long


class SchemaCheck:
    """One schema of a document; `defs` are what its references name. Validators are made when they are first asked."""

    def __init__(self, schema: Schema, defs: Mapping[str, Any]) -> None:
        self._schema = schema
        self._defs = defs
        self._validator: Any = None
        self._parts: dict[tuple[int, str], tuple[Schema, Any]] = {}

    def fault(self, value: Any, effort: int = 1) -> Fault | None:
        """Give the first fault of a value, None if it has none. The greater the `effort`, the less it is looked for."""
        if self._validator is None:
            self._validator = self._make(self._schema)
        return None if self._validator.is_valid(value) else self._locate(value, min(MAX_STEPS, MAX_EFFORT // effort))

    def _locate(self, value: Any, steps: int) -> Fault:
        """Go down from part to part, each of them at fault, as far as they go."""
        path: tuple[str | int, ...] = ()
        schema = self._schema
        for _ in range(steps):
            fault = self._own_fault(schema, value)
            if fault is not None:
                return fault._replace(path=(*path, *fault.path))
            below = next((one for one in self._parts_of(schema, value) if not self._is_valid(one[0], one[1])), None)
            if below is None:
                return Fault(path, "", None)
            schema, value = below[:2]
            path += below[2]
        return Fault(path, "", None)

    def _own_fault(self, schema: Schema, value: Any) -> Fault | None:
        """Look at the keywords that speak of the value itself."""
        if isinstance(schema, bool):
            return Fault((), "false", None)
        for keyword, wanted in schema.items():
            if keyword not in _OF_PARTS and keyword not in _NOT_ALONE and not self._holds(schema, keyword, value):
                return Fault(_missing(keyword, wanted, value), keyword, wanted)
        return None

    def _parts_of(self, schema: Schema, value: Any) -> Iterator[tuple[Schema, Any, tuple[str | int, ...]]]:
        """Give schemas that must hold too, each with what it is about and how that is got at."""
        if isinstance(schema, bool):
            return
        if "$ref" in schema:
            yield self._defs[schema["$ref"].removeprefix(_DEFS)], value, ()
        for part in schema.get("allOf", ()):
            yield part, value, ()
        if isinstance(value, dict):
            yield from _fields(schema, value)
        elif isinstance(value, list):
            yield from _items(schema, value)

    def _is_valid(self, part: Schema, value: Any) -> bool:
        return part if isinstance(part, bool) else self._holds(part, "", value)

    def _holds(self, schema: Mapping[str, Any], keyword: str, value: Any) -> bool:
        """Say whether a value is what one keyword of a schema wants, "" for all of them."""
        kept = self._parts.get((id(schema), keyword))
        if kept is None:
            if len(self._parts) >= _MAX_PARTS:
                self._parts.clear()
            names = (keyword, *_WITH.get(keyword, ())) if keyword else tuple(schema)
            validator = self._make({name: schema[name] for name in names if name in schema})
            kept = self._parts[id(schema), keyword] = (schema, validator)
        return bool(kept[1].is_valid(value))

    def _make(self, schema: Schema) -> Any:
        return make_validator(
            schema if isinstance(schema, bool) else {**schema, "$defs": reachable(schema, self._defs)}
        )


def _counted(value: Any) -> tuple[int, int]:
    """Give how many values and names there are, and how many of them are integers beyond 64 bits."""
    count, long, waiting = 1, 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            count += 2 * len(one)
            waiting.extend(one.values())
        elif isinstance(one, list):
            count += len(one)
            waiting.extend(one)
        elif isinstance(one, int):
            long += not -_LONG < one < _LONG
    return count, long


def make_validator(schema: Schema) -> Any:
    """Compile a schema. Raises `ValueError` for one that isn't valid, or has a pattern that is too large."""
    return jsonschema_rs.Draft202012Validator(
        schema if isinstance(schema, bool) else dict(schema),
        validate_formats=True,
        retriever=_refuse_reference,
        pattern_options=PATTERN_OPTIONS,
    )


def reachable(schema: Schema, defs: Mapping[str, Any]) -> dict[str, Any]:
    """Give those of `defs` that a schema refers to, or that these refer to."""
    found: dict[str, Any] = {}
    waiting: list[Any] = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, Mapping):
            name = value.get("$ref")
            name = name.removeprefix(_DEFS) if isinstance(name, str) else ""
            if name in defs and name not in found:
                found[name] = defs[name]
                waiting.append(defs[name])
            waiting.extend(value.values())
    return found


def _fields(schema: Mapping[str, Any], value: Mapping[str, Any]) -> Iterator[tuple[Schema, Any, tuple[str | int, ...]]]:
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, part in properties.items():
        if name in value:
            yield part, value[name], (name,)
    rest = schema.get("additionalProperties", True)
    if not patterns and rest is True:
        return
    for name, one in value.items():
        held = [part for pattern, part in patterns.items() if _matches(pattern, name)]
        for part in held if held or name in properties else [rest]:
            yield part, one, (Unlisted(name),)


def _items(schema: Mapping[str, Any], value: Sequence[Any]) -> Iterator[tuple[Schema, Any, tuple[str | int, ...]]]:
    first = schema.get("prefixItems", [])
    for index, (part, one) in enumerate(zip(first, value, strict=False)):
        yield part, one, (index,)
    rest = schema.get("items", True)
    if rest is not True:
        for index in range(len(first), len(value)):
            yield rest, value[index], (index,)


def _matches(pattern: str, name: str) -> bool:
    """Ask the engine that has judged the whole: no other one means the same by every pattern."""
    return bool(_matcher(pattern).is_valid(name))


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Any:
    return make_validator({"pattern": pattern})


def _missing(keyword: str, wanted: Any, value: Any) -> tuple[str | int, ...]:
    """Give the first field that is required and not there."""
    return tuple(name for name in wanted if name not in value)[:1] if keyword == "required" else ()


def _refuse_reference(_: str) -> NoReturn:
    raise ValueError("a schema may not refer to another document")
