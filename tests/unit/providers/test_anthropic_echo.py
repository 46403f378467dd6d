"""The echo's Anthropic API, asked by Anthropic's own SDK, and by the provider on behalf of OpenAI's."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from starlette.applications import Starlette
from starlette.testclient import TestClient

from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.providers.anthropic import AnthropicProvider
from sallyport.providers.provider import CHAT_COMPLETIONS, Call
from sallyport_cli.echo.anthropic import routes
from sallyport_cli.echo.faults import Faults

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
HELLO: MessageParam = {"role": "user", "content": "Hello, big world!"}
WEATHER: ToolParam = {"name": "weather", "input_schema": {"type": "object"}}
FUNCTION = {"type": "function", "function": {"name": "weather"}}


@pytest.fixture(scope="module")
def http() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=routes(Faults(), "sk-right")), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def sdk(http: TestClient) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="sk-right", base_url="http://127.0.0.1", http_client=http, max_retries=0)


def test_message_says_what_was_said(sdk: anthropic.Anthropic) -> None:
    answer = sdk.messages.create(model="echo", max_tokens=9, system="Be brief.", messages=[HELLO])
    assert [block.type for block in answer.content] == ["text"]
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Hello, big world!"
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("end_turn", 5, 3)
    assert answer._request_id


def test_bounds_end_the_answer(sdk: anthropic.Anthropic) -> None:
    short = sdk.messages.create(model="echo", max_tokens=2, messages=[HELLO])
    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 2)
    stopped = sdk.messages.create(model="echo", max_tokens=9, messages=[HELLO], stop_sequences=["big"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "big")


def test_stream_has_the_events_of_a_message(sdk: anthropic.Anthropic) -> None:
    with sdk.messages.stream(model="echo", max_tokens=9, messages=[HELLO]) as stream:
        assert "".join(stream.text_stream) == "Hello, big world!"
        final = stream.get_final_message()
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 3, 3)


@pytest.mark.parametrize("said", ["call:weather in Kiel", "in Kiel"])
def test_tool_is_called_when_named_or_forced(sdk: anthropic.Anthropic, said: str) -> None:
    forced: Any = {"type": "auto"} if "call:" in said else {"type": "tool", "name": "weather"}
    turn: MessageParam = {"role": "user", "content": said}
    asked: Any = {"model": "echo", "max_tokens": 9, "messages": [turn], "tools": [WEATHER], "tool_choice": forced}
    whole = sdk.messages.create(**asked)
    with sdk.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for answer in (whole, streamed):
        assert answer.stop_reason == "tool_use"
        block = json.loads(answer.model_dump_json())["content"][0]
        assert (block["type"], block["name"], block["input"]) == ("tool_use", "weather", {"text": said})


def test_tokens_are_counted_in_words(sdk: anthropic.Anthropic) -> None:
    assert sdk.messages.count_tokens(model="echo", messages=[HELLO], system="Be brief.").input_tokens == 5


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("fault-429", anthropic.RateLimitError),
        ("fault-529", anthropic.InternalServerError),
        ("fault-403", anthropic.PermissionDeniedError),
    ],
)
def test_faults_have_anthropics_shape(
    sdk: anthropic.Anthropic, model: str, error: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        sdk.messages.create(model=model, max_tokens=9, messages=[HELLO])
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"


def test_broken_requests_are_refused(sdk: anthropic.Anthropic, http: TestClient) -> None:
    with pytest.raises(anthropic.BadRequestError):
        sdk.messages.create(model="echo", max_tokens=0, messages=[HELLO])
    with pytest.raises(anthropic.BadRequestError):
        sdk.messages.create(model="echo", max_tokens=9, messages=[])
    with pytest.raises(anthropic.AuthenticationError):
        sdk.with_options(api_key="sk-wrong").messages.create(model="echo", max_tokens=9, messages=[HELLO])
    headers = {"x-api-key": "sk-right"}
    assert http.post("/v1/messages", content=b"{}", headers=headers).status_code == 400
    assert http.post("/v1/messages", content=b"{", headers={**headers, "anthropic-version": "x"}).status_code == 400


class Answer:
    """An `UpstreamResponse` that has been read."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    def chunks(self) -> Iterator[bytes]:
        yield from (self._body[at : at + 7] for at in range(0, len(self._body), 7))

    def close(self) -> None:
        pass


def chatted(http: TestClient, *messages: Any, to: str = "echo", **fields: Any) -> bytes:
    """Give what a chat with the echo comes to, over the provider."""
    provider = AnthropicProvider(UpstreamRules("claude", "anthropic", "http://127.0.0.1:9000", "eu-west-1"))
    body = {"model": "alias", "messages": list(messages), **fields}
    call = Call(CHAT_COMPLETIONS, body, None, to, fields.get("stream") is True, {})
    request = provider.authorize(provider.request(call), "sk-right")
    response = http.post(request.target, content=request.body, headers=dict(request.headers))
    answer = Answer(response.status_code, dict(response.headers), response.content)
    provider.check(answer, call)
    return b"".join(provider.chunks(answer, call))


def streamed_chat(http: TestClient, *messages: Any, **fields: Any) -> list[ChatCompletionChunk]:
    events = chatted(http, *messages, stream=True, **fields).decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [ChatCompletionChunk.model_validate_json(event.removeprefix("data: ")) for event in events[:-2]]


def test_chat_with_a_system_prompt_and_an_image(http: TestClient) -> None:
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    body = chatted(http, {"role": "system", "content": "Be brief."}, {"role": "user", "content": parts})
    answer = ChatCompletion.model_validate_json(body, strict=True)
    assert answer.choices[0].message.content == "Look: [image/png]"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 2)


def test_chat_as_a_stream(http: TestClient) -> None:
    read = streamed_chat(http, HELLO, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in read if chunk.choices) == "Hello, big world!"
    assert read[-1].usage is not None
    assert read[-1].usage.total_tokens == 6


def test_chat_calls_a_function_and_takes_its_result(http: TestClient) -> None:
    asked = {"role": "user", "content": "call:weather"}
    answer = ChatCompletion.model_validate_json(chatted(http, asked, tools=[FUNCTION]), strict=True)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None
    said = answer.choices[0].message.model_dump()
    result = {"role": "tool", "tool_call_id": answer.choices[0].message.tool_calls[0].id, "content": "Rain"}
    after = ChatCompletion.model_validate_json(chatted(http, asked, said, result, tools=[FUNCTION]), strict=True)
    assert after.choices[0].message.content == "Rain"


def test_chat_calls_a_function_in_a_stream(http: TestClient) -> None:
    read = streamed_chat(http, {"role": "user", "content": "call:weather now"}, tools=[FUNCTION])
    calls = [call for chunk in read for call in chunk.choices[0].delta.tool_calls or ()]
    functions = [call.function for call in calls if call.function is not None]
    assert functions[0].name == "weather"
    assert json.loads("".join(function.arguments or "" for function in functions)) == {"text": "call:weather now"}
    assert read[-1].choices[0].finish_reason == "tool_calls"


def test_chat_is_refused_in_openais_words(http: TestClient) -> None:
    error = json.loads(chatted(http, HELLO, to="fault-422"))["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", None)
    assert error["message"] == "The echo upstream was asked for status 422."
