"""The files that a document names: JSON Schemas and OpenAPI documents, beside it or below, and nowhere else.

They become part of the compiled policy, so that no function ever reads a file or asks the network for one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sallyport.errors import InvalidJsonError
from sallyport.verification.strict_json import parse_strict
from sallyport_cli.policy.problems import field_name
from sallyport_cli.policy.verification_checks import requests_of
from sallyport_cli.policy.verification_types import MAX_SCHEMA_BYTES, check_schema, is_file
from sallyport_cli.policy.yaml_reading import Path as Place
from sallyport_cli.policy.yaml_reading import YamlError, parse_yaml

if TYPE_CHECKING:
    from sallyport_cli.policy.documents import Document
    from sallyport_cli.policy.model import Policy

MAX_OPENAPI_BYTES: Final = 2_000_000


@dataclass(frozen=True)
class Beside:
    """What the files hold: JSON Schemas by their names in the document, compiled OpenAPI documents by their apps."""

    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    openapi: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


NO_FILES: Final = Beside()


def files_beside(policy: Policy, folder: Path | None) -> tuple[Beside, list[tuple[Place, str]]]:
    """Give what a document's files hold, and what is wrong with others. `folder` None: it has no place of its own."""
    schemas: dict[str, Mapping[str, Any]] = {}
    openapi: dict[str, Mapping[str, Any]] = {}
    problems: list[tuple[Place, str]] = []
    for place, name in _schema_files(policy):
        try:
            schemas[name] = _read_schema(folder, name)
        except ValueError as error:
            problems.append((place, f"{name}: {error}"))
    for app, name in _openapi_files(policy):
        try:
            openapi[app] = _compile_openapi(_read(folder, name, MAX_OPENAPI_BYTES))
        except ValueError as error:
            problems.append((("apps", app, "openapi"), f"{name}: {error}"))
    return Beside(schemas, openapi), problems


def file_differences(document: Document, compiled: str) -> list[str]:
    """Give a line for each file that holds something else than what is `compiled` and in force.

    Where nothing of the kind is in force, the document's own differences say that it is new.
    """
    in_force: dict[str, Any] = json.loads(compiled)
    verification, apps = in_force.get("verification", {}), in_force.get("apps", {})
    rules = [*verification.get("requests", {}).values()]
    rules += [one for routes in verification.get("tenant_requests", {}).values() for one in routes.values()]
    known = [schema for one in rules for schema in one["schemas"]]
    changed = [
        (field_name(place), name)
        for place, name in _schema_files(document.policy)
        if known and document.beside.schemas[name] not in known
    ]
    changed += [
        (f"apps.{app}.openapi", name)
        for app, name in _openapi_files(document.policy)
        if apps.get(app, {}).get("openapi") not in (None, document.beside.openapi[app])
    ]
    return [f"~ {place}: {name} has other content" for place, name in changed]


def _schema_files(policy: Policy) -> Iterator[tuple[Place, str]]:
    for path, request in () if policy.verification is None else requests_of(policy.verification):
        if request.own_schema is not None and is_file(request.own_schema):
            yield (*path, "schema"), request.own_schema


def _openapi_files(policy: Policy) -> Iterator[tuple[str, str]]:
    for name, app in (policy.apps or {}).items():
        if app.openapi is not None:
            yield name, app.openapi


def _compile_openapi(text: str) -> Mapping[str, Any]:
    from sallyport_cli.policy.openapi import compile_openapi  # noqa: PLC0415 - few documents name one

    compiled: Mapping[str, Any] = compile_openapi(text)
    return compiled


def _read_schema(folder: Path | None, name: str) -> Mapping[str, Any]:
    text = _read(folder, name, MAX_SCHEMA_BYTES)
    return check_schema(_parse_json(text) if name.endswith(".json") else _parse_yaml(text))


def _parse_json(text: str) -> Any:
    try:
        return parse_strict(text)
    except InvalidJsonError as error:
        raise ValueError(error.message.replace("The request body", "it").rstrip(".")) from None


def _parse_yaml(text: str) -> Any:
    try:
        return parse_yaml(text).values
    except YamlError as error:
        place = "" if error.line is None else f"line {error.line}: "
        raise ValueError(f"{place}{error.reason}") from None


def _read(folder: Path | None, name: str, max_bytes: int) -> str:
    """Read a file. Raises `ValueError` for one that isn't there, is elsewhere by a link, is too large or no text."""
    if folder is None:
        raise ValueError("a document from stdin has no files beside it; name the document's file")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError("is a link to a place outside of the document's folder")
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise ValueError(error.strerror or "can't be read") from None
    if len(content) > max_bytes:
        raise ValueError(f"is larger than {max_bytes:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("isn't UTF-8") from None
