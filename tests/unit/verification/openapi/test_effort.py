"""Bodies that would take long under their schema: refused before they are checked, by a bound that is reckoned."""

import json
from typing import Any

import pytest

from sallyport.errors import RequestTooLargeError
from sallyport.verification.openapi.schema_check import MAX_EFFORT, Cost, SchemaCheck
from sallyport.verification.violations import SIZE, Violation
from tests.unit.verification.openapi.documents import JSON, answers, checks, refused, takes

FORMS = {"items": {"oneOf": [{"const": number} for number in range(900)]}}
LISTS = {"items": {"enum": [[0] * 50 + [number] for number in range(900)]}}
PATTERN = {"type": "string", "pattern": "[ab]*a.{70}c"}
UNIQUE = {"type": "object", "properties": {"ids": {"$ref": "#/components/schemas/Ids"}}}
LONG = [10**40 + number for number in range(3000)]


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (FORMS, [899] * 30_000),
        (LISTS, [[0] * 50 + [899]] * 1000),
        (PATTERN, "ab" * 150_000),
        (UNIQUE, {"ids": LONG}),
        (UNIQUE, {"ids": [[-number] for number in LONG]}),
    ],
)
def test_body_that_would_take_long_is_refused(schema: Any, body: Any) -> None:
    made = checks({"/": {"post": takes(schema) | answers(schema)}}, Ids={"type": "array", "uniqueItems": True})
    with pytest.raises(RequestTooLargeError):
        refused(made, "POST", "/", body=json.dumps(body))
    headers = {"content-type": JSON}
    found = made.check_answer(made.find("POST", "/"), 200, headers, json.dumps(body).encode())
    assert found == Violation(SIZE, "")


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (FORMS, [899] * 100),
        (PATTERN, "a" * 71 + "c"),
        (UNIQUE, {"ids": list(range(100_000))}),
        (UNIQUE, {"ids": LONG[:300]}),
        ({"type": "array"}, LONG),
        ({"items": {"pattern": "^[a-z]+$", "enum": ["a", "b"]}}, ["a"] * 100_000),
    ],
)
def test_body_that_takes_little_is_checked(schema: Any, body: Any) -> None:
    made = checks({"/": {"post": takes(schema)}}, Ids={"type": "array", "uniqueItems": True})
    assert refused(made, "POST", "/", body=json.dumps(body)) is None


def test_names_and_values_count() -> None:
    assert Cost(looks=3, weight=2).effort({"a": [1, 2]}, 10) == 3 * 5 + 2 * 10


def test_where_checking_took_much_the_place_is_looked_for_less() -> None:
    check = SchemaCheck({"items": {"items": {"const": 1}}}, {})
    assert check.fault([[1], [2]]) == ((1, 0), "const", 1)
    assert check.fault([[1], [2]], MAX_EFFORT // 2) == ((1, 0), "", None)


@pytest.mark.parametrize("name", ["Any", "Sum"])
def test_recursive_schema_costs_the_same_wherever_it_begins(name: str) -> None:
    refer = {"$ref": "#/components/schemas/Sum"}
    schemas: dict[str, Any] = {
        "Any": {"anyOf": [{**refer, "required": [str(number)]} for number in range(200)]},
        "Sum": {
            "type": "object",
            "properties": {"of": {"type": "array", "items": {"$ref": "#/components/schemas/Any"}}},
        },
    }
    made = checks({"/": {"post": takes({"$ref": f"#/components/schemas/{name}"})}}, **schemas)
    operation = made.find("POST", "/")
    assert operation.described["body"]["content"][JSON]["cost"][0] > 200
