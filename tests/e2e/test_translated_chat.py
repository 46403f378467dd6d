"""The real `openai` package before upstreams that speak another language: Anthropic's Messages, Bedrock's Converse."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.e2e.sdk_clients import MODELS, PIXEL, provider_stack
from tests.support.local_stack import LocalStack

pytestmark = pytest.mark.e2e

SAID = "one two three four"
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL: Any = {"role": "user", "content": "call:weather in Bonn"}


@pytest.fixture(scope="module", params=["anthropic", "bedrock"])
def provider(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def stack(provider: str) -> Iterator[LocalStack]:
    with provider_stack(provider) as running:
        yield running


@pytest.fixture
def client(stack: LocalStack) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0) as opened:
        yield opened


def chat(client: OpenAI, provider: str, *messages: Any, **options: Any) -> Any:
    said = list(messages) or [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SAID}]
    return client.chat.completions.create(**{"model": MODELS[provider], "messages": said, **options})


def test_a_chat_is_answered(client: OpenAI, provider: str) -> None:
    completion = chat(client, provider)
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == (SAID, "stop")
    assert completion.model == MODELS[provider]
    assert completion.usage.completion_tokens == 4
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + 4


def test_a_streamed_chat_is_answered_piece_by_piece(client: OpenAI, provider: str) -> None:
    chunks = list(chat(client, provider, stream=True))
    pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(pieces) == SAID
    assert len([piece for piece in pieces if piece]) > 1
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]


def test_a_stream_tells_its_usage_when_asked(client: OpenAI, provider: str) -> None:
    *_, last = chat(client, provider, stream=True, stream_options={"include_usage": True})
    assert (last.choices, last.usage.completion_tokens) == ([], 4)


def test_what_is_cut_short_says_so(client: OpenAI, provider: str) -> None:
    (choice,) = chat(client, provider, max_completion_tokens=2).choices
    assert (choice.message.content, choice.finish_reason) == ("one two", "length")


def test_an_image_is_passed_on(client: OpenAI, provider: str) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    said = {"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]}
    assert "What is it?" in chat(client, provider, said).choices[0].message.content


def test_a_tool_is_called_and_its_result_taken(client: OpenAI, provider: str) -> None:
    (choice,) = chat(client, provider, CALL, tools=[TOOL]).choices
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    last = chat(client, provider, CALL, choice.message, result, {"role": "user", "content": "And now?"}, tools=[TOOL])
    assert "And now?" in last.choices[0].message.content


def test_a_streamed_call_of_a_tool_is_whole(client: OpenAI, provider: str) -> None:
    calls = [
        call
        for chunk in chat(client, provider, CALL, tools=[TOOL], stream=True)
        for choice in chunk.choices
        for call in choice.delta.tool_calls or ()
    ]
    assert [call.function.name for call in calls if call.function.name] == ["weather"]
    assert json.loads("".join(call.function.arguments or "" for call in calls))


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"seed": 7}, "seed"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"extra_body": {"tomorrows_field": 1}}, "tomorrows_field"),
    ],
)
def test_what_has_no_counterpart_is_a_bad_request_that_names_it(
    client: OpenAI, provider: str, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, provider, **options)
    assert (caught.value.code, caught.value.param) == ("unsupported_field", param)


def test_what_is_neutral_is_no_hindrance(client: OpenAI, provider: str) -> None:
    options = {"n": 1, "logprobs": False, "frequency_penalty": 0, "user": "jane", "temperature": 0.5, "store": False}
    assert chat(client, provider, **options).choices[0].message.content == SAID


@pytest.mark.parametrize("operation", ["embeddings", "responses"])
def test_what_the_provider_cannot_do_is_refused(client: OpenAI, provider: str, operation: str) -> None:
    resource: Any = getattr(client, operation)
    with pytest.raises(openai.APIStatusError) as caught:
        resource.create(model=MODELS[provider], input="a")
    assert 400 <= caught.value.status_code < 500


def faulty(provider: str, model: str) -> str:
    """Name a model that fails. Bedrock's must say who made it: then it is one that stays in its region."""
    return f"anthropic.{model}" if provider == "bedrock" else model


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("fault-429", openai.RateLimitError),
        ("fault-401", openai.InternalServerError),
        ("fault-529", openai.InternalServerError),
        ("fault-garbage", openai.InternalServerError),
        ("fault-silent", openai.InternalServerError),
    ],
)
def test_an_upstreams_fault_is_the_sdks_own_error(
    client: OpenAI, provider: str, model: str, kind: type[openai.APIStatusError]
) -> None:
    with pytest.raises(kind):
        chat(client, provider, model=faulty(provider, model))


def test_a_stream_that_breaks_off_is_an_error_and_no_early_end(client: OpenAI, provider: str) -> None:
    seen: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        seen.extend(chat(client, provider, model=faulty(provider, "fault-cut"), stream=True))
    assert seen
    assert caught.value.code == "upstream_interrupted"


@pytest.mark.parametrize("provider", ["bedrock"], scope="module", indirect=True)
@pytest.mark.parametrize("model", ["us.anthropic.claude-sonnet-v1:0", "global.anthropic.claude-sonnet-v1:0", "other"])
def test_a_client_cannot_name_a_model_that_leaves_the_region(client: OpenAI, provider: str, model: str) -> None:
    with pytest.raises(openai.PermissionDeniedError) as caught:
        chat(client, provider, model=model)
    assert caught.value.code == "residency_violation"
