"""Every word of a request is found, with whose it is and where it stands, on every route."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.verification.prompt_texts import BESIDE, CONVERSATION, NOT_READ, ROLES, PromptTexts
from sallyport.verification.schema import read_built_in

ROUTES = tuple(CONVERSATION)
PNG = "data:image/png;base64,iVBORw0KGgo"


def texts(route: str, body: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(text.role, text.path, text.text) for text in PromptTexts(route, {"model": "m", **body})]


CASES: list[tuple[str, str, dict[str, Any], list[tuple[str, str, str]]]] = [
    (
        "a chat of all roles",
        "chat_completions",
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "developer", "content": [{"type": "text", "text": "d"}]},
                {"role": "user", "content": "u", "name": "anna"},
                {
                    "role": "assistant",
                    "content": None,
                    "refusal": "no",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"q": 1}'}}],
                },
                {"role": "tool", "tool_call_id": "c", "content": "t"},
                {"role": "function", "name": "f", "content": "old"},
            ]
        },
        [
            ("system", "messages[0].content", "s"),
            ("developer", "messages[1].content[0].text", "d"),
            ("user", "messages[2].content", "u"),
            ("user", "messages[2].name", "anna"),
            ("assistant", "messages[3].refusal", "no"),
            ("assistant", "messages[3].tool_calls[0].function.name", "f"),
            ("assistant", "messages[3].tool_calls[0].function.arguments", '{"q": 1}'),
            ("tool", "messages[4].content", "t"),
            ("tool", "messages[5].name", "f"),
            ("tool", "messages[5].content", "old"),
        ],
    ),
    (
        "an image's bytes are no words, its address is",
        "chat_completions",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                        {"type": "image_url", "image_url": {"url": PNG.upper()}},
                        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
                        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:,", "file_id": "f"}},
                    ],
                }
            ]
        },
        [
            ("user", "messages[0].content[2].image_url.url", "https://a.example/b.png"),
            ("user", "messages[0].content[3].input_audio.format", "wav"),
            ("user", "messages[0].content[4].file.filename", "a.pdf"),
        ],
    ),
    (
        "tools and the form of the answer are the system's",
        "chat_completions",
        {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "f",
                        "description": "d",
                        "parameters": {"type": "object", "properties": {"city": {"id": ["x"]}}},
                    },
                }
            ],
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"title": "t"}}},
            "prediction": {"type": "content", "content": "p"},
            "messages": [],
        },
        [
            ("system", "tools[0].function.name", "f"),
            ("system", "tools[0].function.description", "d"),
            ("system", "tools[0].function.parameters", "type"),
            ("system", "tools[0].function.parameters.type", "object"),
            ("system", "tools[0].function.parameters", "properties"),
            ("system", "tools[0].function.parameters.properties", "city"),
            ("system", "tools[0].function.parameters.properties.city", "id"),
            ("system", "tools[0].function.parameters.properties.city.id[0]", "x"),
            ("system", "response_format.json_schema.name", "n"),
            ("system", "response_format.json_schema.schema", "title"),
            ("system", "response_format.json_schema.schema.title", "t"),
            ("assistant", "prediction.content", "p"),
        ],
    ),
    (
        "an upstream's own fields are a user's",
        "chat_completions",
        {
            "messages": [{"role": "user", "content": "a", "mood": {"id": "no", "note": "b"}}],
            "chat_template": "c",
            "documents": [{"body": "d"}],
            "web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": "e"}}},
        },
        [
            ("user", "chat_template", "c"),
            ("user", "documents[0].body", "d"),
            ("user", "web_search_options.user_location.approximate.city", "e"),
            ("user", "messages[0].content", "a"),
            ("user", "messages[0].mood.note", "b"),
        ],
    ),
    ("a text as a response's input", "responses", {"input": "a"}, [("user", "input", "a")]),
    (
        "a response's items",
        "responses",
        {
            "instructions": "i",
            "prompt": {"id": "pmpt", "version": "2", "variables": {"who": "v", "pic": {"type": "input_image"}}},
            "text": {"format": {"type": "json_schema", "name": "n", "description": "d", "schema": {}}},
            "input": [
                {"role": "user", "content": "u"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
                {"type": "message", "content": [{"type": "input_text", "text": "nobody's"}]},
                {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "r"}],
                 "encrypted_content": "gAAAA"},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "o"}]},
                {"type": "custom_tool_call_output", "call_id": "c", "output": "p"},
                {"type": "image_generation_call", "id": "ig", "result": "iVBOR", "revised_prompt": "q"},
                {"type": "mcp_call", "server_label": "l", "name": "f", "arguments": "{}", "output": "x"},
                {"type": "mcp_approval_response", "approval_request_id": "id", "approve": True, "reason": "y"},
                {"type": "item_reference", "id": "msg_1"},
                {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "g"}]},
                {"type": "hologram", "words": "z"},
                {"role": "critic", "content": "k"},
            ],
        },
        [
            ("system", "instructions", "i"),
            ("user", "prompt.version", "2"),
            ("user", "prompt.variables", "who"),
            ("user", "prompt.variables.who", "v"),
            ("user", "prompt.variables", "pic"),
            ("user", "prompt.variables.pic", "type"),
            ("user", "prompt.variables.pic.type", "input_image"),
            ("system", "text.format.name", "n"),
            ("system", "text.format.description", "d"),
            ("user", "input[0].content", "u"),
            ("assistant", "input[1].content[0].text", "a"),
            ("user", "input[2].content[0].text", "nobody's"),
            ("assistant", "input[3].summary[0].text", "r"),
            ("assistant", "input[4].name", "f"),
            ("assistant", "input[4].arguments", "{}"),
            ("tool", "input[5].output[0].text", "o"),
            ("tool", "input[6].output", "p"),
            ("assistant", "input[7].revised_prompt", "q"),
            ("assistant", "input[8].server_label", "l"),
            ("assistant", "input[8].name", "f"),
            ("assistant", "input[8].arguments", "{}"),
            ("assistant", "input[8].output", "x"),
            ("user", "input[9].approval_request_id", "id"),
            ("user", "input[9].reason", "y"),
            ("developer", "input[11].tools[0].name", "g"),
            ("user", "input[12].words", "z"),
            ("user", "input[13].content", "k"),
        ],
    ),
    (
        "a tool's secrets are no words",
        "responses",
        {
            "tools": [
                {"type": "mcp", "server_label": "l", "authorization": "s1", "headers": {"X-Key": "s2"}},
                {"type": "code_interpreter", "container": {"network_policy": {"domain_secrets": [{"value": "s3"}]}}},
            ],
            "input": "a",
        },
        [("system", "tools[0].server_label", "l"), ("user", "input", "a")],
    ),
    (
        "a message's blocks",
        "messages",
        {
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
            "mcp_servers": [{"type": "url", "url": "https://a.example", "name": "n", "authorization_token": "s1"}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "u"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}},
                        {"type": "document", "title": "t", "source": {"type": "text", "data": "d"}},
                        {"type": "tool_result", "tool_use_id": "i", "content": [{"type": "text", "text": "r"}]},
                        {"type": "search_result", "source": "w", "title": "v", "content": []},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "h", "signature": "EqQB"},
                        {"type": "redacted_thinking", "data": "EmwK"},
                        {"type": "tool_use", "id": "i", "name": "f", "input": {"type": "tool_result", "data": [7]}},
                        {"type": "web_search_tool_result", "tool_use_id": "i",
                         "content": [{"type": "web_search_result", "title": "w", "encrypted_content": "Eo"}]},
                    ],
                },
                {"role": "system", "content": "later"},
            ],
        },
        [
            ("system", "system[0].text", "s"),
            ("user", "messages[0].content[0].text", "u"),
            ("user", "messages[0].content[2].title", "t"),
            ("user", "messages[0].content[2].source.data", "d"),
            ("tool", "messages[0].content[3].content[0].text", "r"),
            ("user", "messages[0].content[4].source", "w"),
            ("user", "messages[0].content[4].title", "v"),
            ("assistant", "messages[1].content[0].thinking", "h"),
            ("assistant", "messages[1].content[2].name", "f"),
            ("assistant", "messages[1].content[2].input", "type"),
            ("assistant", "messages[1].content[2].input.type", "tool_result"),
            ("assistant", "messages[1].content[2].input", "data"),
            ("tool", "messages[1].content[3].content[0].title", "w"),
            ("system", "messages[2].content", "later"),
        ],
    ),
    ("a text to count", "count_tokens", {"messages": [{"role": "user", "content": "a"}]},
     [("user", "messages[0].content", "a")]),
    ("texts to embed", "embeddings", {"input": ["a", "b"], "user": "u"},
     [("user", "input[0]", "a"), ("user", "input[1]", "b")]),
    ("tokens to embed", "embeddings", {"input": [[1, 2], [3]]}, []),
]  # fmt: skip


@pytest.mark.parametrize(("route", "body", "found"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_text_is_given_with_whose_it_is_and_where(
    route: str, body: dict[str, Any], found: list[tuple[str, str, str]]
) -> None:
    assert texts(route, body) == found


@pytest.mark.parametrize("route", ROUTES)
def test_it_is_known_of_every_field_whether_a_model_reads_it(route: str) -> None:
    """A field that a provider adds is looked at as a user's until somebody has read what it does."""
    known = NOT_READ | set(BESIDE) | {CONVERSATION[route], "prompt", "web_search_options"}
    assert set(read_built_in(route)["properties"]) - known == set()
    assert not NOT_READ & set(BESIDE)


@pytest.mark.parametrize(
    ("route", "body", "size"),
    [
        ("chat_completions", {"messages": [{"role": "user", "content": "\u20aca"}]}, 4),
        ("messages", {"system": "ab", "messages": [{"role": "user", "content": "c"}]}, 3),
        ("messages", {"messages": [], "tools": [{"name": "f", "input_schema": {"ab": [12, 1.5, None]}}]}, 8),
        ("embeddings", {"input": [1, 23]}, 3),
        ("embeddings", {"input": [[1, 23], [456]]}, 6),
        ("responses", {"input": None}, 0),
    ],
)
def test_bytes_are_those_of_texts_and_of_numbers_that_a_model_reads(
    route: str, body: dict[str, Any], size: int
) -> None:
    assert PromptTexts(route, body).byte_count() == size


@pytest.mark.parametrize(
    ("route", "body", "count"),
    [
        ("chat_completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}, {"type": "text"}]}]}, 1),
        ("chat_completions", {"messages": [{"role": "user", "content": [{"image_url": {"url": "https://a"}}]}]}, 1),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, 1),
        ("responses", {"input": [{"type": "function_call_output", "output": [{"type": "input_image"}]}]}, 1),
        ("responses", {"input": [{"type": "computer_call_output", "output": {"type": "computer_screenshot"}}]}, 1),
        ("responses", {"input": [{"type": "image_generation_call", "result": "iVBOR"}]}, 1),
        ("responses", {"prompt": {"id": "p", "variables": {"a": {"type": "input_image"}}}}, 1),
        ("messages", {"messages": [{"content": [{"type": "image"}, {"type": "image"}]}]}, 2),
        ("messages", {"messages": [{"content": [{"type": "tool_result", "content": [{"type": "image"}]}]}]}, 1),
        ("messages", {"messages": [{"content": [{"type": "tool_use", "input": {"type": "image"}}]}]}, 0),
        ("chat_completions", {"messages": [], "tools": [{"function": {"parameters": {"type": "image"}}}]}, 0),
        ("embeddings", {"input": "image"}, 0),
    ],
)
def test_images_are_counted_wherever_they_stand(route: str, body: dict[str, Any], count: int) -> None:
    assert PromptTexts(route, body).image_count() == count


@pytest.mark.parametrize(("given_", "count"), [(None, 0), ("a", 1), ([], 0), ([{}, {}], 2)])
def test_a_text_alone_is_one_message(given_: Any, count: int) -> None:
    assert PromptTexts("responses", {"input": given_}).message_count() == count


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "input", "data", "url", "output", "tools", "x"]),
            inner | st.sampled_from(["text", "user", "tool_result", "additional_tools", "image"]),
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.sampled_from(ROUTES), st.dictionaries(st.sampled_from(["messages", "input", "tools", "x", "text"]), JSON))
def test_whatever_a_body_holds_it_is_walked_to_the_end(route: str, body: dict[str, Any]) -> None:
    found = PromptTexts(route, body)
    written = json.dumps(body, ensure_ascii=False)
    listed = list(found)
    assert all(text.role in ROLES for text in listed)
    assert all(json.dumps(text.text, ensure_ascii=False) in written for text in listed)
    assert sum(len(text.text.encode()) for text in listed) <= found.byte_count() <= len(written.encode())
    assert found.image_count() >= 0
    assert found.tool_count() >= 0
    assert found.message_count() >= 0


@given(st.text(min_size=1), st.sampled_from(["foo", "annotations", "reasoning_content", "x.y[0].text"]))
def test_a_text_in_a_field_that_nobody_knows_is_found(text: str, name: str) -> None:
    body = {"messages": [{"role": "user", "content": "a", name: {"deep": [text]}}]}
    assert text in [found for _, _, found in texts("chat_completions", body)]


def test_a_page_may_not_pass_for_an_image() -> None:
    page = {"type": "web_search_result", "url": "data: words", "title": "t", "encrypted_content": "e"}
    body = {"messages": [{"role": "user", "content": [{"type": "web_search_tool_result", "content": [page]}]}]}
    assert ("tool", "messages[0].content[0].content[0].url", "data: words") in texts("messages", body)


def test_all_words_of_a_tools_examples_and_of_a_files_attributes_are_found() -> None:
    examples = {"tools": [{"name": "f", "input_schema": {}, "input_examples": [{"id": "words"}]}]}
    assert ("system", "tools[0].input_examples[0].id", "words") in texts("messages", examples)
    file = {"type": "file_search_call", "results": [{"attributes": {"id": "words"}}]}
    assert ("tool", "input[0].results[0].attributes.id", "words") in texts("responses", {"input": [file]})


def test_a_long_name_is_cut_in_a_path() -> None:
    ((_, path, _),) = texts("chat_completions", {"messages": [{"role": "user", "x" * 500: "a"}]})
    assert path == "messages[0]." + "x" * 64


@pytest.mark.parametrize("count", [lambda texts: sum(1 for _ in texts), PromptTexts.byte_count])
def test_many_texts_under_long_names_take_no_memory(count: Callable[[PromptTexts], int]) -> None:
    value: Any = [""] * 20_000
    for index in range(60):
        value = {f"{index:064}": value}
    texts = PromptTexts("chat_completions", {"model": "m", "messages": [], "documents": value})
    tracemalloc.start()
    try:
        count(texts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
