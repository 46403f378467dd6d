"""References to what an upstream has kept are refused, whoever kept it."""

from typing import Any

import pytest

from sallyport.errors import UnsupportedFieldError
from sallyport.providers.kept_data import check_kept_data

FILE_PART = {"type": "file", "file": {"file_id": "file-1"}}
USER = {"role": "user", "content": "hello"}
CODE = {"type": "code_interpreter"}
FILE_ID_SCHEMA = {"type": "object", "properties": {"file_id": {"type": "string"}}}
REFERRING: list[tuple[str, dict[str, Any], str]] = [
    ("responses", {"input": [USER, {"type": "image_generation_call", "id": "ig_1"}]}, "input[1]"),
    ("responses", {"tools": [{**CODE, "container": "cntr_1"}]}, "tools[0]"),
    ("responses", {"tools": [{**CODE, "container": {"type": "auto", "file_ids": ["f"]}}]}, "tools[0]"),
    (
        "responses",
        {"tools": [{"type": "shell", "environment": {"type": "container_reference", "container_id": "c"}}]},
        "tools[0]",
    ),
    (
        "responses",
        {"input": [{"type": "additional_tools", "role": "developer", "tools": [{**CODE, "container": "cntr_1"}]}]},
        "input[0].tools[0]",
    ),
    ("messages", {"container": "container_1", "messages": []}, "container"),
    ("messages", {"container": {"id": "container_1", "skills": []}, "messages": []}, "container"),
    ("chat_completions", {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, "messages[0]"),
    ("responses", {"conversation": {"id": "conv_1"}}, "conversation"),
    ("responses", {"prompt": {"id": "pmpt_1"}}, "prompt"),
    ("responses", {"input": [USER, {"type": "item_reference", "id": "msg_1"}]}, "input[1]"),
    ("responses", {"input": [{"id": "msg_1"}]}, "input[0]"),
    ("responses", {"input": [{"type": None, "id": "msg_1"}]}, "input[0]"),
    ("responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0]"),
    ("responses", {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input[0]"),
    ("chat_completions", {"messages": [USER, {"role": "user", "content": [FILE_PART]}]}, "messages[1]"),
    (
        "messages",
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]},
        "messages[0]",
    ),
    (
        "count_tokens",
        {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
        "messages[0]",
    ),
    (
        "messages",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t",
                            "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
                        }
                    ],
                }
            ]
        },
        "messages[0]",
    ),
]
HARMLESS: list[tuple[str, dict[str, Any]]] = [
    ("responses", {"tools": [{"type": "function", "name": "f", "parameters": FILE_ID_SCHEMA}]}),
    ("responses", {"tools": [{**CODE, "container": {"type": "auto", "file_ids": []}}]}),
    ("responses", {"input": [{"type": "image_generation_call", "id": "ig_1", "result": "aGk="}]}),
    (
        "responses",
        {"input": [{"type": "additional_tools", "tools": [{"type": "function", "parameters": FILE_ID_SCHEMA}]}]},
    ),
    ("messages", {"container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}, "messages": []}),
    (
        "messages",
        {"messages": [{"role": "system", "content": [{"tool": {"definition": {"input_schema": FILE_ID_SCHEMA}}}]}]},
    ),
    ("responses", {"input": "file_id", "conversation": None, "prompt": None}),
    ("responses", {"input": [USER, {"type": "function_call_output", "call_id": "c", "output": ""}]}),
    ("responses", {"input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": "x"}]}),
    ("responses", {"input": [{"type": "function_call", "name": "f", "arguments": '{"file_id": 1}'}]}),
    ("messages", {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": {"file_id": "a"}}]}]}),
    ("chat_completions", {"messages": [{"role": "user", "content": "file_id"}]}),
    ("embeddings", {"input": ["a", "b"]}),
    ("messages", {"messages": None}),
    ("responses", {}),
]


@pytest.mark.parametrize(("operation", "body", "param"), REFERRING)
def test_a_reference_to_kept_data_is_refused_by_its_place(operation: str, body: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        check_kept_data(operation, body)
    assert caught.value.param == param


@pytest.mark.parametrize(("operation", "body"), HARMLESS)
def test_what_needs_nothing_kept_passes(operation: str, body: dict[str, Any]) -> None:
    check_kept_data(operation, body)
