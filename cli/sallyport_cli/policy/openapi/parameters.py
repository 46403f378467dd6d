"""Parameters of an operation (OpenAPI 3.1, "Parameter Object"), with what reading their values takes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from sallyport_cli.policy.openapi.document import Document
from sallyport_cli.policy.openapi.schemas import REQUEST, Schemas
from sallyport_cli.policy.yaml_reading import Path

PLACES: Final = ("path", "query", "header", "cookie")
_STYLES: Final = {
    "path": ("simple",),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
_NOT_PARAMETERS: Final = frozenset({"accept", "content-type", "authorization"})
"""OpenAPI describes these headers elsewhere."""
_MAX_PARAMETERS: Final = 200
_NULL: Final = frozenset({"null"})
_TOGETHER: Final = ("allOf", "anyOf", "oneOf")
_MAX_DEPTH: Final = 8
"""Of such keywords in one another; no parameter is written deeper."""

_MAX_PARTS: Final = 1000


class Parameters:
    """Compiles the parameters of one document's operations. `top`: their schemas, with the place of each."""

    def __init__(self, document: Document, schemas: Schemas) -> None:
        self._document = document
        self._schemas = schemas
        self.top: list[tuple[Path, Any]] = []

    def compile(self, holders: list[tuple[Path, dict[str, Any]]]) -> list[dict[str, Any]]:
        """Compile those of a path and of its operation, the latter instead of the former where both have one."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for path, holder in holders:
            own: set[tuple[str, str]] = set()
            for one in self._of(path, holder):
                key = (one["in"], one["name"].lower() if one["in"] == "header" else one["name"])
                if key in own:
                    self._document.fail((*path, "parameters"), f"{one['in']} {one['name']} is there twice")
                own.add(key)
                found[key] = one
        return list(found.values())

    def form(self, media: dict[str, Any], path: Path) -> dict[str, Any]:
        """Give what reading a form takes, by field; `path` is that of its schema."""
        if media.get("encoding"):
            self._document.fail((*path[:-1], "encoding"), "isn't taken; a form's fields are written name=value")
        fields: dict[str, Any] = {}
        for place, part in self._parts(media["schema"], path):
            for name, one in self._document.mapping(part.get("properties", {}), (*place, "properties")).items():
                own_place = (*place, "properties", name)
                shape, types = self._shape(one, own_place)
                if shape == "object":
                    self._document.fail(own_place, "is an object, which no form's field can be")
                fields[name] = self._reading(shape, types, one, own_place)
        return fields

    def is_structured(self, schema: Any, path: Path) -> bool:
        """Say whether a schema can't be that of a text."""
        types = self._types(schema, path)
        return bool(types) and "string" not in types

    def _of(self, path: Path, holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
        path = (*path, "parameters")
        raw = self._document.sequence(holder.get("parameters", []), path)
        if len(raw) > _MAX_PARAMETERS:
            self._document.fail(path, f"has more than {_MAX_PARAMETERS} parameters")
        for index, one in enumerate(raw):
            place, value = self._document.follow(one, (*path, index))
            parameter = self._parameter(self._document.mapping(value, place), place)
            if not (parameter["in"] == "header" and parameter["name"].lower() in _NOT_PARAMETERS):
                yield parameter

    def _parameter(self, raw: dict[str, Any], path: Path) -> dict[str, Any]:
        document = self._document
        name, where = raw.get("name"), raw.get("in")
        if not isinstance(name, str) or not name:
            document.fail((*path, "name"), "is missing")
        if where not in PLACES:
            document.fail((*path, "in"), f"must be one of {', '.join(PLACES)}")
        is_required = document.flag(raw, "required", path)
        if where == "path" and not is_required:
            document.fail((*path, "required"), "must be true for a path's parameter")
        compiled = {"name": name, "in": where, "required": is_required}
        return compiled | (self._with_content(raw, path) if "content" in raw else self._with_schema(raw, where, path))

    def _with_content(self, raw: dict[str, Any], path: Path) -> dict[str, Any]:
        content = self._document.mapping(raw["content"], (*path, "content"))
        if list(content) != ["application/json"]:
            self._document.fail((*path, "content"), "the only content of a parameter that is taken is application/json")
        place = (*path, "content", "application/json")
        media = self._document.mapping(content["application/json"], place)
        schema = self._compiled(media.get("schema", {}), (*place, "schema"))
        form = {"style": "form", "explode": True, "shape": "scalar", "types": ["string"]}
        return {**form, "json": True, "schema": schema}

    def _with_schema(self, raw: dict[str, Any], where: str, path: Path) -> dict[str, Any]:
        document = self._document
        if "schema" not in raw:
            document.fail(path, "has neither a schema nor content")
        styles = _STYLES[where]
        style = raw.get("style", styles[0])
        if style not in styles:
            document.fail((*path, "style"), f"must be {' or '.join(styles)} in a {where}")
        shape, types = self._shape(raw["schema"], (*path, "schema"))
        explode = document.flag(raw, "explode", path, default=style in {"form", "deepObject"})
        self._check_style(style, shape, path, explode=explode)
        compiled = {"style": style, "explode": explode, "shape": shape}
        schema = self._compiled(raw["schema"], (*path, "schema"))
        return {**compiled, **self._reading(shape, types, raw["schema"], (*path, "schema")), "schema": schema}

    def _compiled(self, schema: Any, path: Path) -> Any:
        compiled = self._schemas.compile(schema, path, REQUEST)
        self.top.append((path, compiled))
        return compiled

    def _shape(self, schema: Any, path: Path) -> tuple[str, set[str]]:
        types = self._types(schema, path)
        shape = "array" if types - _NULL == {"array"} else "object" if types - _NULL == {"object"} else "scalar"
        if shape == "scalar" and types & {"array", "object"}:
            self._document.fail(path, "may be a single value or a list or an object; a parameter is one of them")
        return shape, types

    def _check_style(self, style: str, shape: str, path: Path, *, explode: bool) -> None:
        if style == "deepObject" and shape != "object":
            self._document.fail((*path, "style"), "deepObject is for objects")
        if style in {"spaceDelimited", "pipeDelimited"} and (shape != "array" or explode):
            self._document.fail((*path, "style"), f"{style} is for lists, with explode: false")

    def _reading(self, shape: str, types: set[str], schema: Any, path: Path) -> dict[str, Any]:
        """Give the types that texts are read as: of the value, of a list's items, or of an object's fields."""
        if shape == "scalar":
            return {"types": sorted(types)}
        if shape == "array":
            items = [self._types(part["items"], place) for place, part in self._parts(schema, path) if "items" in part]
            return {"items": _simple(set().union(*items))}
        fields: dict[str, set[str]] = {}
        for place, part in self._parts(schema, path):
            for name, one in self._document.mapping(part.get("properties", {}), (*place, "properties")).items():
                fields.setdefault(name, set()).update(self._types(one, (*place, "properties", name)))
        return {"properties": {name: _simple(found) for name, found in fields.items()}}

    def _types(self, schema: Any, path: Path) -> set[str]:
        """Give the types that a schema names anywhere about the value itself; none: it may be any."""
        found: set[str] = set()
        for _, part in self._parts(schema, path):
            types = part.get("type", [])
            named = {one for one in (types if isinstance(types, list) else [types]) if isinstance(one, str)}
            is_nullable = bool(named) and part.get("nullable") is True and self._document.is_3_0
            found |= named | _NULL if is_nullable else named
        return found

    def _parts(self, schema: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Give a schema and those in it that speak of the same value, with the place of each."""
        return islice(self._walk(schema, path, 0), _MAX_PARTS)

    def _walk(self, schema: Any, path: Path, depth: int) -> Iterator[tuple[Path, dict[str, Any]]]:
        place, value = self._document.follow(schema, path)
        if not isinstance(value, dict) or depth > _MAX_DEPTH:
            return
        yield place, value
        for keyword in _TOGETHER:
            parts = value.get(keyword, [])
            for index, part in enumerate(parts if isinstance(parts, list) else []):
                yield from self._walk(part, (*place, keyword, index), depth + 1)


def _simple(types: set[str]) -> list[str]:
    """Give the types that a text may be read as."""
    return sorted(types - {"array", "object"})
