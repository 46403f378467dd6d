"""The routes without an upstream."""

import json
from typing import Any

import pytest

from sallyport.gateway.assembly.plain_route import health_route, models_route, unmatched_route
from sallyport.gateway.plain_routes import ROUTES
from tests.support.events import ACME, Context, proxy_event

ENVIRON = {"AWS_REGION": "us-east-1", "SALLYPORT_LOG_LEVEL": "INFO", "SALLYPORT_MODELS": "gpt-a,gpt-b"}


def body(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])


def models(*, environ: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    return models_route(environ or ENVIRON)(proxy_event("GET", "/v1/models", **options), Context())


def one_model(name: str, **options: Any) -> dict[str, Any]:
    resource, parameters = "/v1/models/{model}", {"model": name}
    event = proxy_event("GET", f"/v1/models/{name}", resource=resource, path_parameters=parameters, **options)
    return models_route(ENVIRON)(event, Context())


def test_the_list_of_models_is_openais() -> None:
    answer = models()
    assert answer["statusCode"] == 200
    assert body(answer)["object"] == "list"
    assert body(answer)["data"][0] == {"id": "gpt-a", "object": "model", "created": 0, "owned_by": "sallyport"}
    assert answer["headers"]["x-request-id"]


def test_a_caller_sees_the_models_it_may_use() -> None:
    assert [model["id"] for model in body(models(principal=ACME._replace(models=("gpt-b", "gpt-z"))))["data"]] == [
        "gpt-b"
    ]


def test_without_configured_models_a_caller_sees_its_own() -> None:
    answer = models(environ={**ENVIRON, "SALLYPORT_MODELS": ""}, principal=ACME._replace(models=("gpt-b",)))
    assert [model["id"] for model in body(answer)["data"]] == ["gpt-b"]


@pytest.mark.parametrize("name", ["gpt-b", "gpt%2Db"])
def test_one_model(name: str) -> None:
    assert body(one_model(name))["id"] == "gpt-b"


@pytest.mark.parametrize(("name", "permitted"), [("gpt-z", ()), ("gpt-a", ("gpt-b",))])
def test_a_model_that_is_not_the_callers_does_not_exist(name: str, permitted: tuple[str, ...]) -> None:
    answer = one_model(name, principal=ACME._replace(models=permitted))
    assert (answer["statusCode"], body(answer)["error"]["code"]) == (404, "model_not_found")
    assert name not in answer["body"]


def test_the_models_scope_is_needed() -> None:
    answer = models(principal=ACME._replace(scopes=("chat",)))
    assert (answer["statusCode"], body(answer)["error"]["code"]) == (403, "insufficient_scope")
    assert answer["headers"]["x-should-retry"] == "false"


def test_without_an_authorizer_nobody_is_known() -> None:
    answer = models(principal=None)
    assert (answer["statusCode"], body(answer)["error"]["code"]) == (500, "internal_error")


def test_health_needs_nobody() -> None:
    answer = health_route(ENVIRON)(proxy_event("GET", "/healthz", principal=None), Context())
    assert (answer["statusCode"], body(answer)) == (200, {"status": "ok"})


def unmatched(method: str, path: str, resource: str) -> dict[str, Any]:
    return unmatched_route(ENVIRON)(proxy_event(method, path, resource=resource), Context())


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/chat/completions", "/v1/files", "/robots.txt"])
def test_an_unknown_path_is_404(path: str) -> None:
    answer = unmatched("GET", path, "/{proxy+}" if path != "/" else "/")
    assert (answer["statusCode"], body(answer)["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("resource", list(ROUTES))
def test_a_wrong_method_is_405_and_says_which_are_right(resource: str) -> None:
    answer = unmatched("DELETE", resource.replace("{model}", "gpt-a"), resource)
    assert (answer["statusCode"], body(answer)["error"]["code"]) == (405, "method_not_allowed")
    assert answer["headers"]["allow"] == ", ".join(ROUTES[resource])


def test_an_unknown_path_answers_in_the_shape_of_its_neighbourhood() -> None:
    assert body(unmatched("POST", "/v1/messages/x", "/{proxy+}"))["type"] == "error"
    problem = unmatched("GET", "/apps/x", "/{proxy+}")
    assert problem["headers"]["content-type"] == "application/problem+json"
    assert body(problem) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such route.",
        "code": "not_found",
    }


def test_a_path_s_query_or_name_never_reaches_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    unmatched("GET", "/v1/token-secret", "/{proxy+}")
    assert "secret" not in capsys.readouterr().out
