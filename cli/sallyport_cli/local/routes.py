"""Which route a path and a method lead to, as API Gateway decides it.

Segment by segment a literal beats `{name}`, which beats `{name+}`; then, within the one resource that was found, a
method beats ANY. A resource without the method is no match: API Gateway doesn't fall back to a wider resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sallyport_cli.local.stack import Route


@dataclass(frozen=True)
class Match:
    """A route and the values of its path parameters, percent-encoded as they came (REST APIs don't decode them)."""

    route: Route
    path_parameters: Mapping[str, str]


@dataclass
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    variable: tuple[str, _Node] | None = None
    greedy: tuple[str, dict[str, Route]] | None = None
    methods: dict[str, Route] = field(default_factory=dict)


class RoutingTable:
    """The API's resource tree."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def match(self, method: str, path: str) -> Match | None:
        """The route for a raw (percent-encoded) path, or None where API Gateway answers by itself."""
        found = _find(self._root, _segments(path))
        if found is None:
            return None
        methods, parameters = found
        route = methods.get(method.upper()) or methods.get("ANY")
        return Match(route, parameters) if route else None

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in _segments(route.resource):
            if segment.endswith("+}"):
                node.greedy = node.greedy or (segment[1:-2], {})
                node.greedy[1][route.method] = route
                return
            node = _child(node, segment)
        node.methods[route.method] = route


def _child(node: _Node, segment: str) -> _Node:
    if segment.startswith("{"):
        node.variable = node.variable or (segment[1:-1], _Node())
        return node.variable[1]
    return node.literals.setdefault(segment, _Node())


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _find(node: _Node, segments: list[str]) -> tuple[dict[str, Route], dict[str, str]] | None:
    if not segments:
        return (node.methods, {}) if node.methods else None
    head, *rest = segments
    if head in node.literals and (found := _find(node.literals[head], rest)):
        return found
    if node.variable and (found := _find(node.variable[1], rest)):
        return found[0], {node.variable[0]: head, **found[1]}
    if node.greedy:
        return node.greedy[1], {node.greedy[0]: "/".join(segments)}
    return None
