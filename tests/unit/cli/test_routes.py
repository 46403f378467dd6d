"""API Gateway's order of precedence."""

import pytest

from sallyport_cli.local.routes import RoutingTable
from sallyport_cli.local.stack import Route


def route(resource: str, method: str, function: str) -> Route:
    return Route(resource, method, function, authorized=True, streamed=False, timeout_s=29)


TABLE = RoutingTable(
    [
        route("/{proxy+}", "ANY", "rest"),
        route("/", "ANY", "root"),
        route("/v1/models", "GET", "list"),
        route("/v1/models/{model}", "ANY", "any-model"),
        route("/v1/models/{model}", "GET", "get-model"),
        route("/v1/models/special", "GET", "special"),
        route("/v1/{name}/parts", "GET", "parts"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("GET", "/", "root", {}),
        ("GET", "/v1/models", "list", {}),
        ("GET", "/v1/models/", "list", {}),
        ("GET", "/v1/models/gpt", "get-model", {"model": "gpt"}),
        ("DELETE", "/v1/models/gpt", "any-model", {"model": "gpt"}),
        ("GET", "/v1/models/special", "special", {}),
        ("GET", "/v1/models/parts", "get-model", {"model": "parts"}),
        ("GET", "/v1/x/parts", "parts", {"name": "x"}),
        ("GET", "/v1/models/a/b", "rest", {"proxy": "v1/models/a/b"}),
        ("PUT", "/elsewhere", "rest", {"proxy": "elsewhere"}),
        ("GET", "/v1/models/org%2Fname", "get-model", {"model": "org%2Fname"}),
    ],
)
def test_static_beats_variable_beats_greedy_and_method_beats_any(
    method: str, path: str, function: str, parameters: dict[str, str]
) -> None:
    match = TABLE.match(method, path)
    assert match is not None
    assert (match.route.function, match.path_parameters) == (function, parameters)


def test_a_resource_without_the_method_does_not_fall_back_to_a_wider_one() -> None:
    assert TABLE.match("POST", "/v1/models") is None


def test_an_unknown_path_without_a_greedy_resource_is_no_match() -> None:
    assert RoutingTable([route("/a", "GET", "a")]).match("GET", "/b") is None
