"""Answers: status, content type and body; what is told of them to a log."""

import json
from typing import Any

import pytest

from sallyport.verification.openapi.checks import OpenApiChecks
from sallyport.verification.violations import Violation
from tests.unit.verification.openapi.documents import JSON, answers, checks

ITEM = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer"}, "secret": {"type": "string", "writeOnly": True}},
    "additionalProperties": {"type": "integer"},
}


def looked_at(made: OpenApiChecks, body: bytes | None, status: int = 200, media_type: str | None = JSON) -> str | None:
    """Give the violation as a log has it, None if there is none."""
    headers = {} if media_type is None else {"content-type": media_type}
    violation = made.check_answer(made.find("GET", "/"), status, headers, body)
    return None if violation is None else " ".join(violation).rstrip()


def answered(schema: Any, body: Any, **options: Any) -> str | None:
    made = checks({"/": {"get": answers(schema)}})
    return looked_at(made, body if isinstance(body, bytes) else json.dumps(body).encode(), **options)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"id": 1}, None),
        ({"id": "1"}, "schema id"),
        ({}, "schema id"),
        ([{"id": 1}], "schema"),
        (b"", "encoding"),
        (b"{", "encoding"),
        (b'{"id": 1, "id": 2}', "encoding"),
        (b'{"id": NaN}', "encoding"),
        (b'{"\xff": 1}', "encoding"),
        ('{"id": 1}'.encode("utf-16"), "encoding"),
        (b'\xef\xbb\xbf{"id": 1}', "encoding"),
    ],
)
def test_body_is_held_to_its_schema(body: Any, found: str | None) -> None:
    assert answered(ITEM, body) == found


def test_name_that_may_be_data_is_not_told() -> None:
    assert answered(ITEM, {"id": 1, "jane.doe@example.com": "x"}) == "schema *"


@pytest.mark.parametrize(
    "media_type", [None, "", "text/html", "application/problem+json", "application/json, text/html"]
)
def test_other_content_type_is_a_violation(media_type: str | None) -> None:
    assert answered(ITEM, {"id": 1}, media_type=media_type) == "media_type content-type"


def test_other_charset_is_a_violation() -> None:
    assert answered(ITEM, {"id": 1}, media_type="application/json; charset=utf-16") == "encoding content-type"
    assert answered(ITEM, {"id": 1}, media_type="application/json; charset=utf-8") is None


@pytest.mark.parametrize(
    ("status", "found"), [(200, None), (404, "schema id"), (201, "status"), (304, None), (500, "status")]
)
def test_status_is_looked_up_exactly_then_by_range(status: int, found: str | None) -> None:
    described = answers({})["responses"] | answers(ITEM, "4XX")["responses"]
    made = checks({"/": {"get": {"responses": described}}})
    assert looked_at(made, b"{}", status) == found


def test_default_is_for_every_other_status() -> None:
    described = answers({})["responses"] | answers(ITEM, "default")["responses"]
    assert looked_at(checks({"/": {"get": {"responses": described}}}), b"{}", 500) == "schema id"


def test_document_that_says_nothing_of_answers_takes_all() -> None:
    assert looked_at(checks({"/": {"get": {}}}), b"<p>", 418, "text/html") is None
    assert (
        looked_at(checks({"/": {"get": {"responses": {"200": {"description": ""}}}}}), b"<p>", 200, "text/html") is None
    )


@pytest.mark.parametrize("status", [204, 205, 304])
def test_answer_without_a_body_needs_no_content_type(status: int) -> None:
    made = checks({"/": {"get": answers(ITEM, str(status))}})
    assert looked_at(made, b"", status, None) is None


def test_field_that_is_write_only_is_not_required_of_an_answer() -> None:
    assert answered({**ITEM, "required": ["id", "secret"]}, {"id": 1}) is None


def test_plain_text_is_held_to_its_schema_and_other_text_is_not() -> None:
    for media_type, found in (("text/plain", "schema"), ("text/csv", None)):
        made = checks({"/": {"get": answers({"type": "string", "maxLength": 2}, "200", media_type)}})
        assert looked_at(made, b"abc", 200, media_type) == found


def test_plain_text_is_a_text_under_a_range_too() -> None:
    made = checks({"/": {"get": answers({"type": "string", "maxLength": 2}, "200", "*/*")}})
    assert looked_at(made, b"ab", 200, "text/plain") is None
    assert looked_at(made, b"abc", 200, "text/plain") == "schema"
    assert looked_at(made, b'"ab"', 200, JSON) is None
    assert looked_at(made, b"ab", 200, JSON) == "encoding"


def test_plain_text_without_a_schema_may_have_any_charset() -> None:
    made = checks({"/": {"get": {"responses": {"200": {"content": {"text/plain": {}}}}}}})
    assert looked_at(made, b"\xe9", 200, "text/plain; charset=iso-8859-1") is None


def test_range_with_a_schema_that_only_json_can_have_takes_nothing_else() -> None:
    made = checks({"/": {"get": answers(ITEM, "200", "*/*")}})
    assert looked_at(made, b'{"id": "x"}') == "schema id"
    assert looked_at(made, b"Traceback", 200, "text/plain") == "media_type content-type"


def test_stream_is_looked_at_by_its_content_type() -> None:
    made = checks({"/": {"get": answers({"type": "object"}, "200", "text/event-stream")}})
    assert looked_at(made, b"data: 1\n\n", 200, "text/event-stream; charset=utf-8") is None
    assert looked_at(made, None, 200, JSON) == "media_type content-type"


def test_body_is_only_waited_for_where_it_is_looked_into() -> None:
    content = {JSON: {"schema": ITEM}, "text/plain": {}, "image/png": {}, "text/event-stream": {}}
    made = checks({"/": {"get": {"responses": {"200": {"description": "", "content": content}}}}})
    operation = made.find("GET", "/")
    wanted = [name for name in content if made.wants_body(operation, 200, {"content-type": name})]
    assert wanted == [JSON]
    assert not made.wants_body(operation, 500, {"content-type": JSON})


def test_violation_has_no_value() -> None:
    made = checks({"/": {"get": answers({"type": "object", "additionalProperties": {"enum": ["a"]}})}})
    found = made.check_answer(made.find("GET", "/"), 200, {"content-type": JSON}, b'{"k": "v"}')
    assert found == Violation("schema", "*")
