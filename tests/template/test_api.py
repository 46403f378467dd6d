"""The API of the transformed template: who guards what, and how answers travel."""

from collections.abc import Iterator
from typing import Any

from tests.template.transformed import open_api, resources

ANY = "x-amazon-apigateway-any-method"
APPS = {("/apps/{name}", ANY), ("/apps/{name}/{proxy+}", ANY)}
STREAMED = {
    ("/v1/chat/completions", "post"),
    ("/v1/responses", "post"),
    ("/v1/embeddings", "post"),
    ("/v1/messages", "post"),
    ("/v1/messages/count_tokens", "post"),
    *APPS,
}
ROUTES = {
    *STREAMED,
    ("/v1/models", "get"),
    ("/v1/models/{model}", "get"),
    ("/healthz", "get"),
}


def test_every_method_but_health_has_the_authorizer() -> None:
    unguarded = {(path, method) for path, method, operation in _operations() if operation["security"] != [{"Door": []}]}
    assert unguarded == {("/healthz", "get")}


def test_authorizer_is_asked_on_every_request_and_needs_no_identity_source() -> None:
    authorizer = open_api()["components"]["securitySchemes"]["Door"]["x-amazon-apigateway-authorizer"]
    assert authorizer["type"] == "request"
    assert authorizer["authorizerResultTtlInSeconds"] == 0
    assert "identitySource" not in authorizer
    assert authorizer["authorizerUri"]["Fn::Sub"][1] == {"__FunctionArn__": {"Ref": "AuthorizerFunctionAliaslive"}}


def test_routes_are_those_of_the_router() -> None:
    routes = {(path, method) for path, method, operation in _operations() if "Unmatched" not in _uri(operation)}
    assert routes == ROUTES


def test_every_resource_has_a_last_resort() -> None:
    paths = open_api()["paths"]
    assert {"/", "/{proxy+}"} <= set(paths)
    for path, methods in paths.items():
        last = "App" if (path, ANY) in APPS else "Unmatched"
        assert f"${{{last}FunctionAliaslive}}" in _uri(methods[ANY]), path
    intermediate = {"/" + path.strip("/").rpartition("/")[0] for path in paths}
    assert intermediate <= set(paths), "an intermediate resource without a method answers as API Gateway likes"


def test_only_streamed_routes_stream() -> None:
    for path, method, operation in _operations():
        integration = operation["x-amazon-apigateway-integration"]
        streamed = (path, method) in STREAMED
        assert _uri(operation).endswith("/response-streaming-invocations" if streamed else "/invocations")
        assert ("/2021-11-15/" in _uri(operation)) is streamed
        assert integration.get("responseTransferMode") == ("STREAM" if streamed else None)
        assert integration["type"] == "aws_proxy"


def test_integrations_wait_as_long_as_their_function_may_run() -> None:
    functions = resources("AWS::Lambda::Function")
    for path, method, operation in _operations():
        function = functions[_uri(operation).rpartition("${")[2].partition("Aliaslive}")[0]]
        wait_ms = operation["x-amazon-apigateway-integration"].get("timeoutInMillis", 29_000)
        assert function["Timeout"] * 1000 <= wait_ms, (path, method)
        assert wait_ms <= 900_000


def test_bodies_come_as_text() -> None:
    (api,) = resources("AWS::ApiGateway::RestApi").values()
    assert "BinaryMediaTypes" not in api
    assert "x-amazon-apigateway-binary-media-types" not in api["Body"]


def test_endpoint_is_regional() -> None:
    (api,) = resources("AWS::ApiGateway::RestApi").values()
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"], "IpAddressType": {"Ref": "EndpointIpAddressType"}}


def test_stage_throttles_everything_and_health_most() -> None:
    (stage,) = resources("AWS::ApiGateway::Stage").values()
    settings = {(each["ResourcePath"], each["HttpMethod"]): each for each in stage["MethodSettings"]}
    assert settings["/*", "*"]["ThrottlingRateLimit"] == {"Ref": "ThrottleRate"}
    assert settings["/~1healthz", "GET"]["ThrottlingRateLimit"] <= 5
    assert not any(each.get("DataTraceEnabled") for each in settings.values())


def test_access_log_holds_nothing_that_a_client_wrote() -> None:
    (stage,) = resources("AWS::ApiGateway::Stage").values()
    log_format = stage["AccessLogSetting"]["Fn::If"][1]["Format"]
    for variable in ("$context.path", "$context.error.message", "$context.identity.userAgent", "$input", "$method"):
        assert variable + '"' not in log_format
    assert "\n" not in log_format


def test_there_is_one_stage() -> None:
    assert len(resources("AWS::ApiGateway::Stage")) == 1
    (deployment,) = resources("AWS::ApiGateway::Deployment").values()
    assert "StageName" not in deployment


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in open_api()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _uri(operation: dict[str, Any]) -> str:
    uri: str = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
    return uri
