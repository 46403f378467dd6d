"""API Gateway's REST events: the REQUEST authorizer's and the Lambda proxy integration's.

Sources: "Input format of a Lambda function for proxy integration", "Input to an API Gateway Lambda authorizer" and
"Amazon API Gateway important notes" in the API Gateway developer guide. The API is served as behind a custom domain
with an empty base path mapping: no stage in the path.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from sallyport_cli.local.intrinsics import ACCOUNT_ID, API_ID
from sallyport_cli.local.request import GatewayRequest
from sallyport_cli.local.routes import Match
from sallyport_cli.local.stack import Stack

# Hop-by-hop fields, and those that API Gateway replaces or sets anew for the integration.
_DROPPED_REQUEST_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-amzn-trace-id",
        "x-forwarded-for",
        "x-forwarded-port",
        "x-forwarded-proto",
    }
)
# API Gateway names these itself, however the client spelt them.
_CANONICAL_NAMES: Final = {"host": "Host", "user-agent": "User-Agent"}
_IDENTITY_FIELDS: Final = (
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "user",
    "userArn",
)


def method_arn(stack: Stack, method: str, path: str) -> str:
    """The ARN that the authorizer's policy is checked against: the path asked for, not the resource."""
    return f"arn:aws:execute-api:{stack.region}:{ACCOUNT_ID}:{API_ID}/{stack.stage}/{method}/{path.lstrip('/')}"


def authorizer_event(stack: Stack, request: GatewayRequest, match: Match) -> dict[str, Any]:
    """The event of an authorizer of type REQUEST: no body, empty mappings instead of nulls."""
    parameters = _multi_value_parameters(request)
    return {
        "type": "REQUEST",
        "methodArn": method_arn(stack, request.method, request.path),
        **_common(request, match),
        "queryStringParameters": {name: values[-1] for name, values in parameters.items()},
        "multiValueQueryStringParameters": parameters,
        "pathParameters": dict(match.path_parameters),
        "stageVariables": dict(stack.stage_variables),
        "requestContext": _request_context(stack, request, match),
    }


def proxy_event(
    stack: Stack, request: GatewayRequest, match: Match, body: bytes, authorizer: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The event of a Lambda proxy integration; without binary media types, what isn't UTF-8 in a body is lost."""
    parameters = _multi_value_parameters(request)
    context = _request_context(stack, request, match)
    if authorizer is not None:
        context["authorizer"] = dict(authorizer)
    return {
        **_common(request, match),
        "queryStringParameters": {name: values[-1] for name, values in parameters.items()} or None,
        "multiValueQueryStringParameters": parameters or None,
        "pathParameters": dict(match.path_parameters) or None,
        "stageVariables": dict(stack.stage_variables) or None,
        "requestContext": context,
        "body": body.decode("utf-8", "replace") if body else None,
        "isBase64Encoded": False,
    }


def _common(request: GatewayRequest, match: Match) -> dict[str, Any]:
    headers = multi_value_headers(request)
    return {
        "resource": match.route.resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
    }


def multi_value_headers(request: GatewayRequest) -> dict[str, list[str]]:
    """The headers of the event: the client's, less what API Gateway drops, plus what it adds."""
    headers: dict[str, list[str]] = {}
    forwarded = [value for name, value in request.headers if name.lower() == "x-forwarded-for"]
    for name, value in request.headers:
        if name.lower() not in _DROPPED_REQUEST_HEADERS:
            headers.setdefault(_CANONICAL_NAMES.get(name.lower(), name), []).append(value)
    headers["X-Amzn-Trace-Id"] = [request.trace_id]
    headers["X-Forwarded-For"] = [", ".join([*forwarded, request.source_ip])]
    headers["X-Forwarded-Port"] = [str(request.port)]
    headers["X-Forwarded-Proto"] = ["http"]
    return headers


def _multi_value_parameters(request: GatewayRequest) -> dict[str, list[str]]:
    parameters: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query_string, keep_blank_values=True):
        parameters.setdefault(name, []).append(value)
    return parameters


def _request_context(stack: Stack, request: GatewayRequest, match: Match) -> dict[str, Any]:
    received = time.gmtime(request.received_at_s)
    host = request.host
    return {
        "accountId": ACCOUNT_ID,
        "apiId": API_ID,
        "deploymentId": "local",
        "domainName": host,
        "domainPrefix": host.split(".", 1)[0],
        "extendedRequestId": request.extended_request_id,
        "httpMethod": request.method,
        "identity": _identity(request),
        "operationName": None,
        "path": request.path,
        "protocol": f"HTTP/{request.http_version}",
        "requestId": request.request_id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", received),
        "requestTimeEpoch": int(request.received_at_s * 1000),
        "resourceId": "local",
        "resourcePath": match.route.resource,
        "stage": stack.stage,
    }


def _identity(request: GatewayRequest) -> dict[str, Any]:
    user_agent = next((value for name, value in request.headers if name.lower() == "user-agent"), None)
    return {**dict.fromkeys(_IDENTITY_FIELDS), "sourceIp": request.source_ip, "userAgent": user_agent}
