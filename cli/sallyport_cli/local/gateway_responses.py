"""API Gateway's own answers, rendered from the template's GatewayResponses.

Types, default statuses and fallbacks: "Gateway response types for API Gateway" in the developer guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from sallyport_cli.local.request import GatewayRequest
from sallyport_cli.local.stack import Stack

_INTERNAL: Final = "InternalServerErrorException"
DEFAULT_TEMPLATE: Final = '{"message":$context.error.messageString}'
_VARIABLE = re.compile(
    r"\$(context|stageVariables)\.([A-Za-z0-9_.-]*[A-Za-z0-9_])|\$\{(context|stageVariables)\.([^}]+)\}"
)

# response type: (status, message, x-amzn-ErrorType) where the API names neither status nor message
_DEFAULTS: Final[Mapping[str, tuple[int, str, str]]] = {
    "ACCESS_DENIED": (403, "User is not authorized to access this resource", "AccessDeniedException"),
    "API_CONFIGURATION_ERROR": (500, "Internal server error", _INTERNAL),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "Internal server error", _INTERNAL),
    "AUTHORIZER_FAILURE": (500, "Internal server error", _INTERNAL),
    "BAD_REQUEST_PARAMETERS": (400, "Bad request", "BadRequestException"),
    "DEFAULT_4XX": (431, "Request Header Fields Too Large", "BadRequestException"),
    "INTEGRATION_FAILURE": (502, "Internal server error", _INTERNAL),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out", _INTERNAL),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long", "RequestTooLargeException"),
    "THROTTLED": (429, "Too Many Requests", "TooManyRequestsException"),
    "UNAUTHORIZED": (401, "Unauthorized", "UnauthorizedException"),
}


@dataclass(frozen=True)
class RenderedResponse:
    """A whole answer of API Gateway itself."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def render(
    stack: Stack, kind: str, request: GatewayRequest, authorizer: Mapping[str, Any] | None = None
) -> RenderedResponse:
    """The gateway response of type `kind`: the API's own, else its DEFAULT_4XX or DEFAULT_5XX, else AWS's."""
    default_status, message, error_type = _DEFAULTS[kind]
    fallback = "DEFAULT_4XX" if default_status < HTTPStatus.INTERNAL_SERVER_ERROR else "DEFAULT_5XX"
    own = stack.gateway_responses.get(kind) or stack.gateway_responses.get(fallback)
    variables = _variables(stack, request, kind, message, authorizer or {})
    headers = {
        "Content-Type": "application/json",
        "x-amzn-RequestId": request.request_id,
        "x-amzn-ErrorType": error_type,
    }
    template, status = DEFAULT_TEMPLATE, default_status
    if own is not None:
        headers.update(_headers(own.ResponseParameters.Headers, request, variables))
        template = own.ResponseTemplates.get("application/json", DEFAULT_TEMPLATE)
        status = own.StatusCode or default_status
    return RenderedResponse(status, tuple(headers.items()), _substitute(template, variables).encode())


def _variables(
    stack: Stack, request: GatewayRequest, kind: str, message: str, authorizer: Mapping[str, Any]
) -> dict[str, str]:
    variables = {
        "context.requestId": request.request_id,
        "context.extendedRequestId": request.extended_request_id,
        "context.error.message": message,
        "context.error.messageString": json.dumps(message),
        "context.error.responseType": kind,
        "context.identity.sourceIp": request.source_ip,
        "context.httpMethod": request.method,
        "context.path": request.path,
        "context.stage": stack.stage,
        "context.domainName": request.host,
    }
    variables |= {f"context.authorizer.{name}": str(value) for name, value in authorizer.items()}
    return variables | {f"stageVariables.{name}": value for name, value in stack.stage_variables.items()}


def _substitute(template: str, variables: Mapping[str, str]) -> str:
    """Plain substitution, nothing escaped, unknown variables empty: gateway responses are no VTL."""

    def replace(match: re.Match[str]) -> str:
        scope, name = match.group(1) or match.group(3), match.group(2) or match.group(4)
        return variables.get(f"{scope}.{name}", "")

    return _VARIABLE.sub(replace, template)


def _headers(declared: Mapping[str, str], request: GatewayRequest, variables: Mapping[str, str]) -> dict[str, str]:
    values = {name: _header_value(source, request, variables) for name, source in declared.items()}
    return {name: value for name, value in values.items() if value is not None}


def _header_value(source: str, request: GatewayRequest, variables: Mapping[str, str]) -> str | None:
    """`'static'`, `context.name`, `stageVariables.name` or `method.request.header.Name`."""
    if static := re.fullmatch("'(.*)'", source):
        return static[1]
    if source.startswith("method.request.header."):
        wanted = source.removeprefix("method.request.header.").lower()
        return next((value for name, value in request.headers if name.lower() == wanted), None)
    return variables.get(source)
