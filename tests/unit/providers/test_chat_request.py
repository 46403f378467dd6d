"""Chat requests read into plain parts: everything that is understood, and a refusal by name for the rest."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import SallyportError, SchemaViolationError, UnsupportedFieldError
from sallyport.providers.chat_parts import (
    ImagePart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Turn,
)
from sallyport.providers.chat_request import ChatRequest, read_chat_request

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Kiel"}'}}


def chat(*messages: Any, **fields: Any) -> ChatRequest:
    said = list(messages) or [{"role": "user", "content": "Hello"}]
    return read_chat_request({"model": "m", "messages": said, **fields})


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def image(url: str, **fields: Any) -> dict[str, Any]:
    return user([{"type": "image_url", "image_url": {"url": url, **fields}}])


def test_plain_request_leaves_the_rest_to_the_upstream() -> None:
    hello = Turn("user", (TextPart("Hello", "messages[0].content"),))
    assert chat() == ChatRequest((), (hello,), (), None, True, None, None, None, (), "")


def test_sampling_fields_are_read() -> None:
    request = chat(temperature=1.5, top_p=0.9, stop="END", max_tokens=7, user="u-1", parallel_tool_calls=False)
    assert (request.temperature, request.top_p, request.stop) == (1.5, 0.9, ("END",))
    assert (request.max_tokens, request.user, request.parallel_tool_calls) == (7, "u-1", False)


def test_lesser_of_both_bounds_holds() -> None:
    assert chat(max_tokens=7, max_completion_tokens=5).max_tokens == 5
    assert chat(max_tokens=5, max_completion_tokens=7).max_tokens == 5


def test_system_and_developer_messages_are_the_system_prompt() -> None:
    request = chat(
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        user("Hello"),
    )
    assert [part.text for part in request.system] == ["Be brief.", "Be kind."]
    assert [turn.role for turn in request.turns] == ["user"]


def test_messages_of_a_side_in_a_row_are_one_turn() -> None:
    request = chat(user("a"), user("b"), {"role": "assistant", "content": "c"}, user("d"))
    assert [(turn.role, [getattr(part, "text", None) for part in turn.parts]) for turn in request.turns] == [
        ("user", ["a", "b"]),
        ("assistant", ["c"]),
        ("user", ["d"]),
    ]


def test_tool_calls_and_results_are_read() -> None:
    request = chat(
        user("Weather?"),
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
        user("Thanks"),
        tools=[WEATHER],
    )
    assert request.turns[1].parts == (ToolCallPart("call_1", "weather", {"city": "Kiel"}, "messages[1].tool_calls[0]"),)
    result = ToolResultPart("call_1", (TextPart("Rain", "messages[2].content"),), "messages[2]")
    assert request.turns[2] == Turn("user", (result, TextPart("Thanks", "messages[3].content")))


def test_assistant_message_as_the_sdk_gives_it_back_is_read() -> None:
    answer: dict[str, Any] = {"role": "assistant", "content": "Hi", "refusal": None, "annotations": [], "audio": None}
    assert chat(user("a"), {**answer, "function_call": None, "tool_calls": None}).turns[1].role == "assistant"


def test_an_answer_that_was_empty_may_come_back() -> None:
    request = chat(user("a"), {"role": "assistant", "content": ""}, user("b"))
    (turn,) = request.turns
    assert [part.text for part in turn.parts if isinstance(part, TextPart)] == ["a", "b"]


@pytest.mark.parametrize("calls", [1, 100])
def test_very_many_values_in_arguments_are_refused_before_they_are_read(calls: int) -> None:
    arguments = '{"a": [' + "{}," * (140_000 // calls) + "1]}"
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    with pytest.raises(SchemaViolationError) as caught:
        chat(user("a"), {"role": "assistant", "tool_calls": [call] * calls})
    assert caught.value.param == "messages[1].tool_calls"


def test_marks_within_a_text_of_arguments_are_no_values() -> None:
    arguments = '{"code": "' + "{,[" * 200_000 + '"}'
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    assert chat(user("a"), {"role": "assistant", "tool_calls": [call]}).turns[1].parts


def test_tool_result_may_be_empty() -> None:
    request = chat(
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": ""},
    )
    assert request.turns[1].parts == (ToolResultPart("call_1", (), "messages[1]"),)


def test_call_without_arguments_has_none() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "now", "arguments": ""}}
    (part,) = chat({"role": "assistant", "tool_calls": [call]}).turns[0].parts
    assert isinstance(part, ToolCallPart)
    assert part.arguments == {}


def test_tools_are_read() -> None:
    described = {"name": "f", "description": "Does it.", "parameters": {"type": "object", "x": 1}, "strict": True}
    request = chat(tools=[{"type": "function", "function": described}, {"type": "function", "function": {"name": "g"}}])
    assert request.tools == (
        Tool("f", "Does it.", {"type": "object", "x": 1}, True, "tools[0].function"),
        Tool("g", "", {"type": "object", "properties": {}}, False, "tools[1].function"),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "weather"}}, ToolChoice("named", "weather")),
        (None, None),
    ],
)
def test_tool_choice_is_read(choice: Any, expected: ToolChoice | None) -> None:
    assert chat(tools=[WEATHER], tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/gif", "image/webp"])
def test_data_url_is_an_image(media_type: str) -> None:
    (turn,) = chat(image(f"data:{media_type};base64,{PIXEL}", detail="auto")).turns
    assert turn.parts == (ImagePart(media_type, PIXEL, "", "messages[0].content[0]"),)


def test_https_url_is_an_image_elsewhere() -> None:
    (turn,) = chat(image("https://example.com/a.png")).turns
    assert turn.parts == (ImagePart("", "", "https://example.com/a.png", "messages[0].content[0]"),)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("n", True),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"1": 5}),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -1),
        ("seed", 0),
        ("audio", {"voice": "x"}),
        ("modalities", ["text", "audio"]),
        ("prediction", {"type": "content"}),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {}}),
        ("web_search_options", {}),
        ("service_tier", "flex"),
        ("service_tier", ["auto"]),
        ("verbosity", "low"),
        ("reasoning_effort", "low"),
        ("metadata", {"a": "b"}),
        ("store", True),
        ("prompt_cache_key", "k"),
        ("field_of_tomorrow", 1),
    ],
)
def test_field_without_counterpart_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        chat(**{field: value})
    assert caught.value.param == field


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "logprobs": False, "top_logprobs": 0, "logit_bias": {}, "frequency_penalty": 0},
        {"presence_penalty": 0.0, "modalities": ["text"], "response_format": {"type": "text"}},
        {"service_tier": "auto", "store": False, "metadata": {}, "functions": []},
        {"seed": None, "reasoning_effort": None, "audio": None, "field_of_tomorrow": None},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"tools": [], "tool_choice": "auto"},
    ],
)
def test_what_asks_for_nothing_passes(fields: dict[str, Any]) -> None:
    assert chat(**fields).turns


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "system", "content": "late"}, "messages[1].role"),
        ({"role": "developer", "content": "late"}, "messages[1].role"),
        ({"role": "function", "name": "f", "content": "x"}, "messages[1].role"),
        ({"role": "user", "content": "x", "name": "Ann"}, "messages[1].name"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "messages[1].content[0].type"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "messages[1].content[0].type"),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "x"}]}, "messages[1].content[0].type"),
        ({"role": "assistant", "content": "x", "refusal": "x"}, "messages[1].refusal"),
        ({"role": "assistant", "content": "x", "audio": {"id": "a"}}, "messages[1].audio"),
        ({"role": "assistant", "content": "x", "function_call": {"name": "f"}}, "messages[1].function_call"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}, "messages[1].tool_calls[0].type"),
        (image("https://example.com/a.png", detail="high"), "messages[1].content[0].image_url.detail"),
        (image("http://example.com/a.png"), "messages[1].content[0].image_url.url"),
        (image("file:///etc/passwd"), "messages[1].content[0].image_url.url"),
        (image(f"data:image/svg+xml;base64,{PIXEL}"), "messages[1].content[0].image_url.url"),
        (image(f"data:image/png;name=a;base64,{PIXEL}"), "messages[1].content[0].image_url.url"),
        (image("data:image/png,abc"), "messages[1].content[0].image_url.url"),
        (user([{"type": "text", "text": "x", "cache_control": {}}]), "messages[1].content[0].cache_control"),
        ({**image("https://example.com/a.png"), "role": "assistant"}, "messages[1].content[0].type"),
        ({"role": "user", "content": "x", "a key: of no API": 1}, "messages[1]"),
    ],
)
def test_what_no_turn_can_say_is_refused_by_name(message: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        chat(user("first"), message)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (None, "messages[1]"),
        ({"role": "nobody"}, "messages[1].role"),
        ({"role": None}, "messages[1].role"),
        ({"role": "user", "content": ""}, "messages[1].content"),
        ({"role": "assistant", "content": None}, "messages[1].content"),
        ({"role": "user", "content": 5}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[1].content[0].text"),
        ({"role": "user", "content": ["x"]}, "messages[1].content[0]"),
        ({"role": "tool", "content": "x"}, "messages[1].tool_call_id"),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": ""}]}, "messages[1].tool_calls[0].id"),
        (image("data:image/png;base64,$$$"), "messages[1].content[0].image_url.url"),
        (image("data:image/png;base64,"), "messages[1].content[0].image_url.url"),
    ],
)
def test_what_is_no_message_is_refused(message: Any, param: str) -> None:
    with pytest.raises(SchemaViolationError) as caught:
        chat(user("first"), message)
    assert caught.value.param == param


@pytest.mark.parametrize("arguments", ["{", "[]", "5", '{"a": NaN}', '{"a": 1e999}', "[" * 100_000, None, {}])
def test_arguments_that_are_no_object_are_refused(arguments: Any) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments or 0}}
    with pytest.raises(SchemaViolationError) as caught:
        chat({"role": "assistant", "tool_calls": [call]})
    assert caught.value.param == "messages[0].tool_calls[0].function.arguments"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{**WEATHER, "cache": True}]}, "tools[0].cache"),
        ({"tools": [{"type": "function", "function": {"name": "f", "extra": 1}}]}, "tools[0].function.extra"),
        ({"tools": [WEATHER], "tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"stream_options": {"other": 1}}, "stream_options.other"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"stop": ["a", 1]}, "stop[1]"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_broken_fields_are_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises((UnsupportedFieldError, SchemaViolationError)) as caught:
        chat(**fields)
    assert caught.value.param == param


def test_system_prompt_alone_is_refused() -> None:
    with pytest.raises(SchemaViolationError) as caught:
        chat({"role": "system", "content": "Be brief."})
    assert caught.value.param == "messages"


PART_NAMES = ["content", "type", "text", "image_url", "url", "detail"]
CALL_NAMES = ["tool_calls", "function", "arguments", "name", "id", "tool_call_id"]
NAMES = st.sampled_from(["role", *PART_NAMES, *CALL_NAMES])
WORDS = st.sampled_from(
    ["user", "assistant", "tool", "system", "text", "image_url", "function", "{}", "data:image/png;base64,AAAA"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from([*ChatRequest._fields, "messages", "tool_choice", "stream_options", "n", "service_tier"])


@given(st.dictionaries(FIELDS, ANYTHING, max_size=4), st.lists(st.dictionaries(NAMES, ANYTHING, max_size=4)))
def test_any_body_is_read_or_refused(body: dict[str, Any], messages: list[Any]) -> None:
    outcome = read_or_refused({"messages": messages, **body})
    assert outcome.param if isinstance(outcome, SallyportError) else outcome.turns


def read_or_refused(body: dict[str, Any]) -> ChatRequest | SallyportError:
    try:
        return read_chat_request(body)
    except SallyportError as error:
        return error
