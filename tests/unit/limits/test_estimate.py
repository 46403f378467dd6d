"""The guess at a prompt's tokens."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.limits.estimate import (
    CLAUDE_IMAGE_TOKENS,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    REPLY_TOKENS,
    SMALL_IMAGE_TOKENS,
    TOOL_TOKENS,
    TOOL_USE_TOKENS,
    estimate_output_tokens,
    estimate_prompt_tokens,
    estimate_text_tokens,
)

OVERHEAD = MESSAGE_TOKENS + REPLY_TOKENS
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


def chat(*content: Any, **fields: Any) -> int:
    messages = [{"role": "user", "content": each} for each in content]
    return estimate_prompt_tokens("chat_completions", {"model": "m", "messages": messages, **fields})


@pytest.mark.parametrize(
    ("text", "tokens"),  # by o200k_base
    [
        ("Everyone has the right to life, liberty and security of person.", 13),
        ("Каждый человек имеет право на жизнь, на свободу и на личную неприкосновенность.", 21),
        ("人人有权享有生命、自由和人身安全。", 13),
        ("for (let i = 0; i < items.length; i++) { total += items[i].price; }", 24),
        ('{"id":"a1b2c3","count":1234567,"tags":["x","y"],"ok":true}', 27),
    ],
)
def test_a_text_is_guessed_to_a_third(text: str, tokens: int) -> None:
    assert tokens * 2 / 3 <= estimate_text_tokens(text) <= tokens * 4 / 3


def test_nothing_is_nothing() -> None:
    assert estimate_text_tokens("") == 0


@given(st.text())
def test_a_text_has_at_least_one_token_and_no_more_than_bytes(text: str) -> None:
    assert bool(text) <= estimate_text_tokens(text) <= len(text.encode())


def test_a_lone_surrogate_is_counted() -> None:
    assert estimate_text_tokens("\ud800") == 1


def test_text_without_words_weighs_more_than_prose() -> None:
    assert estimate_text_tokens("QmFzZTY0IGlzIG5vIHByb3Nl" * 40) > 1.5 * estimate_text_tokens("some words " * 87)


def test_each_message_has_an_overhead() -> None:
    assert chat("") == OVERHEAD
    assert chat("", "", "") == OVERHEAD + 2 * MESSAGE_TOKENS


def test_parts_of_text_count_as_text() -> None:
    assert chat([{"type": "text", "text": "Good morning"}]) == chat("Good morning")


@pytest.mark.parametrize(
    ("detail", "tokens"), [("low", SMALL_IMAGE_TOKENS), ("high", IMAGE_TOKENS), (None, IMAGE_TOKENS)]
)
@pytest.mark.parametrize("url", ["https://example.com/a.png", "data:image/png;base64," + "A" * 1_000_000])
def test_an_image_counts_the_same_however_long_its_url_is(url: str, detail: str | None, tokens: int) -> None:
    assert chat([{"type": "image_url", "image_url": {"url": url, "detail": detail}}]) == OVERHEAD + tokens


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"type": "input_audio", "input_audio": {"data": "A" * 60_001, "format": "mp3"}}, 61),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": "A" * 100_000}}, 1000),
        ({"type": "file", "file": {"file_id": "file-1"}}, 0),
    ],
)
def test_data_counts_by_its_length(part: dict[str, Any], tokens: int) -> None:
    assert chat([part]) == OVERHEAD + tokens


@pytest.mark.parametrize("part", [{"type": kind, kind: "x"} for kind in ("image_url", "input_audio", "file")])
def test_a_part_of_the_wrong_form_is_no_error(part: dict[str, Any]) -> None:
    assert chat([part]) >= OVERHEAD


def test_earlier_tool_calls_and_their_results_count() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"city": "Oslo"}'}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
    ]
    body = {"messages": messages}
    expected = estimate_text_tokens("Rain" + 'look_up{"city": "Oslo"}') + 2 * MESSAGE_TOKENS + REPLY_TOKENS
    assert estimate_prompt_tokens("chat_completions", body) == expected


def test_tools_and_schemas_count_as_json() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "Does it.", "parameters": {"type": "object"}}}
    written = json.dumps(tool, separators=(",", ":"))
    assert chat("", tools=[tool]) == OVERHEAD + TOOL_TOKENS + estimate_text_tokens(written)
    assert chat("", response_format=tool) == OVERHEAD + estimate_text_tokens(written)


@pytest.mark.parametrize("absent", ["tools", "functions", "response_format", "prediction"])
def test_a_null_counts_nothing(absent: str) -> None:
    assert chat("", **{absent: None}) == OVERHEAD


@given(JSON)
def test_any_content_is_guessed(content: Any) -> None:
    assert chat(content) >= OVERHEAD


def test_deep_content_is_guessed() -> None:
    content: Any = "end"
    for _ in range(5000):
        content = [content]
    assert chat(content) == OVERHEAD + 1


@pytest.mark.parametrize(
    ("given_input", "tokens"),
    [([1, 2, 3], 3), ([[1, 2], [3]], 3), ("Good morning", 3), (["Good morning"] * 2, 6), ([], 0), ([1.0, 2], 2)],
)
def test_embeddings_count_tokens_exactly_and_texts_by_guess(given_input: Any, tokens: int) -> None:
    assert estimate_prompt_tokens("embeddings", {"model": "m", "input": given_input}) == tokens


@pytest.mark.parametrize(
    ("text_bytes", "chunks", "tokens"), [(0, 0, 0), (7, 0, 2), (8, 0, 3), (7, 5, 5), (700, 5, 200)]
)
def test_an_answer_counts_its_text_or_its_chunks(text_bytes: int, chunks: int, tokens: int) -> None:
    assert estimate_output_tokens(text_bytes, chunks) == tokens


def response(given_input: Any, **fields: Any) -> int:
    return estimate_prompt_tokens("responses", {"model": "m", "input": given_input, **fields})


def message(*content: Any, route: str = "messages", **fields: Any) -> int:
    messages = [{"role": "user", "content": each} for each in content]
    return estimate_prompt_tokens(route, {"model": "m", "max_tokens": 5, "messages": messages, **fields})


def test_a_response_s_input_is_text_or_items() -> None:
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Good morning"}]}]
    assert response("Good morning") == response(items) == chat("Good morning")
    assert response("", instructions="Good morning") == OVERHEAD + estimate_text_tokens("Good morning")
    assert response(None) == response([]) == REPLY_TOKENS


def test_a_response_s_tools_and_schema_count_as_json() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    written = json.dumps(tool, separators=(",", ":"))
    assert response("", tools=[tool]) == OVERHEAD + TOOL_TOKENS + estimate_text_tokens(written)
    form = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}
    expected = estimate_text_tokens(json.dumps(form, separators=(",", ":")))
    assert response("", text={"format": form}) == OVERHEAD + expected
    assert response("", text={"format": {"type": "text"}}) == OVERHEAD


@pytest.mark.parametrize(
    ("item", "tokens"),
    [
        ({"type": "input_image", "image_url": "data:image/png;base64," + "A" * 9000}, IMAGE_TOKENS),
        ({"type": "input_image", "file_id": "f", "detail": "low"}, SMALL_IMAGE_TOKENS),
        ({"type": "input_file", "filename": "a.pdf", "file_data": "A" * 1000}, 10),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, 0),
        ({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "A" * 600}, 100),
        ({"type": "image_generation_call", "result": "A" * 9000}, IMAGE_TOKENS),
        ({"type": "function_call_output", "call_id": "c", "output": "Rain"}, estimate_text_tokens("Rain")),
    ],
)
def test_a_response_s_items_count_by_what_they_hold(item: dict[str, Any], tokens: int) -> None:
    assert response([item]) == OVERHEAD + tokens


@pytest.mark.parametrize("route", ["messages", "count_tokens"])
def test_a_message_counts_its_system_prompt_and_its_text(route: str) -> None:
    blocks = [{"type": "text", "text": "Good morning", "cache_control": {"type": "ephemeral"}}]
    expected = OVERHEAD + estimate_text_tokens("Good morning")
    assert message("Good morning", route=route) == message(blocks, route=route) == expected
    assert message("", route=route, system="Good morning") == message("", route=route, system=blocks) == expected


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        ({"type": "image", "source": {"type": "base64", "data": "A" * 9000}}, CLAUDE_IMAGE_TOKENS),
        ({"type": "document", "source": {"type": "base64", "data": "A" * 3300}}, 100),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, 0),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Rain"}, "title": None},
            estimate_text_tokens("Rain"),
        ),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}, estimate_text_tokens('f{"a":1}')),
        ({"type": "tool_result", "tool_use_id": "t", "content": "Rain"}, estimate_text_tokens("Rain")),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {}}]},
            CLAUDE_IMAGE_TOKENS,
        ),
        ({"type": "redacted_thinking", "data": "A" * 600}, 100),
    ],
)
def test_a_message_s_blocks_count_by_what_they_hold(block: dict[str, Any], tokens: int) -> None:
    assert message([block]) == OVERHEAD + tokens


def test_tools_are_explained_to_claude_once() -> None:
    tool = {"name": "f", "input_schema": {"type": "object"}}
    written = estimate_text_tokens(json.dumps(tool, separators=(",", ":")) * 2)
    assert message("", tools=[tool, tool]) == OVERHEAD + TOOL_USE_TOKENS + 2 * TOOL_TOKENS + written


@given(JSON)
def test_anything_is_guessed_on_every_route(content: Any) -> None:
    assert message(content, system=content) >= OVERHEAD
    assert message([{"type": content, "source": content, "input": content, "text": content}]) >= OVERHEAD
    assert response([{"type": content, "content": content}], text=content, instructions=content) >= OVERHEAD
