"""Fields that an API's specification lacks: found by path, left out, or refused; what is the client's own stays."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import UnsupportedFieldError
from sallyport.verification.schema import RequestSchema, read_built_in
from sallyport.verification.unknown_fields import KnownFields

ROUTES = ("chat_completions", "responses", "embeddings", "messages", "count_tokens")
KNOWN = {route: KnownFields(read_built_in(route)) for route in ROUTES}
TEXT = {"type": "text", "text": "hello"}
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": [TEXT]}]}
MESSAGE: dict[str, Any] = {**CHAT, "max_tokens": 5}

UNKNOWN: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("chat_completions", {**CHAT, "top_k": 5}, "top_k", CHAT),
    (
        "chat_completions",
        {"model": "m", "messages": [{"role": "user", "content": [TEXT, {**TEXT, "foo": 1}]}]},
        "messages[0].content[1].foo",
        {"model": "m", "messages": [{"role": "user", "content": [TEXT, TEXT]}]},
    ),
    (
        "chat_completions",
        {"model": "m", "messages": [{"role": "user", "content": "a", "tool_calls": []}]},
        "messages[0].tool_calls",
        {"model": "m", "messages": [{"role": "user", "content": "a"}]},
    ),
    (
        "chat_completions",
        {**CHAT, "tools": [{"type": "function", "function": {"name": "f", "x": 1}}]},
        "tools[0].function.x",
        {**CHAT, "tools": [{"type": "function", "function": {"name": "f"}}]},
    ),
    (
        "chat_completions",
        {**CHAT, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "x": 1}}},
        "response_format.json_schema.x",
        {**CHAT, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
    ),
    (
        "responses",
        {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "a", "b": 1}]}]},
        "input[0].content[0].b",
        {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]},
    ),
    (
        "responses",
        {"model": "m", "input": [{"type": "function_call_output", "call_id": "c", "output": "a", "arguments": "b"}]},
        "input[0].arguments",
        {"model": "m", "input": [{"type": "function_call_output", "call_id": "c", "output": "a"}]},
    ),
    (
        "messages",
        {**MESSAGE, "system": [{**TEXT, "cache_control": {"type": "ephemeral", "size": 5}}]},
        "system[0].cache_control.size",
        {**MESSAGE, "system": [{**TEXT, "cache_control": {"type": "ephemeral"}}]},
    ),
    (
        "messages",
        {**MESSAGE, "thinking": {"type": "disabled", "budget_tokens": 2000}},
        "thinking.budget_tokens",
        {**MESSAGE, "thinking": {"type": "disabled"}},
    ),
    ("embeddings", {"model": "m", "input": "a", "x": 1}, "x", {"model": "m", "input": "a"}),
    ("count_tokens", {**CHAT, "max_tokens": 5}, "max_tokens", CHAT),
]

ALL_KNOWN: list[tuple[str, dict[str, Any]]] = [
    ("chat_completions", {**CHAT, "metadata": {"Team": "a"}, "logit_bias": {"50256": -100}}),
    (
        "chat_completions",
        {**CHAT, "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": {"y": [{"z": 1}]}}}}]},
    ),
    ("responses", {"model": "m", "prompt": {"id": "p", "variables": {"Any": "thing"}}}),
    ("responses", {"model": "m", "tools": [{"type": "mcp", "server_label": "a", "headers": {"X-Any": "b"}}]}),
    (
        "messages",
        {
            **MESSAGE,
            "messages": [
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"Q": {"r": 1}}}],
                }
            ],
        },
    ),
    ("messages", {**MESSAGE, "tools": [{"name": "f", "input_schema": {"type": "object", "Any": 1}}]}),
    ("messages", {**MESSAGE, "tools": [{"type": "web_search_20991231", "name": "web_search", "max_uses": 3}]}),
]


@pytest.mark.parametrize(("route", "body", "path", "left"), UNKNOWN)
def test_an_unknown_field_is_named_by_its_path(
    route: str, body: dict[str, Any], path: str, left: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        KNOWN[route].check(body)
    assert caught.value.param == path
    KNOWN[route].check(left)


@pytest.mark.parametrize(("route", "body", "path", "left"), UNKNOWN)
def test_an_unknown_field_is_left_out_of_a_copy(
    route: str, body: dict[str, Any], path: str, left: dict[str, Any]
) -> None:
    before = json.dumps(body)
    assert KNOWN[route].strip(body) == left
    assert json.dumps(body) == before


@pytest.mark.parametrize(("route", "body"), ALL_KNOWN)
def test_what_is_the_clients_own_is_no_unknown_field(route: str, body: dict[str, Any]) -> None:
    KNOWN[route].check(body)
    KNOWN[route].check_spelling(body)
    assert KNOWN[route].strip(body) is body


def test_an_object_of_an_unknown_form_may_have_the_fields_of_any() -> None:
    part = {"type": "hologram", "text": "a", "foo": 1}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    stripped = KNOWN["chat_completions"].strip(body)
    assert stripped["messages"][0]["content"] == [{"type": "hologram", "text": "a"}]


@pytest.mark.parametrize("name", ["Content", "CONTENT", "\u017fystem", "tool_c\u0041lls", "Role"])
def test_a_nested_name_that_some_upstreams_take_for_another_is_refused(name: str) -> None:
    body: dict[str, Any] = {
        "model": "m",
        "system": "a",
        "messages": [{"role": "assistant", "content": "fine", name: "hidden"}],
    }
    route = "messages" if name == "\u017fystem" else "chat_completions"
    if route == "messages":
        body = {**MESSAGE, name: "hidden"}
    with pytest.raises(UnsupportedFieldError) as caught:
        KNOWN[route].check_spelling(body)
    assert caught.value.param is not None
    assert caught.value.param.endswith(name)


def test_a_field_of_another_vendor_is_not_misspelt() -> None:
    KNOWN["chat_completions"].check_spelling({**CHAT, "extraBody": 1, "top_k": 3})


def test_a_long_name_is_told_in_part_and_no_value_is() -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        KNOWN["chat_completions"].check({**CHAT, "x" * 10_000: "prompt-secret"})
    assert caught.value.param == "x" * 64
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("kind", [[], {}, 5, True, None, "x" * 100_000])
def test_whatever_an_object_says_it_is_the_walk_ends(kind: Any) -> None:
    for route in ROUTES:
        body = {"messages": [{"role": kind, "content": [{"type": kind}]}], "input": [{"type": kind}], "tools": [kind]}
        KNOWN[route].strip(body)
        KNOWN[route].check_spelling(body)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "source", "messages", "input", "tools", "x", "system"]),
            children | st.sampled_from(["text", "user", "tool_use", "message", "tool_result", "image"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(ROUTES), st.dictionaries(st.sampled_from(["messages", "input", "tools", "x"]), JSON))
def test_what_is_left_has_no_unknown_field_and_lost_nothing_else(route: str, body: dict[str, Any]) -> None:
    left = KNOWN[route].strip(body)
    KNOWN[route].check(left)
    assert (left is body) == (left == body)
    assert KNOWN[route].strip(left) is left


def test_every_known_name_is_in_small_letters() -> None:
    """The names of bodies and tools are held to that; a known one that isn't would be refused."""
    for route in ROUTES:
        document = read_built_in(route)
        places = [document, *document.get("$defs", {}).values()]
        assert all(name == name.lower() and name.isascii() for place in places for name in place["properties"])


@pytest.mark.parametrize("route", ROUTES)
def test_a_schema_knows_its_own_fields(route: str) -> None:
    names = RequestSchema.built_in(route).known_fields.root.names
    assert names == frozenset(read_built_in(route)["properties"])
