"""OpenAPI documents for tests, compiled as a policy's are."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.errors import SchemaViolationError
from sallyport.verification.openapi.checks import OpenApiChecks
from sallyport_cli.policy.openapi import compile_openapi

JSON = "application/json"


def document(paths: Mapping[str, Any], version: str = "3.1.0", **components: Any) -> str:
    """Give a document's text."""
    return json.dumps({"openapi": version, "paths": paths, "components": {"schemas": components}})


def checks(paths: Mapping[str, Any], version: str = "3.1.0", **components: Any) -> OpenApiChecks:
    """Give a document in force, which has been stored as JSON on its way."""
    return OpenApiChecks(json.loads(json.dumps(compile_openapi(document(paths, version, **components)))))


def takes(schema: Any, media_type: str = JSON, *, required: bool = True) -> dict[str, Any]:
    """Give an operation whose body has a schema."""
    return {"requestBody": {"required": required, "content": {media_type: {"schema": schema}}}}


def answers(schema: Any, status: str = "200", media_type: str = JSON) -> dict[str, Any]:
    """Give an operation whose answer has a schema."""
    return {"responses": {status: {"description": "", "content": {media_type: {"schema": schema}}}}}


def parameter(where: str, schema: Any, name: str = "p", **more: Any) -> dict[str, Any]:
    """Give a parameter."""
    return {"name": name, "in": where, "schema": schema, **more}


def with_query(values: Mapping[str, Sequence[str]], *parameters: Any, version: str = "3.1.0") -> str | None:
    """Give the place at fault in a query, None if it passes."""
    return refused(checks({"/": {"get": {"parameters": list(parameters)}}}, version), "GET", "/", query=values)


def refused(
    made: OpenApiChecks,
    method: str,
    path: str,
    *,
    query: Mapping[str, Sequence[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    body: str = "",
    media_type: str = JSON,
) -> str | None:
    """Give the place at fault in a request, None if it passes."""
    operation = made.find(method, path)
    try:
        made.check_request(operation, query or {}, headers or {}, media_type if body else "", body)
    except SchemaViolationError as error:
        return error.param
    return None
