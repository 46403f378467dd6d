import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.verification.strip import MAX_PATH_LENGTH, StripPaths

ANSWER: dict[str, Any] = {
    "system_fingerprint": "fp",
    "choices": [{"index": 0, "logprobs": {"content": [1]}}, {"index": 1, "logprobs": None}, {"index": 2}],
    "usage": {"total": 1, "cost": 2},
    "rows": [[{"x": 1, "y": 2}], [{"x": 3}]],
}


@pytest.mark.parametrize(
    ("path", "where", "left"),
    [
        ("system_fingerprint", "system_fingerprint", None),
        ("usage.cost", "usage", {"total": 1}),
        ("choices[*].logprobs", "choices", [{"index": 0}, {"index": 1}, {"index": 2}]),
        ("choices[0].logprobs", "choices", [{"index": 0}, {"index": 1, "logprobs": None}, {"index": 2}]),
        ("choices[0].logprobs.content", "choices", [{"index": 0, "logprobs": {}}, *ANSWER["choices"][1:]]),
        ("rows[*][*].x", "rows", [[{"y": 2}], [{}]]),
        ("rows[1][0].x", "rows", [[{"x": 1, "y": 2}], [{}]]),
    ],
)
def test_field_is_taken_out(path: str, where: str, left: Any) -> None:
    before = copy.deepcopy(ANSWER)
    value, changed = StripPaths([path]).apply(ANSWER)
    assert changed
    assert value.get(where) == left
    assert {name: kept for name, kept in value.items() if name != where} == {
        name: kept for name, kept in before.items() if name != where
    }
    assert before == ANSWER


@pytest.mark.parametrize(
    "path", ["x", "usage.x", "usage[*].cost", "choices.logprobs", "choices[9].index", "choices[*].x", "usage.cost.x"]
)
def test_what_is_not_there_changes_nothing(path: str) -> None:
    value, changed = StripPaths([path]).apply(ANSWER)
    assert value is ANSWER
    assert not changed


def test_what_is_not_changed_is_shared() -> None:
    value, _ = StripPaths(["choices[0].logprobs"]).apply(ANSWER)
    assert value["usage"] is ANSWER["usage"]
    assert value["choices"][1] is ANSWER["choices"][1]


def test_paths_all_apply() -> None:
    value, changed = StripPaths(["usage", "nothing", "choices[*].logprobs", "rows", "system_fingerprint"]).apply(ANSWER)
    assert changed
    assert value == {"choices": [{"index": 0}, {"index": 1}, {"index": 2}]}


def test_list_at_the_root_is_walked() -> None:
    assert StripPaths(["[*].a", "[1].b"]).apply([{"a": 1, "b": 2}, {"b": 2}, 3]) == ([{"b": 2}, {}, 3], True)


@pytest.mark.parametrize("value", [None, 1, "usage", True, [], ["usage"]])
def test_other_values_pass(value: Any) -> None:
    assert StripPaths(["usage", "choices[*].x", "[*].x"]).apply(value) == (value, False)


def test_star_is_no_name_of_a_field() -> None:
    value = {"*": {"x": 1}}
    assert StripPaths(["[*].x"]).apply(value) == (value, False)


@pytest.mark.parametrize(
    "path",
    [
        "", " ", ".", "a.", ".a", "a..b", "a[*]", "a[0]", "[*]", "a[]", "a[-1].b", "a[01].b", "a[1", "a]", "a[*]b",
        "a.[*].b",
        "**", "a.**", "a.*", "*", "*.a", "$.a", "a b", "a/b", "a['b']", "ä", "a\n", "a[*].b\n", "1a", "a[1234567].b",
        "a" * (MAX_PATH_LENGTH + 1),
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="ends with a name"):
        StripPaths([path])


NAMES = st.sampled_from(["a", "b"])
VALUES = st.recursive(
    st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=12,
)
STEPS = st.lists(st.one_of(NAMES, st.sampled_from(["*", 0, 1])), max_size=3)


def remove(value: Any, steps: list[str | int]) -> None:
    """The same in place, field by field."""
    step, *rest = steps
    if isinstance(value, list) and step == "*":
        for element in value:
            remove(element, rest)
    elif isinstance(value, list) and isinstance(step, int) and step < len(value):
        remove(value[step], rest)
    elif isinstance(value, dict) and isinstance(step, str) and step in value:
        if rest:
            remove(value[step], rest)
        else:
            del value[step]


@given(VALUES, STEPS, NAMES)
def test_every_path_takes_out_what_it_names(value: Any, steps: list[str | int], last: str) -> None:
    path = "".join(f".{step}" if step in {"a", "b"} else f"[{step}]" for step in [*steps, last]).removeprefix(".")
    before, expected = copy.deepcopy(value), copy.deepcopy(value)
    remove(expected, [*steps, last])
    assert StripPaths([path]).apply(value) == (expected, expected != before)
    assert value == before
