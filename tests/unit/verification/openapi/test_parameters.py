"""Parameters in paths, queries, headers and cookies: the styles that OpenAPI writes them in, and their types."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.verification.openapi.documents import checks, parameter, refused, with_query

INTEGER = {"type": "integer", "minimum": 1, "maximum": 100}
NUMBERS = {"type": "array", "items": {"type": "integer"}, "maxItems": 3}
FILTER = {
    "type": "object",
    "properties": {"size": {"type": "integer"}, "name": {"type": "string"}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "text", "passes"),
    [
        (INTEGER, "1", True),
        (INTEGER, "0", False),
        (INTEGER, "101", False),
        (INTEGER, "1.5", False),
        (INTEGER, "01", False),
        (INTEGER, "+1", False),
        (INTEGER, " 1", False),
        (INTEGER, "\u0661", False),
        (INTEGER, "1_0", False),
        (INTEGER, "", False),
        (INTEGER, "9" * 5000, False),
        ({"type": "integer"}, "-3", True),
        ({"type": "number"}, "-1.5e3", True),
        ({"type": "number"}, "1e999", False),
        ({"type": "number"}, "NaN", False),
        ({"type": "number"}, "Infinity", False),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "True", False),
        ({"type": "boolean"}, "1", False),
        ({"type": "string"}, "true", True),
        ({"type": "string"}, "5", True),
        ({"type": "string", "minLength": 1}, "", False),
        ({"type": "string", "enum": ["asc", "desc"]}, "asc", True),
        ({"type": "string", "enum": ["asc", "desc"]}, "ASC", False),
        ({"type": "string", "format": "date"}, "2024-02-30", False),
        ({"type": "string", "format": "uuid"}, "b0a1c2d3-0000-4000-8000-000000000001", True),
        ({"type": "string", "pattern": "^[a-z]+$"}, "abc\n", False),
        ({"type": ["integer", "null"]}, "null", True),
        ({"type": ["integer", "string"], "maxLength": 2}, "123", True),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "7", True),
        ({"enum": [1, "all"]}, "1", True),
        ({"enum": [1, "all"]}, "all", True),
        ({"enum": [1, "all"]}, "2", False),
        (True, "anything", True),
    ],
)
def test_single_value_is_held_to_its_schema(schema: Any, text: str, passes: bool) -> None:
    assert with_query({"p": [text]}, parameter("query", schema)) == (None if passes else "query.p")


@pytest.mark.parametrize(
    ("more", "query", "at_fault"),
    [
        ({}, {"p": ["1", "2"]}, None),
        ({}, {"p": ["1"]}, None),
        ({}, {"p": ["1", "x"]}, "query.p[1]"),
        ({}, {"p": ["1,2"]}, "query.p[0]"),
        ({}, {"p": ["1", "2", "3", "4"]}, "query.p"),
        ({}, {"p": ["1"] * 1001}, "query.p"),
        ({"explode": False}, {"p": ["1,2"]}, None),
        ({"explode": False}, {"p": ["1,2,"]}, "query.p[2]"),
        ({"explode": False}, {"p": ["1", "2"]}, "query.p"),
        ({"explode": False}, {"p": ["1," * 5000]}, "query.p"),
        ({"explode": False, "style": "pipeDelimited"}, {"p": ["1|2"]}, None),
        ({"explode": False, "style": "spaceDelimited"}, {"p": ["1 2"]}, None),
        ({"explode": False, "style": "pipeDelimited"}, {"p": ["1,2"]}, "query.p[0]"),
    ],
)
def test_list_is_read_by_its_style(more: dict[str, Any], query: dict[str, list[str]], at_fault: str | None) -> None:
    assert with_query(query, parameter("query", NUMBERS, **more)) == at_fault


@pytest.mark.parametrize(
    ("more", "query", "at_fault"),
    [
        ({}, {"size": ["1"], "name": ["2"]}, None),
        ({}, {"size": ["x"]}, "query.p.size"),
        ({}, {"size": ["1", "2"]}, "query.p"),
        ({"style": "deepObject"}, {"p[size]": ["1"], "p[name]": ["2"]}, None),
        ({"style": "deepObject"}, {"p[size]": ["x"]}, "query.p.size"),
        ({"style": "deepObject"}, {"p[other]": ["x"]}, "query.p.other"),
        ({"style": "deepObject"}, {"p[size]": ["1", "2"]}, "query.p"),
        ({"style": "deepObject"}, {"p[size][]": ["1"]}, "query.p"),
        ({"style": "deepObject"}, {"p[]": ["1"]}, "query.p"),
        ({"explode": False}, {"p": ["size,1,name,2"]}, None),
        ({"explode": False}, {"p": ["size,x"]}, "query.p.size"),
        ({"explode": False}, {"p": ["size"]}, "query.p"),
        ({"explode": False}, {"p": ["size,1,size,2"]}, "query.p"),
    ],
)
def test_object_is_read_by_its_style(more: dict[str, Any], query: dict[str, list[str]], at_fault: str | None) -> None:
    assert with_query(query, parameter("query", FILTER, **more)) == at_fault


def test_value_given_twice_is_refused() -> None:
    assert with_query({"p": ["1", "101"]}, parameter("query", INTEGER)) == "query.p"


@pytest.mark.parametrize("where", ["query", "header", "cookie"])
def test_required_parameter_must_be_there(where: str) -> None:
    made = checks({"/": {"get": {"parameters": [parameter(where, {"type": "string"}, required=True)]}}})
    assert refused(made, "GET", "/") == f"{where}.p"
    assert refused(made, "GET", "/", query={"p": ["x"]}, headers={"p": "x", "cookie": "p=x"}) is None


@pytest.mark.parametrize("where", ["query", "header", "cookie"])
def test_half_a_character_is_refused(where: str) -> None:
    made = checks({"/": {"get": {"parameters": [parameter(where, {"type": "string", "maxLength": 9})]}}})
    half = "\ud800"
    assert refused(made, "GET", "/", query={"p": [half]}, headers={"p": half, "cookie": f"p={half}"}) == f"{where}.p"


def test_parameter_that_is_not_described_passes() -> None:
    assert with_query({"other": ["1"]}, parameter("query", INTEGER)) is None


@pytest.mark.parametrize(("text", "passes"), [("7", True), ("x", False), ("7%20", False), ("%37", True)])
def test_path_parameter_is_held_to_its_schema(text: str, passes: bool) -> None:
    made = checks({"/i/{p}": {"get": {"parameters": [parameter("path", INTEGER, required=True)]}}})
    assert refused(made, "GET", f"/i/{text}") == (None if passes else "path.p")


def test_list_in_a_path_is_separated_by_commas() -> None:
    made = checks({"/i/{p}": {"get": {"parameters": [parameter("path", NUMBERS, required=True)]}}})
    assert refused(made, "GET", "/i/1,2,3") is None
    assert refused(made, "GET", "/i/1,a") == "path.p[1]"


def test_header_is_found_whatever_its_case_and_may_be_a_list() -> None:
    made = checks({"/": {"get": {"parameters": [parameter("header", NUMBERS, "X-Numbers")]}}})
    assert refused(made, "GET", "/", headers={"x-numbers": " 1, 2"}) is None
    assert refused(made, "GET", "/", headers={"x-numbers": "1, b"}) == "header.X-Numbers[1]"


def test_headers_that_openapi_describes_elsewhere_are_no_parameters() -> None:
    described = [parameter("header", INTEGER, name, required=True) for name in ("Accept", "Content-Type")]
    assert refused(checks({"/": {"get": {"parameters": described}}}), "GET", "/") is None


@pytest.mark.parametrize(("text", "at_fault"), [('{"a": 1}', None), ('{"a": "1"}', "query.p.a"), ("{", "query.p")])
def test_parameter_with_json_as_its_content(text: str, at_fault: str | None) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    described = {"name": "p", "in": "query", "content": {"application/json": {"schema": schema}}}
    assert with_query({"p": [text]}, described) == at_fault


def test_nullable_list_of_the_kind_that_fastapi_writes() -> None:
    schema = {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}
    assert with_query({"p": ["1", "2"]}, parameter("query", schema)) is None
    assert with_query({"p": ["1", "x"]}, parameter("query", schema)) == "query.p"


def test_operations_own_parameter_stands_for_the_paths() -> None:
    item = {
        "parameters": [parameter("query", {"type": "integer"})],
        "get": {"parameters": [parameter("query", {"type": "boolean"})]},
        "post": {},
    }
    made = checks({"/": item})
    assert refused(made, "GET", "/", query={"p": ["true"]}) is None
    assert refused(made, "POST", "/", query={"p": ["true"]}) == "query.p"


@given(st.integers(min_value=1, max_value=100))
def test_every_integer_within_its_bounds_passes(number: int) -> None:
    assert refused(_BOUNDED, "GET", "/", query={"p": [str(number)]}) is None


@given(st.text(max_size=20).filter(lambda text: not (text.isascii() and text.isdigit())))
def test_no_other_text_is_an_integer(text: str) -> None:
    assert refused(_BOUNDED, "GET", "/", query={"p": [text]}) == "query.p"


@given(st.dictionaries(st.text(max_size=8), st.lists(st.text(max_size=8), max_size=4), max_size=4), st.text())
def test_any_query_and_cookies_are_judged(query: dict[str, list[str]], cookie: str) -> None:
    refused(_OF_ALL_STYLES, "GET", "/", query=query, headers={"cookie": cookie, "h": cookie})


_BOUNDED = checks({"/": {"get": {"parameters": [parameter("query", INTEGER)]}}})
_OF_ALL_STYLES = checks(
    {
        "/": {
            "get": {
                "parameters": [
                    parameter("query", NUMBERS, "a"),
                    parameter("query", NUMBERS, "b", explode=False),
                    parameter("query", FILTER, "c", style="deepObject"),
                    parameter("query", FILTER, "d"),
                    parameter("cookie", NUMBERS, "e"),
                    parameter("header", FILTER, "h", explode=True),
                ]
            }
        }
    }
)
