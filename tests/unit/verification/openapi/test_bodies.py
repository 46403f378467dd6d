"""Bodies of requests: which content type they have, whether they are strict JSON, and what their schema says."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import InvalidJsonError, SallyportError, UnsupportedMediaTypeError
from tests.unit.verification.openapi.documents import JSON, checks, parameter, refused, takes

ITEM: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "maxLength": 5}, "tags": {"type": "array", "items": {"type": "string"}}},
    "additionalProperties": False,
}
FORM = "application/x-www-form-urlencoded"


def posted(
    schema: Any, body: Any, *, declared: str = JSON, sent: str = JSON, version: str = "3.1.0", **more: Any
) -> str | None:
    """Give the place at fault in a body, None if it passes."""
    text = body if isinstance(body, str) else json.dumps(body)
    made = checks({"/": {"post": takes(schema, declared)}}, version, **more)
    return refused(made, "POST", "/", body=text, media_type=sent)


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({"name": "a"}, None),
        ({}, "body.name"),
        ({"name": 1}, "body.name"),
        ({"name": "abcdef"}, "body.name"),
        ({"name": "a", "tags": ["x", 2]}, "body.tags[1]"),
        ({"name": "a", "other": 1}, "body.other"),
        ([], "body"),
        ("null", "body"),
    ],
)
def test_body_is_held_to_its_schema(body: Any, at_fault: str | None) -> None:
    assert posted(ITEM, body) == at_fault


@pytest.mark.parametrize(
    "text",
    ["{", '{"name": "a", "name": "b"}', '{"name": NaN}', "[" * 5000, " ", '\ufeff{"name": "a"}', '{"name":"a"}{}'],
)
def test_body_that_is_not_strict_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidJsonError):
        posted(ITEM, text)


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "text/json",
        "application/vnd.other+json",
        "application/json, text/plain",
        "application/json;a=b, text/plain",
        "application/json; charset=utf-16",
        'application/json; charset="UTF-16"',
        "application/json; charset\t=utf-16",
        "application/json; a=b; charset=latin1",
        "application/json; charset*=utf-16",
        "application /json",
        "application/json\x0b",
        "json",
        "*/*",
    ],
)
def test_body_of_another_content_type_is_refused(media_type: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        posted(ITEM, {"name": "a"}, sent=media_type)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "media_type",
    [JSON, "Application/JSON", "application/json;charset=utf-8", 'application/json ; charset="UTF-8"; a=b'],
)
def test_content_type_is_compared_as_http_says(media_type: str) -> None:
    assert posted(ITEM, {"name": 1}, sent=media_type) == "body.name"


@pytest.mark.parametrize(
    ("declared", "sent"),
    [
        ("application/*", JSON),
        ("*/*", JSON),
        ("application/*", "application/vnd.a+json"),
        ("application/vnd.a+json", "application/vnd.a+json"),
        ("application/json; charset=utf-8", JSON),
    ],
)
def test_json_is_looked_into_by_whatever_entry_it_falls_under(declared: str, sent: str) -> None:
    assert posted(ITEM, {"name": "a"}, declared=declared, sent=sent) is None
    assert posted(ITEM, {"name": 1}, declared=declared, sent=sent) == "body.name"


@pytest.mark.parametrize("sent", ["text/plain", "application/xml", "application/x-yaml", FORM])
def test_range_with_a_schema_that_only_json_can_have_takes_nothing_else(sent: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        posted(ITEM, {"name": 1}, declared="*/*", sent=sent)


def test_range_whose_schema_is_a_text_takes_any_type() -> None:
    assert posted({"type": "string"}, "a,b", declared="text/*", sent="text/csv") is None


def test_plain_text_is_held_to_its_schema() -> None:
    schema = {"type": "string", "maxLength": 3}
    assert posted(schema, "abc", declared="text/plain", sent="text/plain") is None
    assert posted(schema, "abcd", declared="text/plain", sent="text/plain; charset=utf-8") == "body"


@pytest.mark.parametrize(
    ("text", "at_fault"),
    [
        ("name=a&tags=x&tags=y&n=3", None),
        ("name=a&tags=x", None),
        ("name=a%20b", None),
        ("tags=x", "body.name"),
        ("name=abcdef", "body.name"),
        ("name=a&name=b", "body"),
        ("name=a&n=three", "body.n"),
        ("name=a&other=1", "body.other"),
        ("name", "body"),
        ("name=%ff", "body"),
        ("&".join(["tags=x"] * 1001), "body"),
    ],
)
def test_form_is_held_to_its_schema(text: str, at_fault: str | None) -> None:
    schema = {**ITEM, "properties": {**ITEM["properties"], "n": {"type": "integer"}}}
    assert posted(schema, text, declared=FORM, sent=FORM) == at_fault


def test_body_that_is_required_must_be_there() -> None:
    made = checks({"/": {"post": takes(ITEM), "put": takes(ITEM, required=False)}})
    assert refused(made, "POST", "/") == "body"
    assert refused(made, "PUT", "/") is None


def test_body_that_no_one_described_is_refused() -> None:
    assert refused(checks({"/": {"get": {}}}), "GET", "/", body="{}") == "body"


@pytest.mark.parametrize(
    ("schema", "body", "passes"),
    [
        ({"type": "string", "nullable": True}, None, True),
        ({"type": "string"}, None, False),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, 1, False),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": False}, 1, True),
        ({"type": "integer", "maximum": 1, "exclusiveMaximum": True}, 1, False),
        ({"type": "integer", "exclusiveMinimum": True}, 1, True),
        ({"type": "string", "example": 5, "xml": {}, "deprecated": True, "externalDocs": {}}, "a", True),
        ({"$ref": "#/components/schemas/Name", "maxLength": 1}, "abc", True),
        ({"type": "string", "format": "binary"}, "a", True),
    ],
)
def test_openapi_3_0_has_a_dialect_of_its_own(schema: Any, body: Any, passes: bool) -> None:
    assert posted(schema, json.dumps(body), version="3.0.3", Name={"type": "string"}) == (None if passes else "body")


@pytest.mark.parametrize(
    ("schema", "body", "passes"),
    [
        ({"type": ["string", "null"]}, None, True),
        ({"type": "integer", "exclusiveMinimum": 1}, 1, False),
        ({"$ref": "#/components/schemas/Name", "maxLength": 1}, "abc", False),
        ({"type": "string", "nullable": True}, None, False),
        ({"const": 3}, 3, True),
        (False, 3, False),
        ({"type": "integer", "maximum": 9223372036854775807}, 9223372036854775808, False),
        ({"type": "integer", "maximum": 9223372036854775807}, 5, True),
        ({"type": "object", "required": ["a", "a"]}, {}, False),
    ],
)
def test_openapi_3_1_is_json_schema(schema: Any, body: Any, passes: bool) -> None:
    found = posted(schema, json.dumps(body), Name={"type": "string"})
    assert found is None if passes else found in {"body", "body.a"}


def test_field_that_is_read_only_is_not_required_of_a_request() -> None:
    schema = {
        "type": "object",
        "required": ["id", "key", "name"],
        "properties": {
            "id": {"type": "string", "readOnly": True},
            "key": {"$ref": "#/components/schemas/Key"},
            "name": {"type": "string"},
        },
    }
    assert posted(schema, {"name": "a"}, Key={"type": "string", "readOnly": True}) is None
    assert posted(schema, {"id": "1", "key": "2"}, Key={"type": "string", "readOnly": True}) == "body.name"


TREE: dict[str, Any] = {
    "type": "object",
    "required": ["value"],
    "properties": {
        "value": {"type": "integer"},
        "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
        "either": {"oneOf": [{"$ref": "#/components/schemas/Tree"}, {"type": "string"}]},
    },
    "additionalProperties": False,
}
_TREES = checks({"/": {"post": takes({"$ref": "#/components/schemas/Tree"})}}, Tree=TREE)


def test_recursive_schema_holds_every_level() -> None:
    good: dict[str, Any] = {"value": 1}
    for _ in range(20):
        good = {"value": 1, "children": [good], "either": copy.deepcopy({"value": 1})}
    assert refused(_TREES, "POST", "/", body=json.dumps(good)) is None
    assert refused(_TREES, "POST", "/", body='{"value": 1, "children": [{"value": "x"}]}') == "body.children[0].value"


def test_schema_that_is_only_a_circle_ends() -> None:
    circle: dict[str, Any] = {
        "Circle": {"$ref": "#/components/schemas/Other"},
        "Other": {"$ref": "#/components/schemas/Circle"},
    }
    made = checks({"/": {"post": takes({"$ref": "#/components/schemas/Circle"})}}, **circle)
    assert refused(made, "POST", "/", body="1") is None


@pytest.mark.parametrize("secret", ["sk-very-secret-value"])
def test_refusal_repeats_no_value(secret: str) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["x"]}, "b": {"type": "integer"}}}
    for body in ({"a": secret}, {"b": secret}):
        made = checks({"/": {"post": takes(schema)}})
        with pytest.raises(SallyportError) as caught:
            made.check_request(made.find("POST", "/"), {}, {}, JSON, json.dumps(body))
        assert secret not in caught.value.message
    made = checks({"/": {"get": {"parameters": [parameter("query", {"type": "integer"})]}}})
    with pytest.raises(SallyportError) as caught:
        made.check_request(made.find("GET", "/"), {"p": [secret]}, {}, "", "")
    assert secret not in caught.value.message


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "children", "either", "x"]), inner)
    ),
    max_leaves=10,
)


def _is_tree(value: Any) -> bool:
    if not isinstance(value, dict) or type(value.get("value")) is not int or not value.keys() <= {*TREE["properties"]}:
        return False
    children, either = value.get("children", []), value.get("either", "")
    return isinstance(children, list) and all(map(_is_tree, children)) and (isinstance(either, str) or _is_tree(either))


@given(_json)
def test_recursive_schema_agrees_with_a_reading_by_hand(value: Any) -> None:
    assert (refused(_TREES, "POST", "/", body=json.dumps(value)) is None) == _is_tree(value)


@given(st.text(max_size=60), st.sampled_from([JSON, "text/plain", FORM, "", "a/b; charset=x"]))
def test_no_text_that_is_not_a_tree_passes(text: str, media_type: str) -> None:
    try:
        place = refused(_TREES, "POST", "/", body=text, media_type=media_type)
    except (UnsupportedMediaTypeError, InvalidJsonError):
        return
    assert place is not None or _is_tree(json.loads(text))
