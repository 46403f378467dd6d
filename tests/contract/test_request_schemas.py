"""The built-in request schemas, on the validator of the doors and on the reference implementation."""

from typing import Any

import jsonschema
import pytest

from sallyport.errors import SchemaViolationError
from sallyport.verification.schema import RequestSchema, read_built_in

USER = {"role": "user", "content": "hello"}
CHAT = {"model": "gpt-a", "messages": [USER]}
EMBEDDING = {"model": "emb-a", "input": "hello"}
RESPONSE = {"model": "gpt-a", "input": "hello"}
COUNT = {"model": "claude-a", "messages": [USER]}
MESSAGE = {**COUNT, "max_tokens": 100}
TEXT = {"type": "text", "text": "hello"}
CALL = {"type": "function", "id": "1", "function": {"name": "f", "arguments": "{}"}}
BUILT_IN = ("chat_completions", "embeddings", "responses", "messages", "count_tokens")

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("chat_completions", CHAT),
    ("chat_completions", {**CHAT, "stream": True, "stream_options": {"include_usage": True}}),
    ("chat_completions", {**CHAT, "temperature": None, "max_tokens": None, "n": 1, "stop": ["a", "b"]}),
    ("chat_completions", {**CHAT, "a_field_of_next_month": {"x": 1}}),
    ("chat_completions", {**CHAT, "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto"}),
    (
        "chat_completions",
        {**CHAT, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
    ),
    (
        "chat_completions",
        {
            **CHAT,
            "messages": [
                USER,
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "1", "content": "42"},
            ],
        },
    ),
    ("embeddings", EMBEDDING),
    ("embeddings", {**EMBEDDING, "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8}),
    ("embeddings", {**EMBEDDING, "input": [1, 2, 3]}),
    ("embeddings", {**EMBEDDING, "input": [[1, 2], [3]]}),
    ("responses", RESPONSE),
    ("responses", {"model": "gpt-a", "prompt": {"id": "pmpt_1"}}),
    ("responses", {**RESPONSE, "stream": None, "store": None, "temperature": None, "a_field_of_next_month": {"x": 1}}),
    (
        "responses",
        {**RESPONSE, "tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function", "name": "f"}},
    ),
    (
        "responses",
        {
            **RESPONSE,
            "input": [
                USER,
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a"}]},
            ],
        },
    ),
    ("messages", MESSAGE),
    ("messages", {**MESSAGE, "max_tokens": 0, "system": "Be brief.", "stream": True, "stop_sequences": ["a"]}),
    ("messages", {**MESSAGE, "system": [TEXT], "thinking": {"type": "adaptive"}, "a_field_of_next_month": 1}),
    ("messages", {**MESSAGE, "messages": [{"role": "system", "content": [TEXT]}, USER], "temperature": 1, "top_k": 0}),
    (
        "messages",
        {**MESSAGE, "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"}},
    ),
    ("messages", {**MESSAGE, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    ("count_tokens", COUNT),
    ("count_tokens", {**COUNT, "system": [TEXT], "tools": [{"name": "f", "input_schema": {}}]}),
]

BAD: list[tuple[str, Any, str | None, str]] = [
    ("chat_completions", [], None, "of type object"),
    ("chat_completions", "text", None, "of type object"),
    ("chat_completions", {"messages": [USER]}, "model", "is required"),
    ("chat_completions", {"model": "gpt-a"}, "messages", "is required"),
    ("chat_completions", {**CHAT, "model": ""}, "model", "at least 1 character"),
    ("chat_completions", {**CHAT, "model": 1}, "model", "of type string"),
    ("chat_completions", {**CHAT, "messages": []}, "messages", "at least 1 item"),
    ("chat_completions", {**CHAT, "messages": "hi"}, "messages", "of type array"),
    ("chat_completions", {**CHAT, "messages": [USER, {}]}, "messages[1].role", "is required"),
    ("chat_completions", {**CHAT, "messages": [{"role": "root"}]}, "messages[0].role", "one of system"),
    ("chat_completions", {**CHAT, "messages": [{**USER, "content": 5}]}, "messages[0].content", "of type"),
    (
        "chat_completions",
        {**CHAT, "messages": [{**USER, "content": [{}]}]},
        "messages[0].content[0].type",
        "is required",
    ),
    ("chat_completions", {**CHAT, "temperature": 2.5}, "temperature", "at most 2"),
    ("chat_completions", {**CHAT, "stream": "yes"}, "stream", "of type boolean"),
    ("chat_completions", {**CHAT, "max_tokens": 0}, "max_tokens", "at least 1"),
    ("chat_completions", {**CHAT, "n": 129}, "n", "at most 128"),
    (
        "chat_completions",
        {**CHAT, "messages": [{**USER, "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
        "is required",
    ),
    ("chat_completions", {**CHAT, "tools": [{"type": "function"}]}, "tools[0].function", "is required"),
    ("embeddings", {"model": "emb-a"}, "input", "is required"),
    ("embeddings", {**EMBEDDING, "input": ""}, "input", "at least 1 character"),
    ("embeddings", {**EMBEDDING, "input": []}, "input", "at least 1 item"),
    ("embeddings", {**EMBEDDING, "input": [["a"]]}, "input[0][0]", "of type integer"),
    ("embeddings", {**EMBEDDING, "encoding_format": "hex"}, "encoding_format", "one of float"),
    ("responses", {"input": "hello"}, "model", "is required"),
    ("responses", {**RESPONSE, "input": 5}, "input", "of type string"),
    ("responses", {**RESPONSE, "input": ["a"]}, "input[0]", "of type object"),
    ("responses", {**RESPONSE, "input": [{**USER, "role": "root"}]}, "input[0].role", "one of user"),
    ("responses", {**RESPONSE, "input": [{**USER, "content": [{}]}]}, "input[0].content[0].type", "is required"),
    ("responses", {**RESPONSE, "background": 1}, "background", "of type boolean"),
    ("responses", {**RESPONSE, "store": "no"}, "store", "of type boolean"),
    ("responses", {**RESPONSE, "stream": 1}, "stream", "of type boolean"),
    ("responses", {**RESPONSE, "tools": [{}]}, "tools[0].type", "is required"),
    ("responses", {**RESPONSE, "tools": {"type": "mcp"}}, "tools", "of type array"),
    ("responses", {**RESPONSE, "max_output_tokens": 0}, "max_output_tokens", "at least 1"),
    ("responses", {**RESPONSE, "previous_response_id": ["a"]}, "previous_response_id", "of type string"),
    ("messages", COUNT, "max_tokens", "is required"),
    ("messages", {**MESSAGE, "max_tokens": -1}, "max_tokens", "at least 0"),
    ("messages", {**MESSAGE, "max_tokens": None}, "max_tokens", "of type integer"),
    ("messages", {**MESSAGE, "messages": []}, "messages", "at least 1 item"),
    ("messages", {**MESSAGE, "messages": [{**USER, "role": "tool"}]}, "messages[0].role", "one of user"),
    ("messages", {**MESSAGE, "messages": [{**USER, "content": None}]}, "messages[0].content", "of type"),
    ("messages", {**MESSAGE, "system": [{"text": "a"}]}, "system[0].type", "is required"),
    ("messages", {**MESSAGE, "temperature": 1.5}, "temperature", "at most 1"),
    (
        "messages",
        {**MESSAGE, "thinking": {"type": "enabled", "budget_tokens": 5}},
        "thinking.budget_tokens",
        "at least",
    ),
    ("messages", {**MESSAGE, "tools": ["web_search"]}, "tools[0]", "of type object"),
    ("messages", {**MESSAGE, "tools": [{"type": 5}]}, "tools[0].type", "of type string"),
    (
        "messages",
        {**MESSAGE, "messages": [{**USER, "content": [{"type": "image", "source": {"type": "url", "url": 5}}]}]},
        "messages[0].content[0].source.url",
        "of type string",
    ),
    ("count_tokens", {"model": "claude-a"}, "messages", "is required"),
    ("count_tokens", {**COUNT, "stream": True}, "stream", "one of false, null"),
]


@pytest.mark.parametrize(("name", "body"), GOOD)
def test_bodies_of_the_api_pass_both_validators(name: str, body: dict[str, Any]) -> None:
    RequestSchema.built_in(name).check(body)
    jsonschema.Draft202012Validator(read_built_in(name)).validate(body)


@pytest.mark.parametrize(("name", "body", "param", "reason"), BAD)
def test_a_violation_names_the_field_and_the_reason(name: str, body: Any, param: str | None, reason: str) -> None:
    with pytest.raises(SchemaViolationError) as caught:
        RequestSchema.built_in(name).check(body)
    assert caught.value.param == param
    assert reason in caught.value.message
    assert not jsonschema.Draft202012Validator(read_built_in(name)).is_valid(body)


def test_a_violation_never_shows_the_value() -> None:
    with pytest.raises(SchemaViolationError) as caught:
        RequestSchema.built_in("chat_completions").check({**CHAT, "messages": [{"role": "prompt-secret"}]})
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_schemas_are_valid_themselves(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(read_built_in(name))


def test_a_schema_that_refers_elsewhere_is_refused() -> None:
    with pytest.raises(Exception, match=r"may not refer|reference"):
        RequestSchema({"$ref": "https://example.com/schema.json"})
