"""The routes without an upstream."""

import json
from typing import Any

import pytest

from sallyport.gateway.assembly.plain_route import health_route, models_route, unmatched_route
from sallyport.gateway.plain_routes import ROUTES, PlainRoute
from tests.functional.router.gateway import apply_policy
from tests.support.aws import CONFIG_TABLE, LOCAL_AWS, Emulator
from tests.support.events import ACME, Context, proxy_event
from tests.support.servers import refused_url

ENVIRON = {**LOCAL_AWS, "SALLYPORT_LOG_LEVEL": "INFO"}


def body(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])


def models_environ(emulator: Emulator, **changes: str) -> dict[str, str]:
    endpoint = {"AWS_ENDPOINT_URL": emulator.url, "SALLYPORT_CONFIG_TABLE": CONFIG_TABLE}
    return {**ENVIRON, **endpoint, "SALLYPORT_MODELS": "gpt-a,gpt-b", **changes}


@pytest.fixture
def route(emulator: Emulator) -> PlainRoute:
    emulator.empty_tables()
    return models_route(models_environ(emulator))


def models(route: PlainRoute, **options: Any) -> dict[str, Any]:
    context = Context()
    answer = route(proxy_event("GET", "/v1/models", **options), context)
    context.finish()
    return answer


def one_model(route: PlainRoute, name: str, **options: Any) -> dict[str, Any]:
    resource, parameters = "/v1/models/{model}", {"model": name}
    event = proxy_event("GET", f"/v1/models/{name}", resource=resource, path_parameters=parameters, **options)
    return route(event, Context())


def test_the_list_of_models_is_openais(route: PlainRoute) -> None:
    answer = models(route)
    assert answer["statusCode"] == 200
    assert body(answer)["object"] == "list"
    assert body(answer)["data"][0] == {"id": "gpt-a", "object": "model", "created": 0, "owned_by": "sallyport"}
    assert answer["headers"]["x-request-id"]


def test_a_caller_sees_the_models_it_may_use(route: PlainRoute) -> None:
    answer = models(route, principal=ACME._replace(models=("gpt-b", "gpt-z")))
    assert [model["id"] for model in body(answer)["data"]] == ["gpt-b"]


def test_without_configured_models_a_caller_sees_its_own(emulator: Emulator) -> None:
    emulator.empty_tables()
    route = models_route(models_environ(emulator, SALLYPORT_MODELS=""))
    answer = models(route, principal=ACME._replace(models=("gpt-b",)))
    assert [model["id"] for model in body(answer)["data"]] == ["gpt-b"]
    assert body(models(route))["data"] == []


def test_an_applied_policy_s_models_replace_the_configured_ones_soon(emulator: Emulator) -> None:
    emulator.empty_tables()
    now_s = [1_000_000.0]
    route = models_route(models_environ(emulator), lambda: now_s[0])
    apply_policy(emulator, "models: {gpt-z: {max_output_tokens: 10}}")
    assert [model["id"] for model in body(models(route))["data"]] == ["gpt-a", "gpt-b"]
    now_s[0] += 6
    models(route)  # looks for a newer policy once it has answered
    assert [model["id"] for model in body(models(route))["data"]] == ["gpt-z"]


def test_whose_data_may_not_be_handled_here_is_sent_elsewhere(
    route: PlainRoute, capsys: pytest.CaptureFixture[str]
) -> None:
    abroad = ACME._replace(residency=("eu-central-1",))
    for answer in (models(route, principal=abroad), one_model(route, "gpt-a", principal=abroad)):
        assert (answer["statusCode"], body(answer)["error"]["code"]) == (421, "misdirected_region")
    assert "acme" not in capsys.readouterr().out


def test_without_any_policy_there_is_no_list(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    answer = models(models_route(models_environ(emulator, AWS_ENDPOINT_URL=refused_url())))
    assert (answer["statusCode"], body(answer)["error"]["code"]) == (503, "service_unavailable")
    assert '"PolicyRefreshFailure": 1' in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gpt-b", "gpt%2Db"])
def test_one_model(route: PlainRoute, name: str) -> None:
    assert body(one_model(route, name))["id"] == "gpt-b"


@pytest.mark.parametrize(("name", "permitted"), [("gpt-z", ()), ("gpt-a", ("gpt-b",))])
def test_a_model_that_is_not_the_callers_does_not_exist(
    route: PlainRoute, name: str, permitted: tuple[str, ...]
) -> None:
    answer = one_model(route, name, principal=ACME._replace(models=permitted))
    assert (answer["statusCode"], body(answer)["error"]["code"]) == (404, "model_not_found")
    assert name not in answer["body"]


def test_the_models_scope_is_needed(route: PlainRoute) -> None:
    answer = models(route, principal=ACME._replace(scopes=("chat",)))
    assert (answer["statusCode"], body(answer)["error"]["code"]) == (403, "insufficient_scope")
    assert answer["headers"]["x-should-retry"] == "false"


def test_without_an_authorizer_nobody_is_known(route: PlainRoute) -> None:
    answer = models(route, principal=None)
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
