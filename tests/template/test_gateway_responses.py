"""What API Gateway answers by itself: complete, valid JSON, and readable for both SDKs."""

import json
import re
from typing import Any

import pytest

from tests.template.transformed import dump, open_api

# "Gateway response types for API Gateway" in the API Gateway developer guide.
TYPES = {
    "ACCESS_DENIED": 403,
    "API_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_CONFIGURATION_ERROR": 503,
    "AUTHORIZER_FAILURE": 503,
    "BAD_REQUEST_BODY": 400,
    "BAD_REQUEST_PARAMETERS": 400,
    "DEFAULT_4XX": None,
    "DEFAULT_5XX": None,
    "EXPIRED_TOKEN": 401,
    "INTEGRATION_FAILURE": 502,
    "INTEGRATION_TIMEOUT": 504,
    "INVALID_API_KEY": 401,
    "INVALID_SIGNATURE": 401,
    "MISSING_AUTHENTICATION_TOKEN": 404,
    "QUOTA_EXCEEDED": 429,
    "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404,
    "THROTTLED": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "WAF_FILTERED": 403,
}
CONTEXT = {
    "context.requestId": "2a1b3c4d-0000-4000-8000-123456789abc",
    "context.authorizer.code": "ip_denied",
    "context.authorizer.message": "Requests from this address are not allowed.",
}


def _responses() -> dict[str, dict[str, Any]]:
    responses: dict[str, dict[str, Any]] = open_api()["x-amazon-apigateway-gateway-responses"]
    return responses


def _body(kind: str) -> dict[str, Any]:
    """The body as API Gateway renders it; a variable that CONTEXT doesn't know fails the test."""
    (template,) = _responses()[kind]["responseTemplates"].values()
    rendered = re.sub(r"\$([A-Za-z.]*[A-Za-z])", lambda match: CONTEXT[match[1]], template)
    body: dict[str, Any] = json.loads(rendered)
    return body


def test_every_type_is_customised() -> None:
    assert set(_responses()) == set(TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_status(kind: str) -> None:
    status = _responses()[kind].get("statusCode")
    assert status == (None if TYPES[kind] is None else str(TYPES[kind]))


@pytest.mark.parametrize("kind", TYPES)
def test_body_is_read_by_both_sdks(kind: str) -> None:
    body = _body(kind)
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert set(body["error"]) == {"type", "message", "param", "code"}
    assert body["error"]["param"] is None
    assert body["error"]["message"].endswith(".")
    assert re.fullmatch("[a-z_]+", body["error"]["code"])
    assert body["request_id"] == CONTEXT["context.requestId"]


@pytest.mark.parametrize("kind", TYPES)
def test_request_id_is_a_header(kind: str) -> None:
    assert _responses()[kind]["responseParameters"]["gatewayresponse.header.x-request-id"] == "context.requestId"


@pytest.mark.parametrize("kind", TYPES)
def test_region_is_a_header(kind: str) -> None:
    region = _responses()[kind]["responseParameters"]["gatewayresponse.header.x-sallyport-region"]
    assert region == {"Fn::Sub": "'${AWS::Region}'"}


def test_no_response_repeats_what_the_client_sent() -> None:
    assert "context.error" not in dump(_responses())
    assert "method.request" not in dump(_responses())


def test_only_a_denial_speaks_for_the_authorizer() -> None:
    speaking = {kind for kind, response in _responses().items() if "context.authorizer" in dump(response)}
    assert speaking == {"ACCESS_DENIED"}


def test_every_401_is_the_same() -> None:
    bodies = [_body(kind) for kind, status in TYPES.items() if status == 401]
    assert bodies[0]["error"]["code"] == "invalid_credentials"
    assert all(body == bodies[0] for body in bodies)
    for kind in (kind for kind, status in TYPES.items() if status == 401):
        assert _responses()[kind]["responseParameters"]["gatewayresponse.header.WWW-Authenticate"] == "'Bearer'"


def test_throttled_clients_learn_when_to_come_back() -> None:
    assert _responses()["THROTTLED"]["responseParameters"]["gatewayresponse.header.Retry-After"] == "'1'"
    assert _body("THROTTLED")["error"]["code"] == "rate_limit_exceeded"


def test_failing_authorizer_is_a_503() -> None:
    assert _body("AUTHORIZER_FAILURE")["error"]["code"] == "authorizer_unavailable"
    assert _body("AUTHORIZER_FAILURE") == _body("AUTHORIZER_CONFIGURATION_ERROR")
