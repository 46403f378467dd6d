"""Parameters of an operation (OpenAPI 3.1, "Parameter Object"), with what reading their values takes."""

from __future__ import annotations

from collections.abc import Iterator
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


class Parameters:
    """Compiles the parameters of one document's operations."""

    def __init__(self, document: Document, schemas: Schemas) -> None:
        self._document = document
        self._schemas = schemas

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
        schema = self._schemas.compile(media.get("schema", {}), (*place, "schema"), REQUEST)
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
        types = self._types(raw["schema"], (*path, "schema"))
        shape = "array" if types == {"array"} else "object" if types == {"object"} else "scalar"
        if shape == "scalar" and types & {"array", "object"}:
            document.fail((*path, "schema"), "may be a single value or a list or an object; a parameter is one of them")
        explode = document.flag(raw, "explode", path, default=style in {"form", "deepObject"})
        self._check_style(style, shape, path, explode=explode)
        compiled = {"style": style, "explode": explode, "shape": shape}
        schema = self._schemas.compile(raw["schema"], (*path, "schema"), REQUEST)
        return {**compiled, **self._reading(shape, types, raw["schema"], (*path, "schema")), "schema": schema}

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
            return {"items": self._simple(self._part(schema, "items", path), path)}
        return {"properties": {k: self._simple(v, path) for k, v in self._properties(schema, path).items()}}

    def _simple(self, schema: Any, path: Path) -> list[str]:
        return sorted(self._types(schema, path) - {"array", "object"})

    def _types(self, schema: Any, path: Path, depth: int = 0) -> set[str]:
        """Give the types that a schema names anywhere about the value itself; none: it may be any."""
        place, value = self._document.follow(schema, path)
        if not isinstance(value, dict) or depth > 8:  # noqa: PLR2004 - deeper than any parameter is written
            return set()
        types = value.get("type", [])
        found = {one for one in (types if isinstance(types, list) else [types]) if isinstance(one, str)}
        if value.get("nullable") is True and found and self._document.is_3_0:
            found.add("null")
        for keyword in ("allOf", "anyOf", "oneOf"):
            parts = value.get(keyword, [])
            for index, part in enumerate(parts if isinstance(parts, list) else []):
                found |= self._types(part, (*place, keyword, index), depth + 1)
        return found

    def _part(self, schema: Any, keyword: str, path: Path) -> Any:
        value = self._document.follow(schema, path)[1]
        return value.get(keyword, {}) if isinstance(value, dict) else {}

    def _properties(self, schema: Any, path: Path) -> dict[str, Any]:
        properties = self._part(schema, "properties", path)
        return properties if isinstance(properties, dict) else {}
