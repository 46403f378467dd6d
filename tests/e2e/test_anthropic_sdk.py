"""The real `anthropic` package against the whole gateway, before an echo of Anthropic's API and one of Bedrock's."""

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from sallyport.identity.api_keys import mint
from tests.e2e.sdk_clients import MODELS, PIXEL, key_with, provider_stack
from tests.support.local_stack import LocalStack

pytestmark = pytest.mark.e2e

SAID = "one two three four"
MESSAGES: Any = [{"role": "user", "content": SAID}]
TOOL: Any = {"name": "weather", "description": "Tells the weather.", "input_schema": {"type": "object"}}
CLAUDE = MODELS["anthropic"]


@pytest.fixture(scope="module")
def claude() -> Iterator[LocalStack]:
    with provider_stack("anthropic") as running:
        yield running


@pytest.fixture(scope="module")
def bedrock() -> Iterator[LocalStack]:
    with provider_stack("bedrock") as running:
        yield running


@pytest.fixture(params=["anthropic", "bedrock"])
def provider(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def stack(provider: str, request: pytest.FixtureRequest) -> LocalStack:
    running: LocalStack = request.getfixturevalue("claude" if provider == "anthropic" else "bedrock")
    return running


@pytest.fixture
def client(stack: LocalStack) -> Iterator[Anthropic]:
    with client_with(stack, stack.key) as opened:
        yield opened


def client_with(stack: LocalStack, key: str) -> Anthropic:
    return Anthropic(base_url=stack.url, api_key=key, max_retries=0)


def say(client: Anthropic, model: str, **options: Any) -> Any:
    return client.messages.create(model=model, messages=MESSAGES, **{"max_tokens": 100, **options})


def test_a_message_is_answered(client: Anthropic, provider: str) -> None:
    answer = say(client, MODELS[provider], system="Be brief.")
    assert [block.text for block in answer.content] == [SAID]
    assert (answer.role, answer.stop_reason) == ("assistant", "end_turn")
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens == 4


def test_what_is_cut_short_says_so(client: Anthropic, provider: str) -> None:
    answer = say(client, MODELS[provider], max_tokens=2)
    assert (answer.content[0].text, answer.stop_reason) == ("one two", "max_tokens")


def test_a_stream_is_answered_piece_by_piece(client: Anthropic, provider: str) -> None:
    with client.messages.stream(model=MODELS[provider], max_tokens=100, messages=MESSAGES) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(pieces) == SAID
    assert len(pieces) > 1
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 4)


def test_a_streams_events_come_in_anthropics_order(client: Anthropic, provider: str) -> None:
    kinds = [event.type for event in say(client, MODELS[provider], stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_an_image_is_passed_on(claude: LocalStack) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content: Any = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]
    with client_with(claude, claude.key) as client:
        answer: Any = client.messages.create(
            model=CLAUDE, max_tokens=100, messages=[{"role": "user", "content": content}]
        )
    assert answer.content[0].text == "[image/png] What is it?"


def test_a_tool_is_called_and_its_result_taken(claude: LocalStack) -> None:
    asked: Any = {"role": "user", "content": "call:weather in Bonn"}
    with client_with(claude, claude.key) as client:
        answer: Any = client.messages.create(model=CLAUDE, max_tokens=100, messages=[asked], tools=[TOOL])
        assert answer.stop_reason == "tool_use"
        (call,) = answer.content
        assert (call.type, call.name) == ("tool_use", "weather")
        result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
        turns: Any = [asked, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
        last: Any = client.messages.create(model=CLAUDE, max_tokens=100, messages=turns, tools=[TOOL])
    assert last.content[0].text == "rain"


def test_a_streamed_call_of_a_tool_is_whole(claude: LocalStack) -> None:
    asked: Any = {"role": "user", "content": "call:weather in Bonn"}
    with client_with(claude, claude.key) as client:
        with client.messages.stream(model=CLAUDE, max_tokens=100, messages=[asked], tools=[TOOL]) as stream:
            final: Any = stream.get_final_message()
    assert final.content[0].input == {"text": "call:weather in Bonn"}


def test_tokens_are_counted(claude: LocalStack) -> None:
    with client_with(claude, claude.key) as client:
        assert client.messages.count_tokens(model=CLAUDE, messages=MESSAGES).input_tokens == 4


def test_bedrock_does_not_count_tokens(bedrock: LocalStack) -> None:
    with client_with(bedrock, bedrock.key) as client, pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.count_tokens(model=MODELS["bedrock"], messages=MESSAGES)
    assert 400 <= caught.value.status_code < 500


def test_the_async_client_is_answered(stack: LocalStack, provider: str) -> None:
    async def talk() -> str:
        async with AsyncAnthropic(base_url=stack.url, api_key=stack.key, max_retries=0) as client:
            async with client.messages.stream(model=MODELS[provider], max_tokens=100, messages=MESSAGES) as stream:
                return "".join([text async for text in stream.text_stream])

    assert asyncio.run(talk()) == SAID


def test_a_token_in_authorization_is_as_good_as_a_key(stack: LocalStack, provider: str) -> None:
    with Anthropic(base_url=stack.url, auth_token=stack.key, max_retries=0) as client:
        assert say(client, MODELS[provider]).content[0].text == SAID


def test_an_answer_names_request_region_and_limits(client: Anthropic, provider: str) -> None:
    raw = client.messages.with_raw_response.create(model=MODELS[provider], max_tokens=100, messages=MESSAGES)
    assert raw.headers["x-request-id"]
    assert raw.headers["x-sallyport-region"] == "us-east-1"
    assert int(raw.headers["anthropic-ratelimit-requests-remaining"]) < 10_000


def test_a_bad_key_is_an_authentication_error(stack: LocalStack, provider: str) -> None:
    with client_with(stack, mint().text) as client, pytest.raises(anthropic.AuthenticationError) as caught:
        say(client, MODELS[provider])
    assert kind_of(caught.value) == "authentication_error"
    assert caught.value.response.headers["x-sallyport-region"] == "us-east-1"


@pytest.mark.parametrize(
    ("attributes", "code"),
    [({"scopes": "models"}, "insufficient_scope"), ({"models": "gpt-a"}, "model_not_allowed")],
)
def test_what_a_key_may_not_do_is_a_permission_error(
    stack: LocalStack, provider: str, attributes: dict[str, str], code: str
) -> None:
    with client_with(stack, key_with(stack, **attributes)) as client:
        with pytest.raises(anthropic.PermissionDeniedError) as caught:
            say(client, MODELS[provider])
    assert (kind_of(caught.value), code_of(caught.value)) == ("permission_error", code)


def test_a_caller_who_belongs_elsewhere_is_told_where(stack: LocalStack, provider: str) -> None:
    with client_with(stack, key_with(stack, residency="eu-central-1")) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            say(client, MODELS[provider])
    assert (caught.value.status_code, code_of(caught.value)) == (421, "misdirected_region")
    assert "eu-central-1" in str(caught.value)


def test_a_limit_is_a_rate_limit_error_that_says_when_to_come_back(stack: LocalStack, provider: str) -> None:
    with client_with(stack, key_with(stack, requests_per_minute=1)) as client:
        say(client, MODELS[provider])
        with pytest.raises(anthropic.RateLimitError) as caught:
            say(client, MODELS[provider])
    assert kind_of(caught.value) == "rate_limit_error"
    assert int(caught.value.response.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"extra_body": {"temperature": 9}}, "temperature"),
        ({"inference_geo": "global"}, "inference_geo"),
        ({"extra_body": {"mcp_servers": [{"type": "url", "url": "https://mcp.example", "name": "a"}]}}, "mcp_servers"),
        ({"extra_body": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}}, "tools"),
    ],
    ids=["schema", "geography", "mcp", "hosted tool"],
)
def test_what_cannot_be_passed_on_is_a_bad_request_that_names_it(
    client: Anthropic, provider: str, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        say(client, MODELS[provider], **options)
    assert kind_of(caught.value) == "invalid_request_error"
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("model", "status", "kind"),
    [
        ("fault-429", 429, "rate_limit_error"),
        ("fault-404", 404, "not_found_error"),
        ("fault-401", 502, "api_error"),
        ("fault-500", 502, "api_error"),
        ("fault-529", 503, "overloaded_error"),
        ("fault-garbage", 502, "api_error"),
        ("fault-silent", 504, None),
    ],
)
def test_an_upstreams_fault_is_the_sdks_own_error(
    claude: LocalStack, model: str, status: int, kind: str | None
) -> None:
    with client_with(claude, claude.key) as client, pytest.raises(anthropic.APIStatusError) as caught:
        say(client, model)
    assert caught.value.status_code == status
    assert kind in {None, kind_of(caught.value)}


@pytest.mark.parametrize("model", ["fault-cut", "fault-stall"])
def test_a_stream_that_breaks_off_is_an_error_and_no_early_end(claude: LocalStack, model: str) -> None:
    seen: list[Any] = []
    with client_with(claude, claude.key) as client, pytest.raises(anthropic.APIStatusError) as caught:
        seen.extend(say(client, model, stream=True))
    assert seen
    assert code_of(caught.value) in {"upstream_interrupted", "upstream_timeout"}


def test_neither_key_nor_prompt_is_printed(stack: LocalStack, provider: str) -> None:
    key = key_with(stack)
    with client_with(stack, key) as client:
        client.messages.create(
            model=MODELS[provider], max_tokens=9, messages=[{"role": "user", "content": "prompt-secret"}]
        )
    assert key not in stack.printed
    assert "prompt-secret" not in stack.printed


def kind_of(error: anthropic.APIStatusError) -> str:
    return str(_error(error)["type"])


def code_of(error: anthropic.APIStatusError) -> str:
    return str(_error(error).get("code"))


def _error(error: anthropic.APIStatusError) -> dict[str, Any]:
    body: Any = error.body
    found: dict[str, Any] = body["error"]
    return found
