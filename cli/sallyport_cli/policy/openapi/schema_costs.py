"""How much one place of a value may be looked at under a schema, so that none is taken that doubles and doubles again.

Parts that speak of the same value add up; of fields beside one another the worst counts. The engine takes every way to
a place anew, and remembers its findings only where a recursive reference comes round to where it began: so each
definition is followed until it comes round. (Ten that refer twice to the next: a million looks, whatever the value.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from sallyport_cli.policy.openapi.patterns import pattern_weight

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


class SchemaCosts:
    """The costs of definitions, each reckoned once. `own` gives what a schema's own keywords cost."""

    def __init__(self, defs: Mapping[str, Any], own: Callable[[Mapping[str, Any]], Looks]) -> None:
        self._defs = defs
        self._own = own
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

    def most(self, schema: Any, names: Iterable[str]) -> int:
        """Give the worst of a schema and the definitions that it leads to, which may come round to dearer ones."""
        return max([self.of(schema), *map(self.definition, names)])

    def _definition(self, name: str) -> Looks:
        if name not in self._known:
            self._known[name] = self._own({})  # for who comes round to it
            looks = self._of(self._defs[name])
            self._known[name] = Looks(min(looks.itself, _MOST), min(looks.below, _MOST))
        return self._known[name]

    def _of(self, schema: Any) -> Looks:
        if not isinstance(schema, dict):
            return self._own({})
        same = [self._of(part) for part in _same(schema)]
        if "$ref" in schema:
            same.append(self._definition(schema["$ref"].removeprefix(_DEFS)))
        same.append(self._own(schema))
        return Looks(sum(one.itself for one in same), self._below(schema) + sum(one.below for one in same))

    def _below(self, schema: Mapping[str, Any]) -> int:
        fields = self._worst(schema.get("properties", {}).values())
        patterns = self._total(schema.get("patternProperties", {}).values())
        items = self._worst([*schema.get("prefixItems", ()), schema.get("items")])
        return max(fields + patterns, items) + self._total(schema[one] for one in _BELOW_ONE if one in schema)

    def _worst(self, parts: Iterable[Any]) -> int:
        return max((self._of(part).most for part in parts if isinstance(part, dict)), default=0)

    def _total(self, parts: Iterable[Any]) -> int:
        return sum(self._of(part).most for part in parts)


def looks(schema: Mapping[str, Any]) -> Looks:
    """Give how often a schema's own keywords look at a value.

    The engine compares some thirty values, or looks for as many names, in the time of a look; a list or an object of
    an `enum` is gone through place by place, as far as the value is alike.
    """
    values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
    nested = sum(isinstance(value, dict | list) for value in values)
    named = [schema.get(keyword) for keyword in ("required", "dependentRequired")]
    names = sum(len(one) for one in named if isinstance(one, list | dict))
    texts = all(isinstance(value, str) for value in values)
    return Looks(1 + nested + (names + (0 if texts else len(values))) // 32, nested)


def weights(schema: Mapping[str, Any]) -> Looks:
    """Give what a schema's own patterns cost for one character of a value, or of its fields' names."""
    patterns = [*schema.get("patternProperties", ()), *([schema["pattern"]] if "pattern" in schema else ())]
    return Looks(sum(map(pattern_weight, patterns)), 0)


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
