"""OpenAPI documents when a policy is checked: what is refused, with line, place and reason, and what is taken."""

import json
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport_cli.policy.openapi import compile_openapi
from tests.unit.verification.openapi.documents import JSON, answers, checks, document, parameter, refused, takes

SOUND = """\
openapi: 3.1.0
info: {title: Summaries, version: "1"}
paths:
  /v1/run:
    post:
      requestBody:
        content:
          application/json:
            schema: {$ref: "#/components/schemas/Text"}
      responses:
        "200": {description: done}
components:
  schemas:
    Text: {type: object}
"""


def problem(text: str) -> str:
    """Give why a document is refused."""
    with pytest.raises(ValueError, match=r".") as caught:
        compile_openapi(text)
    return str(caught.value)


def of_schema(schema: Any, version: str = "3.1.0", **components: Any) -> str:
    """Give why a schema is refused."""
    return problem(document({"/": {"post": takes(schema)}}, version, **components))


def of_operation(operation: Any, path: str = "/") -> str:
    """Give why an operation is refused."""
    return problem(document({path: {"post": operation}}))


def test_sound_document_is_plain_json() -> None:
    compiled = compile_openapi(SOUND)
    assert json.loads(json.dumps(compiled)) == compiled
    assert compiled["format"] == 1


def test_json_and_yaml_are_both_taken() -> None:
    assert compile_openapi(document({"/": {"get": {}}}))["paths"][0]["path"] == "/"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("openapi: 3.1.0", "openapi: 3.2.0", "line 1: openapi: must be an OpenAPI version"),
        ("openapi: 3.1.0", 'swagger: "2.0"', "openapi: must be an OpenAPI version"),
        ("openapi: 3.1.0", "openapi: 3.1", "line 1: openapi: must be an OpenAPI version"),
        ("  /v1/run:", "  v1/run:", "line 4: paths.v1/run: a path begins with a slash"),
        ("    post:", "    trace:", "line 5: paths./v1/run.trace: isn't a method that the gateway passes on"),
        ("    post:", "    x-post:", "line 3: paths: has no operation"),
        ('"200"', "OK", "line 11: paths./v1/run.post.responses.OK: must be a status"),
        ("application/json", "json", "line 8: paths./v1/run.post.requestBody.content.json: is no media type"),
        ("#/components/schemas/Text", "#/components/schemas/Other", "$ref names nothing in the document"),
        ("{type: object}", "{type: thing}", "line 14: components.schemas.Text.type: isn't a schema"),
        ("{type: object}", "{type: object}\n    Text: {}", "line 15"),
        ("{type: object}", "&a {type: object}", "line 14"),
        ("info:", "info: [", "line"),
    ],
)
def test_broken_document_is_refused_with_line_and_place(old: str, new: str, told: str) -> None:
    assert old in SOUND
    assert told in problem(SOUND.replace(old, new, 1))


@pytest.mark.parametrize(
    "reference",
    [
        "https://example.com/schema.json",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "other.yaml#/components/schemas/Text",
        "//example.com/a",
        "",
    ],
)
def test_reference_out_of_the_document_is_refused_without_a_look(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    for text in (
        document({"/": {"post": takes({"$ref": reference})}}),
        document({"/": {"post": takes({"type": "object", "properties": {"a": {"$ref": reference}}})}}),
        document({"/": {"$ref": reference}}),
        document({"/": {"post": {"requestBody": {"$ref": reference}}}}),
        document({"/": {"get": {"parameters": [{"$ref": reference}]}}}),
        document({"/": {"get": {"responses": {"200": {"$ref": reference}}}}}),
    ):
        assert "$ref leads out of the document" in problem(text)


@pytest.mark.parametrize("keyword", ["$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef"])
def test_other_ways_to_refer_are_refused(keyword: str) -> None:
    assert f"{keyword} isn't taken" in of_schema({"type": "object", "properties": {"a": {keyword: "#x"}}})


def test_dialect_other_than_2020_12_is_refused() -> None:
    assert "the only dialect" in of_schema({"$schema": "http://json-schema.org/draft-04/schema#"})


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (r"(a)\1", "isn't a regular expression, refers back to a group, or repeats too much"),
        (r"(?=a)b", "looks ahead or behind"),
        (r"(?<!a)b", "looks ahead or behind"),
        ("(", "isn't a regular expression"),
        ("((a{0,1000}){0,1000}){0,1000}", "repeats too much"),
        ("((a{0,100}|b){0,100})*", "repeats too much"),
        ("a" * 1001, "at most 1000 characters"),
        (5, "a pattern is text"),
    ],
)
def test_pattern_that_may_not_be_matched_fast_is_refused(pattern: object, told: str) -> None:
    found = of_schema({"type": "object", "properties": {"a": {"pattern": pattern}}})
    assert "schema.properties.a.pattern: " in found
    assert told in found


def test_pattern_of_names_is_held_to_the_same() -> None:
    assert "looks ahead or behind" in of_schema({"patternProperties": {"(?=a)": {}}})


def test_pattern_that_backtracking_engines_die_of_is_taken_and_fast() -> None:
    made = checks({"/": {"post": takes({"type": "string", "pattern": "^(a+)+$"})}})
    assert refused(made, "POST", "/", body=json.dumps("a" * 100_000 + "!")) == "body"


def test_references_that_double_are_refused() -> None:
    parts: dict[str, Any] = {f"S{i}": {"allOf": [{"$ref": f"#/components/schemas/S{i + 1}"}] * 2} for i in range(30)}
    assert "could take very long" in of_schema({"$ref": "#/components/schemas/S0"}, S30={"type": "string"}, **parts)


def test_forms_that_double_by_recursion_end() -> None:
    tree = {"oneOf": [{"properties": {"a": {"$ref": "#/components/schemas/T"}}, "required": [name]} for name in "ab"]}
    made = checks({"/": {"post": takes({"$ref": "#/components/schemas/T"})}}, T=tree)
    body: dict[str, Any] = {"b": 1}
    for _ in range(50):
        body = {"a": body}
    assert refused(made, "POST", "/", body=json.dumps(body)) is None


def test_long_list_of_unlike_values_is_refused() -> None:
    """The engine compares them one by one, for each item of a body."""
    assert compile_openapi(document({"/": {"post": takes({"enum": [str(i) for i in range(5000)]})}}))
    mixed = {"anyOf": [{"enum": list(range(4000 * i, 4000 * (i + 1)))} for i in range(8)]}
    assert "could take very long" in of_schema(mixed)
    assert "more than 5000 values" in of_schema({"enum": list(range(5001))})


def test_schema_that_is_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(60):
        schema = {"not": schema}
    assert "nested more than 48 deep" in of_schema(schema)
    for _ in range(2000):
        schema = {"not": schema}
    assert "nested" in of_schema(schema)


def test_references_in_a_circle_are_refused_where_nothing_else_is_named() -> None:
    text = json.dumps(
        {
            "openapi": "3.1.0",
            "paths": {"/": {"post": {"requestBody": {"$ref": "#/components/requestBodies/A"}}}},
            "components": {"requestBodies": {"A": {"$ref": "#/components/requestBodies/A"}}},
        }
    )
    assert "a reference leads to itself" in problem(text)


@pytest.mark.parametrize(
    ("described", "told"),
    [
        (parameter("query", {}, style="matrix"), "style: must be form or spaceDelimited"),
        (parameter("path", {}, style="label", required=True), "style: must be simple in a path"),
        (parameter("header", {}, style="form"), "style: must be simple"),
        (parameter("query", {"type": "string"}, style="deepObject"), "deepObject is for objects"),
        (parameter("query", {"type": "array"}, style="pipeDelimited", explode=True), "with explode: false"),
        (parameter("query", {"type": ["array", "string"]}), "may be a single value or a list or an object"),
        (parameter("body", {}), "in: must be one of path, query, header, cookie"),
        (parameter("path", {}), "required: must be true for a path's parameter"),
        (parameter("query", {"type": "text"}), "isn't a schema"),
        (parameter("query", {}, required="yes"), "required: must be true or false"),
        ({"name": "p", "in": "query"}, "has neither a schema nor content"),
        ({"name": "p", "in": "query", "content": {"text/csv": {}}}, "the only content of a parameter"),
        ({"in": "query", "schema": {}}, "name: is missing"),
    ],
)
def test_parameter_that_can_not_be_read_is_refused(described: Any, told: str) -> None:
    found = of_operation({"parameters": [described]})
    assert "paths./.post.parameters[0]" in found
    assert told in found


def test_parameter_that_is_there_twice_is_refused() -> None:
    twice = [parameter("header", {}, "X-A"), parameter("header", {}, "x-a")]
    assert "header x-a is there twice" in of_operation({"parameters": twice})


def test_parameter_that_the_path_lacks_is_refused() -> None:
    told = of_operation({"parameters": [parameter("path", {}, "b", required=True)]})
    assert "the path's parameter b isn't in its template; it must be in both" in told


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/{a}", "the path's parameter a isn't among its parameters; it must be in both"),
        ("/{a}{b}", "two parameters in one segment"),
        ("/{a}-{b}", "two parameters in one segment"),
        ("/{a}/{a}", "a parameter is there twice"),
        ("/a//b", "no request has such a path"),
        ("/a/../b", "no request has such a path"),
        ("/a%2Fb", "encoded slashes"),
        ("/a?b=1", "question mark, hash or semicolon"),
        ("/a;b", "question mark, hash or semicolon"),
        ("/{a", "has a brace that is no parameter's"),
    ],
)
def test_path_that_no_request_can_have_is_refused(path: str, told: str) -> None:
    assert told in of_operation({}, path)


def test_two_templates_of_one_path_are_refused() -> None:
    paths = {f"/{{{name}}}": {"get": {"parameters": [parameter("path", {}, name, required=True)]}} for name in "ab"}
    assert "is the same path as /{a}" in problem(document(paths))


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object", "properties": {"a": {"type": "object"}}}, "is an object, which no form's field can be"),
        ({"type": "object", "properties": {"a": {"type": ["array", "string"]}}}, "may be a single value or a list"),
    ],
)
def test_form_that_can_not_be_read_is_refused(schema: Any, told: str) -> None:
    assert told in of_operation(takes(schema, "application/x-www-form-urlencoded"))


def test_media_type_that_is_there_twice_is_refused() -> None:
    content: dict[str, Any] = {"application/json": {}, "Application/JSON; charset=utf-8": {}}
    assert "there twice" in of_operation({"requestBody": {"content": content}})
    content = {"*/*": {"schema": {"type": "object"}}, "*/* ": {"schema": {"type": "object"}}}
    assert "there twice" in of_operation({"requestBody": {"content": content}})


def test_words_of_3_1_in_a_3_0_document_are_refused() -> None:
    assert "isn't a schema" in of_schema({"type": "integer", "exclusiveMinimum": True})
    assert "must be a mapping" in of_schema(True, "3.0.3")


def test_what_only_describes_is_left_out() -> None:
    schema = {"type": "string", "description": "d", "example": {"$ref": "http://example.com"}, "x-own": {"$id": "a"}}
    compiled = json.dumps(compile_openapi(document({"/": {"post": takes(schema)}})))
    assert "example.com" not in compiled
    assert "x-own" not in compiled


def test_too_large_a_document_is_refused() -> None:
    assert "larger than 2 MB" in problem(SOUND + "#" * 2_000_000)


_WORDS = "type properties items $ref allOf oneOf pattern enum required schema content in name parameters requestBody"
_FIELDS = [*_WORDS.split(), "responses", "200", JSON, "get", "nullable", "style", "encoding"]
_anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["object", "array", "#/components/schemas/S", "a", "("]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=4),
    max_leaves=15,
)


@given(_anything, _anything, st.sampled_from(["3.0.3", "3.1.0"]))
def test_any_document_is_compiled_or_refused_in_words(operation: Any, schema: Any, version: str) -> None:
    texts = [
        document({"/": {"get": operation}}, version, S=schema),
        document({"/": {"post": takes(schema)}}, version, S=schema),
        document({"/": {"get": answers(schema)}}, version, S=schema),
        document({"/": {"get": {"parameters": [parameter("query", schema)]}}}, version, S=schema),
        document({"/": {"post": takes(schema, "application/x-www-form-urlencoded")}}, version, S=schema),
    ]
    for text in texts:
        try:
            compile_openapi(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - most are refused, by whatever is broken first


def test_number_that_json_cannot_say_is_refused() -> None:
    assert "JSON" in problem(SOUND.replace("{type: object}", "{enum: [1e400]}"))


@pytest.mark.parametrize("reference", ["#", "#/paths/~1", "#/paths/~1/post", "#/components", "#/components/headers/A"])
def test_reference_of_a_schema_to_something_else_is_refused(reference: str) -> None:
    text = json.loads(document({"/": {"post": takes({"$ref": reference})}}))
    text["components"]["headers"] = {"A": {"schema": {"type": "string"}}}
    assert "isn't a schema" in problem(json.dumps(text))
