"""How much of a schema there is once its references are followed: a short one can be worth a billion checks.

Ten lines that each refer twice to the next are a thousand checks, thirty a billion. And to say why none of several
forms fits, jsonschema-rs gathers what is wrong with each; where forms nest through recursion it took 57 seconds over
a body 18 levels deep, that is of 600 bytes, for a yes or no that takes it a few microseconds.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin

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
        self._places = _Places(document)
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
                yield self._target(schema, reference)

    def _target(self, schema: dict[str, Any], reference: str) -> Any:
        """Give what is referred to. A draft's own schema, which the validator knows, counts as one, and recursive."""
        target = self._places.find(schema, reference)
        if target is None:
            self.recursive = self.branching = True
        return target


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


class _Places:
    """A document's parts by their addresses (draft 2020-12, section 8.2), which may be written in many ways."""

    def __init__(self, document: Any) -> None:
        self._documents: dict[str, Any] = {"": document}
        self._anchors: dict[str, Any] = {}
        self._bases: dict[int, str] = {}
        waiting = [("", document)]
        while waiting:
            base, part = waiting.pop()
            if isinstance(part, dict):
                base = self._named(base, part)
                waiting += ((base, child) for child in part.values())
            elif isinstance(part, list):
                waiting += ((base, child) for child in part)

    def find(self, schema: dict[str, Any], reference: str) -> Any:
        """Give what a part refers to, None for another document. Raises `ValueError` where nothing can be found."""
        document, _, fragment = _joined(self._bases[id(schema)], reference).partition("#")
        if document not in self._documents:
            return None
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            found = self._anchors.get(f"{document}#{fragment}")
        else:
            found = _at(self._documents[document], fragment.split("/")[1:])
        if found is None:
            raise ValueError("a reference of the schema can't be followed")
        return found

    def _named(self, base: str, part: dict[str, Any]) -> str:
        """Note a part's names, and give the base of the references in it. Draft 7 writes an anchor as `$id`, too."""
        identifier = part.get("$id")
        if isinstance(identifier, str):
            address, _, anchor = _joined(base, identifier).partition("#")
            if anchor:
                self._anchors.setdefault(f"{address}#{anchor}", part)
            else:
                base = address
                self._documents.setdefault(base, part)
        for key in ("$anchor", "$dynamicAnchor"):
            if isinstance(part.get(key), str):
                self._anchors.setdefault(f"{base}#{part[key]}", part)
        self._bases[id(part)] = base
        return base


def _joined(base: str, reference: str) -> str:
    return base + reference if reference.startswith("#") else urljoin(base, reference)


def _at(value: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        name = step.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(name)] if isinstance(value, list) else value[name]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value
