import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sallyport.verification.answers import ROUTES, AnswerSchema
from sallyport.verification.violations import ENCODING, SCHEMA, Violation
from tests.support.replaced_values import with_each_value_replaced

SHAPES = Path(__file__).with_name("shapes")
WHOLE = sorted(path.relative_to(SHAPES).as_posix() for path in SHAPES.glob("*/*.json"))
SCHEMAS = {route: AnswerSchema.built_in(route) for route in ROUTES}


def shape(name: str) -> Any:
    return json.loads((SHAPES / name).read_bytes())


def test_each_route_has_shapes() -> None:
    assert {name.partition("/")[0] for name in WHOLE} == set(ROUTES)


@pytest.mark.parametrize("name", WHOLE)
def test_real_answers_pass(name: str) -> None:
    assert SCHEMAS[name.partition("/")[0]].check_text((SHAPES / name).read_bytes()) is None


@pytest.mark.parametrize("name", WHOLE)
def test_unknown_fields_pass(name: str) -> None:
    assert SCHEMAS[name.partition("/")[0]].check({**shape(name), "brand_new": {"x": [1]}}) is None


BROKEN = [
    ("chat_completions/openai.json", ["choices"], None, "choices"),
    ("chat_completions/openai.json", ["choices"], {}, "choices"),
    ("chat_completions/openai.json", ["choices"], [], "choices"),
    ("chat_completions/openai.json", ["choices", 0], "secret", "choices[0]"),
    ("chat_completions/openai.json", ["choices", 0, "message"], None, "choices[0].message"),
    ("chat_completions/openai.json", ["choices", 0, "message"], "secret", "choices[0].message"),
    ("chat_completions/openai.json", ["choices", 0, "message", "content"], 5, "choices[0].message.content"),
    ("chat_completions/openai.json", ["choices", 0, "finish_reason"], 5, "choices[0].finish_reason"),
    ("chat_completions/openai.json", ["usage", "prompt_tokens"], -1, "usage.prompt_tokens"),
    ("chat_completions/openai.json", ["usage", "prompt_tokens"], "secret", "usage.prompt_tokens"),
    ("chat_completions/openai.json", ["model"], ["secret"], "model"),
    (
        "chat_completions/openai_tool_calls.json",
        ["choices", 0, "message", "tool_calls", 0, "function", "arguments"],
        {"secret": 1},
        "choices[0].message.tool_calls[0].function.arguments",
    ),
    ("responses/openai.json", ["id"], None, "id"),
    ("responses/openai.json", ["output"], "secret", "output"),
    ("responses/openai.json", ["output", 0, "type"], None, "output[0].type"),
    ("responses/openai.json", ["output", 0, "content", 0, "text"], 1, "output[0].content[0].text"),
    ("responses/openai.json", ["usage", "output_tokens"], 1.5, "usage.output_tokens"),
    ("embeddings/openai.json", ["data"], None, "data"),
    ("embeddings/openai.json", ["data", 0, "embedding"], None, "data[0].embedding"),
    ("embeddings/openai.json", ["data", 0, "embedding", 1], "secret", "data[0].embedding[1]"),
    ("embeddings/openai.json", ["data", 0, "index"], "0", "data[0].index"),
    ("messages/anthropic.json", ["type"], "secret", "type"),
    ("messages/anthropic.json", ["role"], "user", "role"),
    ("messages/anthropic.json", ["usage"], None, "usage"),
    ("messages/anthropic.json", ["content", 0, "text"], None, "content[0].text"),
    ("messages/anthropic_tool_use.json", ["content", 2, "input"], "secret", "content[2].input"),
    ("messages/anthropic_tool_use.json", ["content", 2, "id"], None, "content[2].id"),
    ("count_tokens/anthropic.json", ["input_tokens"], None, "input_tokens"),
    ("count_tokens/anthropic.json", ["input_tokens"], "2095", "input_tokens"),
]


@pytest.mark.parametrize(("name", "place", "value", "path"), BROKEN, ids=range(len(BROKEN)))
def test_field_that_is_wrong_is_named(name: str, place: list[str | int], value: Any, path: str) -> None:
    """None: the field is missing."""
    body = copy.deepcopy(shape(name))
    holder = body
    for step in place[:-1]:
        holder = holder[step]
    if value is None:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    assert SCHEMAS[name.partition("/")[0]].check(body) == Violation(SCHEMA, path)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body", [None, 1, "x", [], [{}], {}, {"error": {"message": "x"}}])
def test_what_is_no_answer_is_none_of_a_route(route: str, body: Any) -> None:
    violation = SCHEMAS[route].check(body)
    assert violation is not None
    assert violation.kind == SCHEMA


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b'{"input_tokens": 1',
        b'{"input_tokens": 1} x',
        b'{"input_tokens": 1, "input_tokens": 1}',
        b'{"input_tokens": 1, "x": NaN}',
        b'{"input_tokens": 1, "x": "\xff"}',
        b'{"input_tokens": 1, "x": "\\ud800"}',
        b'\xef\xbb\xbf{"input_tokens": 1}',
        b'{"input_tokens": 1, "x": ' + b"[" * 100 + b"]" * 100 + b"}",
        b"[" * 100_000,
    ],
)
def test_text_must_be_strict_json(raw: bytes) -> None:
    assert SCHEMAS["count_tokens"].check_text(raw) == Violation(ENCODING, "")


def test_violation_has_no_name_of_the_answers_own() -> None:
    body = shape("responses/openai.json") | {"metadata": {"secret": {"x": 1}}, "output": [{"secret": 1}]}
    assert SCHEMAS["responses"].check(body) == Violation(SCHEMA, "output[0].type")


@pytest.mark.parametrize("route", ROUTES)
def test_violations_name_fields_for_one_wrong_value_anywhere(route: str) -> None:
    """Whatever value is replaced by one of a wrong type, no violation repeats it, and none is of another kind."""
    for name in WHOLE:
        if name.startswith(f"{route}/"):
            for body in with_each_value_replaced(shape(name), {"secret": "secret"}):
                violation = SCHEMAS[route].check(body)
                assert violation is None or (violation.kind == SCHEMA and "secret" not in violation.path)
