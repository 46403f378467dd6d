"""How often one place of a value may be looked at under a schema, so that none is taken that doubles and doubles again.

Parts that speak of the same value add up; of fields beside one another the worst counts. The engine takes every way to
a place anew, and remembers its findings only where a recursive reference comes round to where it began: so each
definition is followed until it comes round. (Ten that refer twice to the next: a million looks, whatever the value.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

MAX_LOOKS: Final = 1000
_MOST: Final = 1_000_000
_DEFS: Final = "#/$defs/"
_SAME: Final = ("allOf", "anyOf", "oneOf")
_SAME_ONE: Final = ("not", "if", "then", "else")
_BELOW_ONE: Final = ("additionalProperties", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties")


class TooManyError(Exception):
    """References lead to one another in too long a row."""


class Looks(NamedTuple):
    """How often the value itself may be looked at, and at most any one part of it."""

    itself: int
    below: int

    @property
    def most(self) -> int:
        """Give the larger."""
        return max(self)


_ONE_LOOK: Final = Looks(1, 0)


class SchemaCosts:
    """The costs of definitions, each reckoned once."""

    def __init__(self, defs: Mapping[str, Any]) -> None:
        self._defs = defs
        self._known: dict[str, Looks] = {}

    def definition(self, name: str) -> int:
        """Give how often one place may be looked at under a definition. Raises `TooManyError`."""
        try:
            return self._definition(name).most
        except RecursionError:
            raise TooManyError from None

    def of(self, schema: Any) -> int:
        """Give how often one place may be looked at under a schema. Raises `TooManyError`."""
        try:
            return self._of(schema).most
        except RecursionError:
            raise TooManyError from None

    def _definition(self, name: str) -> Looks:
        if name not in self._known:
            self._known[name] = _ONE_LOOK  # for who comes round to it
            looks = self._of(self._defs[name])
            self._known[name] = Looks(min(looks.itself, _MOST), min(looks.below, _MOST))
        return self._known[name]

    def _of(self, schema: Any) -> Looks:
        if not isinstance(schema, dict):
            return _ONE_LOOK
        same = [self._of(part) for part in _same(schema)]
        if "$ref" in schema:
            same.append(self._definition(schema["$ref"].removeprefix(_DEFS)))
        itself = 1 + sum(one.itself for one in same) + _enum_looks(schema.get("enum", ()))
        return Looks(itself, self._below(schema) + sum(one.below for one in same))

    def _below(self, schema: Mapping[str, Any]) -> int:
        fields = self._worst(schema.get("properties", {}).values())
        patterns = self._total(schema.get("patternProperties", {}).values())
        items = self._worst([*schema.get("prefixItems", ()), schema.get("items")])
        return max(fields + patterns, items) + self._total(schema[one] for one in _BELOW_ONE if one in schema)

    def _worst(self, parts: Iterable[Any]) -> int:
        return max((self._of(part).most for part in parts if isinstance(part, dict)), default=0)

    def _total(self, parts: Iterable[Any]) -> int:
        return sum(self._of(part).most for part in parts)


def _enum_looks(values: Sequence[Any]) -> int:
    """The engine finds a text among texts at once; else it compares one by one, some thirty in the time of a look."""
    return 0 if all(isinstance(value, str) for value in values) else len(values) // 32


def _same(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Give the parts of a schema that speak of the same value."""
    for keyword in _SAME:
        yield from schema.get(keyword, ())
    for keyword in _SAME_ONE:
        if keyword in schema:
            yield schema[keyword]
    yield from schema.get("dependentSchemas", {}).values()


def references(schema: Any) -> Iterator[str]:
    """Give the names of the definitions that a compiled schema refers to."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            name = value.get("$ref")
            if isinstance(name, str) and name.startswith(_DEFS):
                yield name.removeprefix(_DEFS)
            waiting.extend(value.values())
