"""Strict JSON: what Python's parser lets through is refused, the rest is read as Python reads it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import InvalidJsonError, UnsupportedFieldError
from sallyport.verification.strict_json import MAX_DEPTH, check_names, parse_strict

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_what_json_writes_is_read_back(value: Any) -> None:
    assert parse_strict(json.dumps(value)) == value


@given(st.text())
def test_any_text_is_read_as_json_reads_it_or_refused(text: str) -> None:
    try:
        value = parse_strict(text)
    except InvalidJsonError:
        return
    assert json.loads(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}{}",
        "[1,]",
        "{'a': 1}",
        "NaN",
        "[-Infinity]",
        "1e400",
        "[-1e999]",
        "9" * 65,
        "0." + "1" * 80,
        '{"a": 1, "a": 2}',
        '[{"b": {"a": 1, "a": 1}}]',
        "\ufeff{}",
        '"\ud800"',
        r'"\ud83d"',
        r'{"\uDC00": 1}',
        "[" + "{}," * 150_000 + "1]",
        "[" + "1," * 450_000 + "1]",
        "[" * 100_000,
        '{"a":' * 20_000,
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        '{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1),
    ],
)
def test_what_is_not_strict_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidJsonError):
        parse_strict(text)


def test_the_deepest_permitted_value_is_read() -> None:
    assert parse_strict("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert parse_strict(r'"\ud83d\ude00"') == "\U0001f600"


def test_a_long_prompt_may_have_any_number_of_braces() -> None:
    prompt = '{[,\\"' * 200_000
    assert parse_strict(json.dumps({"content": prompt}))["content"] == prompt


@pytest.mark.parametrize("end", ["", "\\", '"'])
def test_an_endless_string_costs_no_more_than_its_length(end: str) -> None:
    with pytest.raises(InvalidJsonError):
        parse_strict("[" + "1," * 390_000 + '"' + '\\"' * 2_000_000 + end)


def test_many_shallow_brackets_are_not_deep() -> None:
    assert len(parse_strict("[" + ",".join(["{}"] * 1000) + "]")) == 1000


def test_a_refusal_repeats_nothing_of_the_body() -> None:
    with pytest.raises(InvalidJsonError) as caught:
        parse_strict('{"prompt-secret": 1, "prompt-secret": 2}')
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("name", ["Model", "BASE_URL", "\u017ftore", "Max_Tokens", "to\u212aens"])
@pytest.mark.parametrize("value", ["other", None])
def test_a_name_that_some_upstreams_take_for_another_is_refused(name: str, value: str | None) -> None:
    """Go's encoding/json matches names whatever their case, and lets the last one win."""
    with pytest.raises(UnsupportedFieldError) as caught:
        check_names({"model": "gpt-a", name: value})
    assert caught.value.param == name


def test_a_tools_name_that_some_upstreams_take_for_another_is_refused() -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        check_names({"tools": [{"type": "function"}, {"type": "function", "Type": "web_search"}]})
    assert caught.value.param == "tools[1].Type"


def test_a_refused_name_is_told_in_part() -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        check_names({"X" * 1000: 1})
    assert caught.value.param == "X" * 64


@pytest.mark.parametrize("tools", [None, "Tools", [None, {}], {"Type": 1}])
def test_names_within_what_is_the_clients_own_are_free(tools: object) -> None:
    schema = {"type": "object", "properties": {"Type": {}, "ID": {}}}
    check_names({"tools": tools, "metadata": {"Team": "a"}})
    check_names({"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]})
