"""How much of a schema there is once its references are followed: a short one can be worth a billion checks.

Ten lines that each refer twice to the next are a thousand checks, thirty a billion. And to say why none of several
forms fits, jsonschema-rs gathers what is wrong with each; where forms nest through recursion it took 57 seconds over
a body 18 levels deep, that is of 600 bytes, for a yes or no that takes it a few microseconds.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_CHECKS = 100_000
"""Of a schema with its references followed, each as often as it is met; recursion is followed once."""
MAX_EXPLAINED_CHECKS = 20_000
_BRANCHING = frozenset({"allOf", "anyOf", "oneOf", "$dynamicRef"})
_DATA = frozenset({"const", "default", "enum", "examples"})
_SHELVES = frozenset({"$defs", "definitions"})
_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies"})
"""Keywords whose keys are an author's words and not keywords."""


class SchemaCost(NamedTuple):
    """`checks`: how many schemas are met; `explainable`: whether the reason of a refusal is found in bounded time."""

    checks: int
    explainable: bool


def cost_of(document: Any) -> SchemaCost:
    """Follow a schema's references. Raises `ValueError` where they lead too deep."""
    walk = _Walk(document)
    try:
        checks = walk.checks(document)
    except RecursionError:
        raise ValueError("the schema's references lead too deep") from None
    return SchemaCost(checks, checks <= MAX_EXPLAINED_CHECKS and not (walk.recursive and walk.branching))


class _Walk:
    def __init__(self, document: Any) -> None:
        self._document = document
        self._places = dict(_names(document))
        self._done: dict[int, int] = {}
        self._open: set[int] = set()
        self.recursive = False
        self.branching = False

    def checks(self, schema: Any) -> int:
        """Give how many schemas are met from here."""
        if not isinstance(schema, dict):
            return 1
        place = id(schema)
        if place in self._open:
            self.recursive = True
            return 1
        if place not in self._done:
            self._open.add(place)
            self.branching = self.branching or not _BRANCHING.isdisjoint(schema)
            self._done[place] = 1 + sum(map(self.checks, self._next(schema)))
            self._open.remove(place)
        return self._done[place]

    def _next(self, schema: dict[str, Any]) -> Iterator[Any]:
        yield from _children(schema)
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(reference := schema.get(keyword), str):
                yield self._target(reference)

    def _target(self, reference: str) -> Any:
        """Give what is referred to; the whole document, which is recursion, where only the validator knows."""
        if reference in self._places:
            return self._places[reference]
        value = self._document
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                value = value[int(name)] if isinstance(value, list) else value[name]
            except (KeyError, IndexError, TypeError, ValueError):
                return self._document
        return value


def _children(schema: dict[str, Any]) -> Iterator[Any]:
    for keyword, value in schema.items():
        if keyword in _DATA or keyword in _SHELVES:
            continue
        if keyword in _NAMED and isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, dict))
        elif isinstance(value, dict):
            yield value


def _names(value: Any) -> Iterator[tuple[str, Any]]:
    """Give every part that has a name of its own, by the reference to it."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from ((f"#{part[key]}", part) for key in ("$anchor", "$dynamicAnchor") if key in part)
            if isinstance(part.get("$id"), str):
                yield part["$id"], part
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
