"""Events have the shape of API Gateway's documented ones."""

from typing import Any

from sallyport_cli.local.events import authorizer_event, proxy_event
from tests.unit.cli.stacks import MATCH, make_request, make_stack

# Keys of the documented proxy event of a REST API and of its requestContext ("Input format of a Lambda function for
# proxy integration"), less what only API keys, Cognito, IAM callers and client certificates bring.
DOCUMENTED_KEYS = {
    "resource", "path", "httpMethod", "headers", "multiValueHeaders", "queryStringParameters",
    "multiValueQueryStringParameters", "pathParameters", "stageVariables", "requestContext", "body", "isBase64Encoded",
}  # fmt: skip
DOCUMENTED_CONTEXT_KEYS = {
    "accountId", "apiId", "domainName", "domainPrefix", "extendedRequestId", "httpMethod", "identity", "path",
    "protocol", "requestId", "requestTime", "requestTimeEpoch", "resourceId", "resourcePath", "stage",
}  # fmt: skip
DOCUMENTED_IDENTITY_KEYS = {
    "accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType",
    "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "sourceIp", "user", "userAgent", "userArn",
}  # fmt: skip


def proxied(body: bytes = b"", query: str = "", **headers: str) -> dict[str, Any]:
    return proxy_event(make_stack(), make_request(query=query, **headers), MATCH, body, {"tenant": "acme"})


def test_a_proxy_event_has_the_documented_shape() -> None:
    event = proxied()
    assert set(event) == DOCUMENTED_KEYS
    context = event["requestContext"]
    assert set(context) >= DOCUMENTED_CONTEXT_KEYS
    assert set(context["identity"]) == DOCUMENTED_IDENTITY_KEYS
    assert context["authorizer"] == {"tenant": "acme"}
    assert (event["resource"], event["path"], context["resourcePath"], context["path"], context["stage"]) == (
        "/v1/models/{model}", "/v1/models/gpt", "/v1/models/{model}", "/v1/models/gpt", "prod",
    )  # fmt: skip


def test_an_authorizer_event_has_the_documented_shape() -> None:
    event = authorizer_event(make_stack(), make_request(), MATCH)
    assert set(event) == DOCUMENTED_KEYS - {"body", "isBase64Encoded"} | {"type", "methodArn"}
    assert event["methodArn"] == "arn:aws:execute-api:us-east-1:123456789012:local/prod/GET/v1/models/gpt"
    assert event["queryStringParameters"] == {}
    assert "authorizer" not in event["requestContext"]


def test_what_is_absent_is_null_in_a_proxy_event() -> None:
    event = proxied()
    assert [event[name] for name in ("queryStringParameters", "multiValueQueryStringParameters", "body")] == [None] * 3


def test_repeated_parameters_and_headers_are_kept_and_the_last_one_wins() -> None:
    event = proxied(query="a=1&a=%32%20&b=", accept="x")
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2 "], "b": [""]}
    assert event["queryStringParameters"] == {"a": "2 ", "b": ""}
    assert event["multiValueHeaders"]["accept"] == ["x"]


def test_a_body_is_text_and_what_is_not_utf8_is_replaced() -> None:
    event = proxied(b"a\xffb")
    assert (event["body"], event["isBase64Encoded"]) == ("a\ufffdb", False)


def test_the_peer_is_the_source_whatever_the_client_forwards() -> None:
    event = proxied(x_forwarded_for="203.0.113.9", x_forwarded_proto="gopher", connection="close", content_length="3")
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"
    assert event["headers"]["X-Forwarded-For"] == "203.0.113.9, 127.0.0.1"
    assert event["headers"]["X-Forwarded-Proto"] == "http"
    assert not {"connection", "content-length", "x-forwarded-for"} & set(event["headers"])
