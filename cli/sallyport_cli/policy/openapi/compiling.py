"""An OpenAPI 3.0 or 3.1 document compiled to the plain JSON that the functions check requests and answers by.

Nothing is fetched, and nothing that could take the functions long is let through. `servers` don't count: a path of the
document is what follows the application's own. openapi-spec-validator isn't used: it brings nine packages and resolves
references over the network unless told not to, and what it checks beyond this changes nothing of how bodies are judged.
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any, Final

from sallyport.gateway.app_requests import METHODS
from sallyport.verification.openapi.checks import FORMAT, OpenApiChecks
from sallyport.verification.openapi.media_types import FORM, JSON_ONLY, TEXT, is_json
from sallyport.verification.openapi.schema_check import make_validator, reachable
from sallyport_cli.policy.openapi.document import Document, read_document
from sallyport_cli.policy.openapi.parameters import Parameters
from sallyport_cli.policy.openapi.paths import parameter_names, same_place, segments
from sallyport_cli.policy.openapi.schema_costs import MAX_LOOKS, SchemaCosts, TooManyError, looks, references, weights
from sallyport_cli.policy.openapi.schemas import ANSWER, REQUEST, Schemas
from sallyport_cli.policy.yaml_reading import Path

MAX_OPERATIONS: Final = 2000
MAX_DEFINITIONS: Final = 5000
MAX_COMPILED_CHARS: Final = 4_000_000
_STATUS: Final = re.compile(r"[1-5](?:[0-9][0-9]|XX)|default")
_MEDIA_TYPE: Final = re.compile(r"\*/\*|[a-z0-9!#$&^_.+-]+/(?:\*|[a-z0-9!#$&^_.+-]+)")
_METHODS: Final = frozenset(method.lower() for method in METHODS)
_OTHER_METHODS: Final = frozenset({"trace"})


def compile_openapi(source: str | pathlib.Path) -> dict[str, Any]:
    """Compile a document: its text, or the path of its file. Raises `ValueError` with the line, the place and why."""
    if isinstance(source, pathlib.Path):
        try:
            source = source.read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"it can't be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError("it isn't UTF-8") from None
    try:
        return _Compiler(read_document(source)).compile()
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


class _Compiler:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._schemas = Schemas(document)
        self._parameters = Parameters(document, self._schemas)
        self._media_types: list[tuple[Path, dict[str, Any]]] = []
        self._operations = 0

    def compile(self) -> dict[str, Any]:
        paths = self._paths()
        self._check_costs()
        self._check_compilable()
        compiled = {"format": FORMAT, "paths": paths, "defs": self._schemas.defs}
        if len(json.dumps(compiled, allow_nan=False)) > MAX_COMPILED_CHARS:
            raise ValueError(f"compiled the document has more than {MAX_COMPILED_CHARS:,} characters")
        OpenApiChecks(compiled)
        return compiled

    def _paths(self) -> list[dict[str, Any]]:
        document = self._document
        paths = document.mapping(document.values.get("paths", {}), ("paths",))
        compiled: list[dict[str, Any]] = []
        places: dict[tuple[Any, ...], str] = {}
        for template, raw in paths.items():
            if template.startswith("x-"):
                continue
            try:
                found = segments(template)
            except ValueError as error:
                document.fail(("paths", template), str(error))
            other = places.setdefault(same_place(found), template)
            if other != template:
                document.fail(("paths", template), f"is the same path as {other}")
            compiled.append({"path": template, "segments": found, "operations": self._item(template, found, raw)})
        if not self._operations:
            document.fail(("paths",), "has no operation, so that every request would be refused")
        return compiled

    def _item(self, template: str, found: list[str | list[str]], raw: Any) -> dict[str, Any]:
        path, value = self._document.follow(raw, ("paths", template))
        item = self._document.mapping(value, path)
        for method in _OTHER_METHODS & item.keys():
            self._document.fail((*path, method), "isn't a method that the gateway passes on")
        return {method.upper(): self._operation(path, item, method, found) for method in item if method in _METHODS}

    def _operation(self, path: Path, item: dict[str, Any], method: str, found: list[str | list[str]]) -> dict[str, Any]:
        document, own_path = self._document, (*path, method)
        operation = document.mapping(item[method], own_path)
        self._operations += 1
        if self._operations > MAX_OPERATIONS:
            document.fail(own_path, f"the document has more than {MAX_OPERATIONS:,} operations")
        parameters = self._parameters.compile([(path, item), (own_path, operation)])
        declared = {one["name"] for one in parameters if one["in"] == "path"}
        wanted = set(parameter_names(found))
        if declared != wanted:
            name = min(declared ^ wanted)
            missing = "among its parameters" if name in wanted else "in its template"
            document.fail(own_path, f"the path's parameter {name} isn't {missing}; it must be in both")
        compiled: dict[str, Any] = {"parameters": parameters, "responses": self._responses(operation, own_path)}
        if "requestBody" in operation:
            compiled["body"] = self._body(operation["requestBody"], (*own_path, "requestBody"))
        return compiled

    def _body(self, raw: Any, path: Path) -> dict[str, Any]:
        path, value = self._document.follow(raw, path)
        body = self._document.mapping(value, path)
        content = self._content(body.get("content"), (*path, "content"), REQUEST)
        return {"required": self._document.flag(body, "required", path), "content": content}

    def _responses(self, operation: dict[str, Any], path: Path) -> dict[str, Any]:
        path = (*path, "responses")
        responses = self._document.mapping(operation.get("responses", {}), path)
        compiled: dict[str, Any] = {}
        for status, raw in responses.items():
            if status.startswith("x-"):
                continue
            if _STATUS.fullmatch(status) is None:
                self._document.fail((*path, status), "must be a status such as 200, a range such as 4XX, or default")
            own_path, value = self._document.follow(raw, (*path, status))
            response = self._document.mapping(value, own_path)
            content = response.get("content", {})
            compiled[status] = {"content": self._content(content, (*own_path, "content"), ANSWER)} if content else {}
        return compiled or {"default": {}}

    def _content(self, raw: Any, path: Path, direction: str) -> dict[str, Any]:
        compiled: dict[str, Any] = {}
        for name, media in self._document.mapping(raw, path).items():
            own_path = (*path, name)
            media_type = name.partition(";")[0].strip().lower()
            if _MEDIA_TYPE.fullmatch(media_type) is None or {media_type, media_type + JSON_ONLY} & compiled.keys():
                self._document.fail(own_path, "is no media type, or there twice")
            key, one = self._media(media_type, self._document.mapping(media, own_path), own_path, direction)
            compiled[key] = one
        return compiled

    def _media(self, media_type: str, media: dict[str, Any], path: Path, direction: str) -> tuple[str, dict[str, Any]]:
        """Give an entry of `content`, with a schema if bodies of the type are looked into."""
        is_form = media_type == FORM and direction == REQUEST
        is_range = media_type.endswith("*")
        if "schema" not in media or not (is_json(media_type) or media_type == TEXT or is_form or is_range):
            return media_type, {"schema": True}
        path = (*path, "schema")
        compiled = {"schema": self._schemas.compile(media["schema"], path, direction)}
        self._media_types.append((path, compiled))
        if is_form:
            compiled["form"] = self._parameters.form(media, path)
        elif is_range and self._parameters.is_structured(media["schema"], path):
            media_type += JSON_ONLY
        return media_type, compiled

    def _check_costs(self) -> None:
        defs, places = self._schemas.defs, self._schemas.places
        if len(defs) > MAX_DEFINITIONS:
            raise ValueError(f"the document has more than {MAX_DEFINITIONS:,} schemas that are referred to")
        costs, weight = SchemaCosts(defs, looks), SchemaCosts(defs, weights)
        reason = f"could take very long: one value may have to be looked at more than {MAX_LOOKS:,} times"
        slow = "could take very long: its patterns take more than 1,000 KiB for one place of a value"
        try:
            for name in reversed(defs):
                if costs.definition(name) > MAX_LOOKS:
                    self._document.fail(places[name], reason)
                weight.definition(name)
            for path, schema in self._unnamed():
                if costs.of(schema) > MAX_LOOKS:
                    self._document.fail(path, reason)
                if weight.of(schema) > MAX_LOOKS:
                    self._document.fail(path, slow)
            for _, media in self._media_types:
                found = reachable(media["schema"], defs)
                is_unique = "uniqueItems" in json.dumps([media["schema"], found])
                most = (one.most(media["schema"], found) for one in (costs, weight))
                media["cost"] = [*most, int(is_unique)]
        except TooManyError:
            raise ValueError("references between schemas are nested too deeply") from None

    def _unnamed(self) -> list[tuple[Path, Any]]:
        """Give the schemas that aren't definitions, with the place of each."""
        return [*((path, media["schema"]) for path, media in self._media_types), *self._parameters.top]

    def _check_compilable(self) -> None:
        """Have every schema compiled as the functions will."""
        named = [(self._schemas.places[name], schema) for name, schema in self._schemas.defs.items()]
        for path, schema in [*named, *self._unnamed()]:
            try:
                make_validator(_alone(schema))
            except ValueError as error:
                place = (*path, *getattr(error, "instance_path", ()))
                self._document.fail(place, "isn't a schema: a keyword has a value that it can't have")


def _alone(schema: Any) -> Any:
    """Give a schema without what its references name, of which each is looked at for itself."""
    return {**schema, "$defs": dict.fromkeys(references(schema), True)} if isinstance(schema, dict) else schema
