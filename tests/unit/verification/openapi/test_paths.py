"""Which operation a request is: precedence, encoding, slashes, and what no document's path is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import MethodNotAllowedError, OperationNotFoundError
from tests.unit.verification.openapi.documents import checks, parameter

NAMED = [parameter("path", {"type": "string"}, name, required=True) for name in ("id", "other")]
PATHS = {
    "/": {"get": {}},
    "/users/me": {"get": {}},
    "/users/{id}": {"get": {"parameters": NAMED[:1]}, "delete": {"parameters": NAMED[:1]}},
    "/users/{id}/files/{other}": {"get": {"parameters": NAMED}},
    "/users/{id}/files/last": {"get": {"parameters": NAMED[:1]}},
    "/users/{id}.json": {"get": {"parameters": NAMED[:1]}},
    "/caf\u00e9/": {"get": {}},
    "/a b": {"get": {}},
}
CHECKS = checks(PATHS)


@pytest.mark.parametrize(
    ("path", "place", "values"),
    [
        ("/", "/", {}),
        ("/users/me", "/users/me", {}),
        ("/users/m%65", "/users/me", {}),
        ("/users/ME", "/users/{id}", {"id": "ME"}),
        ("/users/a%20b", "/users/{id}", {"id": "a b"}),
        ("/users/%25", "/users/{id}", {"id": "%"}),
        ("/users/%6d%2565", "/users/{id}", {"id": "m%65"}),
        ("/users/x.json", "/users/{id}.json", {"id": "x"}),
        ("/users/.json", "/users/{id}", {"id": ".json"}),
        ("/users/1/files/last", "/users/{id}/files/last", {"id": "1"}),
        ("/users/1/files/2", "/users/{id}/files/{other}", {"id": "1", "other": "2"}),
        ("/caf%C3%A9/", "/caf\u00e9/", {}),
        ("/a%20b", "/a b", {}),
    ],
)
def test_path_is_matched(path: str, place: str, values: dict[str, str]) -> None:
    operation = CHECKS.find("GET", path)
    assert (operation.place, operation.path_values) == (f"GET {place}", values)


@pytest.mark.parametrize(
    "path",
    [
        "/users",
        "/users/",
        "/users/me/",
        "/caf%C3%A9",
        "/caf%c3/",
        "/caf\u00e9",
        "//users/me",
        "/users//files/last",
        "/users/me;x=1",
        "/users/1;/files/2",
        "/Users/me",
        "/users/%ff",
    ],
)
def test_path_that_is_none_of_the_documents_is_not_found(path: str) -> None:
    with pytest.raises(OperationNotFoundError) as caught:
        CHECKS.find("GET", path)
    assert (caught.value.status, caught.value.code) == (404, "operation_not_found")


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "get", "TRACE"])
def test_method_that_the_path_lacks_is_refused_with_those_it_has(method: str) -> None:
    with pytest.raises(MethodNotAllowedError) as caught:
        CHECKS.find(method, "/users/1")
    assert (caught.value.status, caught.value.headers) == (405, {"allow": "DELETE, GET"})


def test_method_of_a_template_is_not_one_of_the_concrete_path() -> None:
    """OpenAPI 3.1, "Paths Object": the concrete path is the one that counts, whatever methods it has."""
    with pytest.raises(MethodNotAllowedError):
        CHECKS.find("DELETE", "/users/me")


@given(st.text(max_size=40))
def test_any_path_is_found_or_not(path: str) -> None:
    try:
        operation = CHECKS.find("GET", path)
    except OperationNotFoundError:
        return
    assert operation.place.startswith("GET /")
    assert all(operation.path_values.values())
