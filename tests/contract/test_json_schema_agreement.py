"""Draft 2020-12 and draft 7 as jsonschema-rs and python-jsonschema read them; the cases are the project's own.

`python -m tests.json_schema_suite DIR` does the same with the official suite.
"""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.errors import SchemaViolationError
from sallyport.verification.schema import RequestSchema, compile_schema, read_built_in
from sallyport.verification.schema_cost import cost_of
from tests.json_schema_suite import DRAFTS, IDS, gateway_says, library_says, reference_says

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 0.5, 3, 7.5, 1e300, 10**30, "", "a", "ab", "abc", "\u0416\u0416", "\U0001f600",
    "1",
    [], [None], [1], [1, 1], [1, 1.0], [1, True], [0, False], ["a", 1, True], [[1], [1.0]], [{"a": 1}, {"a": 1.0}],
    [1, "a", 2, "b"], {}, {"a": 1}, {"b": 1}, {"a": 1, "b": 2}, {"a": "x", "c": None}, {"ab": 1},
    {"a": {"a": {"a": 1}}},
    {"a": {"a": {"a": "x"}}}, {"": 1}, {"__proto__": 1}, {"a/b": 1, "a~b": 2},
]  # fmt: skip
"""Every schema is asked about every value."""

BOTH: dict[str, list[Any]] = {
    "boolean": [True, False, {}],
    "type": [{"type": name} for name in ("null", "boolean", "integer", "number", "string", "array", "object")]
    + [{"type": ["integer", "string"]}],
    "enum": [{"enum": [1, "a", None]}, {"enum": [True]}, {"enum": [[1.0]]}, {"enum": [{"a": 1}]}, {"enum": [0, False]}],
    "const": [{"const": value} for value in (0, False, 1.0, "a", None, [1], {"a": 1.0}, 10**30)],
    "multipleOf": [{"multipleOf": number} for number in (1, 2, 0.5, 2.5, 0.01)],
    "maximum": [{"maximum": 1}, {"maximum": 0.5}, {"exclusiveMaximum": 1}],
    "minimum": [{"minimum": 1}, {"minimum": -0.5}, {"exclusiveMinimum": 0}],
    "length": [{"maxLength": 1}, {"minLength": 2}, {"maxLength": 2, "minLength": 1}],
    "pattern": [{"pattern": "^a"}, {"pattern": "b$"}, {"pattern": "[0-9]+"}, {"pattern": "\u0416"}, {"pattern": ""}],
    "items": [{"items": {"type": "integer"}}, {"items": False}, {"maxItems": 1}, {"minItems": 2}],
    "uniqueItems": [{"uniqueItems": True}, {"uniqueItems": False}],
    "contains": [{"contains": {"const": 1}}, {"contains": False}, {"contains": True}],
    "properties": [
        {"properties": {"a": {"type": "integer"}, "c": False}},
        {"maxProperties": 1},
        {"minProperties": 1},
        {"required": ["a"]},
        {"required": ["", "a"]},
        {"required": ["__proto__"]},
    ],
    "patternProperties": [
        {"patternProperties": {"^a": {"type": "integer"}}},
        {"patternProperties": {"b": False}},
        {"properties": {"a": True}, "patternProperties": {"b$": True}, "additionalProperties": False},
    ],
    "additionalProperties": [{"additionalProperties": False}, {"additionalProperties": {"type": "integer"}}],
    "propertyNames": [
        {"propertyNames": {"maxLength": 1}},
        {"propertyNames": False}, {"propertyNames": {"pattern": "a"}},
    ],
    "if": [
        {"if": {"type": "integer"}, "then": {"minimum": 1}, "else": {"type": "string"}},
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
        {"then": False},
    ],
    "combined": [
        {"allOf": [{"type": "integer"}, {"minimum": 1}]},
        {"anyOf": [{"type": "string"}, {"minimum": 1}]},
        {"oneOf": [{"type": "integer"}, {"minimum": 1}]},
        {"oneOf": [True, True]},
        {"not": {"type": "string"}},
        {"not": {}},
    ],
    "default": [{"properties": {"a": {"default": "not an integer", "type": "integer"}}}],
    "references": [
        {"definitions": {"n": {"type": "integer"}}, "additionalProperties": {"$ref": "#/definitions/n"}},
        {"properties": {"a": {"$ref": "#"}}, "additionalProperties": False},
        {"items": {"$ref": "#"}, "type": ["array", "integer"]},
        {"definitions": {"a/b": {"type": "integer"}}, "$ref": "#/definitions/a~1b"},
        {"definitions": {"a%b~": {"minimum": 1}}, "$ref": "#/definitions/a%25b~0"},
    ],
    "annotations": [{"title": "a", "examples": [1]}, {"aKeywordOfOurs": 1}],
}  # fmt: skip
ONLY: dict[str, dict[str, list[Any]]] = {
    "draft2020-12": {
        "prefixItems": [
            {"prefixItems": [{"type": "integer"}, {"type": "string"}]},
            {"prefixItems": [{"type": "integer"}], "items": False},
            {"prefixItems": [True, {"const": 1}], "items": {"type": "boolean"}},
        ],
        "minContains": [
            {"contains": {"const": 1}, "minContains": 2},
            {"contains": {"const": 1}, "maxContains": 1},
            {"contains": {"type": "string"}, "minContains": 0},
            {"minContains": 5},
        ],
        "dependent": [{"dependentRequired": {"a": ["b"]}}, {"dependentSchemas": {"a": {"maxProperties": 1}}}],
        "unevaluatedProperties": [
            {"properties": {"a": True}, "unevaluatedProperties": False},
            {"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False},
            {"anyOf": [{"required": ["a"], "properties": {"a": True}}, {}], "unevaluatedProperties": {"type": "null"}},
            {"if": {"required": ["a"]}, "then": {"properties": {"a": True}}, "unevaluatedProperties": False},
        ],
        "unevaluatedItems": [
            {"prefixItems": [True], "unevaluatedItems": False},
            {"contains": {"const": 1}, "unevaluatedItems": False},
            {"allOf": [{"prefixItems": [True, True]}], "unevaluatedItems": {"type": "boolean"}},
        ],
        "anchors": [
            {"$defs": {"n": {"$anchor": "n", "type": "integer"}}, "$ref": "#n"},
            {"$defs": {"n": {"$id": "urn:example:n", "type": "string"}}, "$ref": "urn:example:n"},
            {"$ref": "#/$defs/n", "minimum": 1, "$defs": {"n": {"type": "integer"}}},
            {"$dynamicAnchor": "self", "properties": {"a": {"$dynamicRef": "#self"}}, "type": ["object", "integer"]},
        ],
    },
    "draft7": {
        "tuples": [
            {"items": [{"type": "integer"}, {"type": "string"}]},
            {"items": [{"type": "integer"}], "additionalItems": False},
            {"items": [True], "additionalItems": {"type": "boolean"}},
            {"additionalItems": False},
        ],
        "dependencies": [{"dependencies": {"a": ["b"]}}, {"dependencies": {"a": {"maxProperties": 1}, "b": False}}],
        "beside a reference": [{"definitions": {"n": {"type": "integer"}}, "$ref": "#/definitions/n", "minimum": 100}],
        "identifiers": [{"definitions": {"n": {"$id": "#n", "type": "integer"}}, "$ref": "#n"}],
        "of later drafts": [{"dependentRequired": {"a": ["b"]}}, {"prefixItems": [False]}],
    },
}  # fmt: skip
REFERRING = ("references", "anchors", "beside a reference", "identifiers")
CASES = [(draft, name) for draft in DRAFTS for name in [*BOTH, *ONLY[draft]]]


@pytest.mark.parametrize(("draft", "name"), CASES)
def test_gateway_and_reference_agree(draft: str, name: str) -> None:
    schemas = {**BOTH, **ONLY[draft]}[name]
    seen = set()
    for schema, value in itertools.product(schemas, VALUES):
        named = {"$schema": IDS[draft], **schema} if isinstance(schema, dict) else schema
        verdict = gateway_says(named, value)
        assert verdict == reference_says(named, value, draft) == library_says(named, value, draft), (named, value)
        seen.add(verdict)
    assert seen <= {True, False}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_both_agree_on_schemas_put_together_by_chance(data: st.DataObject) -> None:
    draft = data.draw(st.sampled_from(list(DRAFTS)))
    parts = st.sampled_from([one for one in _all(draft) if isinstance(one, dict) and "$id" not in str(one)])
    schema = {**data.draw(parts), **data.draw(parts)}
    for keyword in data.draw(st.lists(st.sampled_from(["not", "allOf", "items", "properties", "if"]), max_size=3)):
        schema = _within(keyword, schema, data.draw(parts))
    named = {"$schema": IDS[draft], **schema}
    for value in VALUES:
        verdict = gateway_says(named, value)
        assert verdict == reference_says(named, value, draft) == library_says(named, value, draft), (named, value)
        assert isinstance(verdict, bool)


def _all(draft: str) -> list[Any]:
    """Give every schema that means the same wherever it stands: without references into its own document."""
    alone = {name: some for name, some in {**BOTH, **ONLY[draft]}.items() if name not in REFERRING}
    return list(itertools.chain(*alone.values()))


def _within(keyword: str, schema: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    inside: Any = {"allOf": [schema, other], "properties": {"a": schema, "b": other}}.get(keyword, schema)
    return {keyword: inside, "then": other} if keyword == "if" else {keyword: inside}


def test_cases_accept_and_refuse() -> None:
    verdicts = [gateway_says(schema, value) for schema in itertools.chain(*BOTH.values()) for value in VALUES]
    assert verdicts.count(False) > 500
    assert verdicts.count(True) > 500


def test_content_of_a_text_is_checked_in_draft_7_alone() -> None:
    """Draft 7, section 8.2, lets a validator do it; 2020-12, section 8.2, tells it not to. The reference never does."""
    schema = {"contentMediaType": "application/json"}
    assert [gateway_says({"$schema": IDS[draft], **schema}, "{") for draft in DRAFTS] == [True, False]
    assert [reference_says(schema, "{", draft) for draft in DRAFTS] == [True, True]


def test_draft_is_that_of_the_schema() -> None:
    schema = {"items": [{"type": "integer"}]}
    assert gateway_says({"$schema": IDS["draft7"], **schema}, ["a"]) is False
    with pytest.raises(ValueError, match="/items"):
        compile_schema(schema)


@pytest.mark.parametrize(
    "named",
    ["http://json-schema.org/draft-03/schema#", "http://json-schema.org/draft-04/schema#", "urn:example:mine", 7, ""],
)
def test_schema_of_another_draft_is_refused_and_not_read_as_the_latest(named: Any) -> None:
    with pytest.raises(ValueError, match="draft"):
        compile_schema({"$schema": named})


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:9/schema.json",
        "https://example.com/schema.json#/a",
        "file:///etc/hostname",
        "other.json",
        "//example.com/a",
        "urn:example:nowhere",
        "#/$defs/missing",
        "#missing",
    ],
)
@pytest.mark.parametrize("draft", list(DRAFTS))
def test_reference_to_what_is_not_in_the_document_is_refused_when_compiled(reference: str, draft: str) -> None:
    with pytest.raises(ValueError, match="schema"):
        compile_schema({"$schema": IDS[draft], "properties": {"a": {"items": {"$ref": reference}}}})


def test_base_of_a_schema_is_not_fetched() -> None:
    schema = {"$id": "http://127.0.0.1:9/a.json", "$ref": "b.json"}
    with pytest.raises(ValueError, match="schema"):
        compile_schema(schema)


def test_meta_schema_is_known_without_a_network() -> None:
    assert gateway_says({"$ref": IDS["draft2020-12"]}, {"type": "integer"}) is True
    assert gateway_says({"$ref": IDS["draft2020-12"]}, {"type": 1}) is False


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2026-01-31T10:00:00Z", "2026-02-31T10:00:00Z"),
        ("date", "2024-02-29", "2023-02-29"),
        ("email", "joe@example.com", "joe"),
        ("ipv4", "192.0.2.1", "192.0.2.256"),
        ("ipv6", "2001:db8::1", "2001:db8::1::"),
        ("uri", "https://example.com/a", "a b"),
        ("uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2eb8aa08"),
        ("hostname", "example.com", "-example"),
    ],
)
@pytest.mark.parametrize("draft", list(DRAFTS))
def test_format_is_checked(name: str, good: str, bad: str, draft: str) -> None:
    if (draft, name) == ("draft7", "uuid"):
        pytest.skip("draft 7 has no format uuid")
    schema = {"$schema": IDS[draft], "format": name}
    assert [gateway_says(schema, value) for value in (good, bad, 1)] == [True, False, True]


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?!a)b", "(?<=a)b", r"(a)\1", r"(?:\w{500}){500}", "(", "a{99999999}"])
def test_pattern_that_takes_more_than_linear_time_or_room_is_refused(pattern: str) -> None:
    for schema in ({"pattern": pattern}, {"patternProperties": {pattern: True}}):
        with pytest.raises(ValueError, match="schema"):
            compile_schema(schema)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "^(.*a){20}$", r"^(\w+\s?)*$"])
def test_pattern_that_takes_a_backtracking_engine_for_ever_ends_at_once(pattern: str) -> None:
    assert gateway_says({"pattern": pattern}, "a" * 100_000 + "!") is False


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"not": {"$ref": "#"}},
    ],
)
def test_schema_that_refers_to_itself_ends(schema: Any) -> None:
    assert isinstance(compile_schema(schema).is_valid({"a": 1}), bool)


def test_recursive_schema_checks_as_deep_as_the_parser_lets_a_body_be() -> None:
    tree = {"properties": {"child": {"$ref": "#"}}, "additionalProperties": False}
    good: Any = {}
    bad: Any = {"x": 1}
    for _ in range(63):
        good, bad = {"child": good}, {"child": bad}
    assert [gateway_says(tree, good), gateway_says(tree, bad)] == [True, False]


def test_choices_nested_in_choices_do_not_multiply() -> None:
    branch = {"type": "object", "properties": {"a": {"$ref": "#"}}}
    forms = [{**branch, "required": [name]} for name in ("p", "q", "r")]
    value: Any = {"x": 1}
    for _ in range(40):
        value = {"a": value, "p": 1, "q": 1, "r": 1}
    with pytest.raises(SchemaViolationError):
        RequestSchema({"anyOf": forms}).check(value)


@pytest.mark.parametrize("keyword", ["anyOf", "allOf", "oneOf"])
def test_references_that_multiply_are_refused(keyword: str) -> None:
    parts: dict[str, Any] = {f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)}
    with pytest.raises(ValueError, match="checks"):
        compile_schema({"$ref": "#/$defs/d0", "$defs": {**parts, "d30": {"type": "string"}}})


ADDRESS = "http://example.com/a.json"
WAYS = {
    "percent": "#/%24defs/d",
    "whole address": f"{ADDRESS}#/$defs/d",
    "relative address": "a.json#/$defs/d",
    "path": "/a.json#/%24defs/d",
    "identifier": "urn:example:d",
    "anchor": "#d",
}


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_references_that_multiply_are_refused_however_they_are_written(way: str, keyword: str) -> None:
    def part(number: int, value: dict[str, Any]) -> dict[str, Any]:
        names = {"identifier": {"$id": f"urn:example:d{number}"}, "anchor": {"$anchor": f"d{number}"}}
        return {**names.get(way, {}), **value}

    parts = {f"d{n}": part(n, {keyword: [{"$ref": f"{WAYS[way]}{n + 1}"}] * 2}) for n in range(30)}
    schema = {"$id": ADDRESS, "$ref": f"{WAYS[way]}0", "$defs": {**parts, "d30": part(30, {"type": "string"})}}
    with pytest.raises(ValueError, match="checks"):
        compile_schema(schema)


def test_reference_to_a_drafts_own_schema_leaves_the_reason_out() -> None:
    """That schema is recursive, and has forms within forms."""
    assert not cost_of({"$ref": IDS["draft2020-12"]}).explainable


def test_references_that_lead_too_deep_are_refused() -> None:
    parts: dict[str, Any] = {f"d{n}": {"not": {"$ref": f"#/$defs/d{n + 1}"}} for n in range(2_000)}
    with pytest.raises(ValueError, match="schema"):
        compile_schema({"$ref": "#/$defs/d0", "$defs": {**parts, "d2000": {"type": "string"}}})


@pytest.mark.parametrize("name", ["chat_completions", "embeddings", "responses", "messages", "count_tokens"])
def test_built_in_schema_can_say_which_field_is_at_fault(name: str) -> None:
    assert cost_of(read_built_in(name)).explainable


@pytest.mark.parametrize("value", [5, None, True, 1.5, "x", []])
def test_body_that_is_no_object_is_refused_by_a_schema_for_objects(value: Any) -> None:
    assert gateway_says({"required": ["a"], "const": {"a": 1}}, value) is False


def test_schema_that_is_nested_too_deeply_is_refused() -> None:
    schema: Any = {}
    for _ in range(5_000):
        schema = {"not": schema}
    with pytest.raises(ValueError, match=r"limit|deep"):
        compile_schema(schema)


@pytest.mark.parametrize("draft", list(DRAFTS))
@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"maximum": 2**53}, 2**53 + 1),
        ({"minimum": 10**30}, 10**30 - 1),
        ({"const": 10**63}, 10**63 + 1),
        ({"enum": [2**64]}, 2**64 + 1),
        ({"uniqueItems": True}, [2**53, 2**53 + 1]),
        ({"multipleOf": 3}, 10**63 + 1),
        ({"exclusiveMaximum": 2**64}, 2**64),
        ({"type": "integer"}, 1e300),
        ({"maximum": 10}, 10**63),
    ],
)
def test_huge_numbers_are_compared_exactly(schema: dict[str, Any], value: Any, draft: str) -> None:
    named = {"$schema": IDS[draft], **schema}
    assert gateway_says(named, value) == reference_says(named, value, draft)
