"""Chat requests in Anthropic's words."""

from typing import Any

import pytest

from sallyport.errors import UnsupportedFieldError
from sallyport.providers.anthropic_request import DEFAULT_MAX_TOKENS, messages_request
from sallyport.providers.chat_request import read_chat_request

HELLO = {"role": "user", "content": "Hello"}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Tells it.", "strict": True}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Kiel"}'}}


def translated(*messages: Any, stream: bool = False, **fields: Any) -> dict[str, Any]:
    chat = read_chat_request({"model": "alias", "messages": list(messages) or [HELLO], **fields})
    return messages_request(chat, "claude-x", stream=stream)


def test_plain_request_has_what_anthropic_requires_and_no_more() -> None:
    assert translated() == {
        "model": "claude-x",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }


def test_every_field_with_a_counterpart_is_written() -> None:
    body = translated(
        {"role": "system", "content": "Be brief."},
        HELLO,
        stream=True,
        temperature=0,
        top_p=0.5,
        max_completion_tokens=9,
        stop=["a", "b"],
        user="u-1",
    )
    assert body.pop("messages")
    assert body == {
        "model": "claude-x",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "Be brief."}],
        "stop_sequences": ["a", "b"],
        "metadata": {"user_id": "u-1"},
        "temperature": 0,
        "top_p": 0.5,
        "stream": True,
    }


def test_tools_calls_and_results_are_written() -> None:
    body = translated(
        HELLO,
        {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
        tools=[WEATHER],
    )
    assert body["tools"] == [
        {
            "name": "weather",
            "description": "Tells it.",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
        }
    ]
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Kiel"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "Rain"}]}
            ],
        },
    ]


def test_result_of_nothing_has_no_content() -> None:
    body = translated({"role": "tool", "tool_call_id": "c", "content": ""})
    assert body["messages"][0]["content"] == [{"type": "tool_result", "tool_use_id": "c"}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "function", "function": {"name": "weather"}}}, {"type": "tool", "name": "weather"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
        ({"parallel_tool_calls": True}, None),
    ],
)
def test_tool_choice_is_written(fields: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert translated(tools=[WEATHER], **fields).get("tool_choice") == expected


def test_calls_one_at_a_time_without_tools_say_nothing() -> None:
    assert "tool_choice" not in translated(parallel_tool_calls=False)


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("data:image/png;base64,AAAA", {"type": "base64", "media_type": "image/png", "data": "AAAA"}),
        ("https://example.com/a.png", {"type": "url", "url": "https://example.com/a.png"}),
    ],
)
def test_images_are_written(url: str, source: dict[str, str]) -> None:
    body = translated({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})
    assert body["messages"][0]["content"] == [{"type": "image", "source": source}]


def test_temperature_beyond_the_scale_is_refused() -> None:
    assert translated(temperature=1)["temperature"] == 1
    with pytest.raises(UnsupportedFieldError) as caught:
        translated(temperature=1.1)
    assert caught.value.param == "temperature"
