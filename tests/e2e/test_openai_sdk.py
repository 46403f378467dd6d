"""The real `openai` package against the whole gateway: what an app developer sees."""

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from sallyport.identity.api_keys import mint
from tests.e2e.sdk_clients import key_with
from tests.support.local_stack import LocalStack

pytestmark = pytest.mark.e2e

MESSAGES: Any = [{"role": "user", "content": "one two three four"}]


@pytest.fixture
def client(stack: LocalStack) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0) as opened:
        yield opened


def client_with(stack: LocalStack, key: str) -> OpenAI:
    return OpenAI(base_url=f"{stack.url}/v1", api_key=key, max_retries=0)


def chat(client: OpenAI, model: str = "echo", **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=MESSAGES, **options)


def test_a_chat_is_answered(client: OpenAI) -> None:
    completion = chat(client)
    assert completion.choices[0].message.content == "one two three four"
    assert completion.usage.total_tokens > 0


def test_a_streamed_chat_is_answered_piece_by_piece(client: OpenAI) -> None:
    pieces = [chunk.choices[0].delta.content or "" for chunk in chat(client, stream=True)]
    assert "".join(pieces) == "one two three four"
    assert len([piece for piece in pieces if piece]) > 1


def test_a_stream_tells_its_usage_when_asked(client: OpenAI) -> None:
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage is not None
    assert chunks[-1].choices == []


def test_the_async_client_is_answered(stack: LocalStack) -> None:
    async def talk() -> tuple[Any, str]:
        async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0) as client:
            whole = await client.chat.completions.create(model="echo", messages=MESSAGES)
            stream = await client.chat.completions.create(model="echo", messages=MESSAGES, stream=True)
            return whole.choices[0].message.content, "".join(
                [chunk.choices[0].delta.content or "" async for chunk in stream]
            )

    assert asyncio.run(talk()) == ("one two three four", "one two three four")


def test_embeddings_are_answered(client: OpenAI) -> None:
    answer = client.embeddings.create(model="echo", input=["a", "b"])
    assert [item.index for item in answer.data] == [0, 1]
    assert all(isinstance(number, float) for number in answer.data[0].embedding)


def test_models_are_listed(stack: LocalStack) -> None:
    with client_with(stack, key_with(stack, models="gpt-a,gpt-b")) as client:
        assert [model.id for model in client.models.list()] == ["gpt-a", "gpt-b"]
        assert client.models.retrieve("gpt-b").id == "gpt-b"
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("gpt-z")
        assert caught.value.code == "model_not_found"


def test_an_answer_names_request_region_and_limits(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=MESSAGES)
    assert raw.request_id
    assert raw.headers["x-sallyport-region"] == "us-east-1"
    assert int(raw.headers["x-ratelimit-remaining-requests"]) < 10_000


@pytest.mark.parametrize("key", ["sp_wrong", "not-a-key", mint().text], ids=["malformed", "no key", "unknown"])
def test_a_bad_key_is_an_authentication_error(stack: LocalStack, key: str) -> None:
    with client_with(stack, key) as client, pytest.raises(openai.AuthenticationError) as caught:
        chat(client)
    assert caught.value.code == "invalid_credentials"
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"scopes": "models"}, "insufficient_scope"),
        ({"models": "gpt-a"}, "model_not_allowed"),
    ],
)
def test_what_a_key_may_not_do_is_a_permission_error(stack: LocalStack, attributes: dict[str, str], code: str) -> None:
    with client_with(stack, key_with(stack, **attributes)) as client:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            chat(client)
    assert caught.value.code == code


def test_a_caller_who_belongs_elsewhere_is_told_where(stack: LocalStack) -> None:
    with client_with(stack, key_with(stack, residency="eu-central-1")) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            chat(client)
    assert (caught.value.status_code, caught.value.code) == (421, "misdirected_region")
    assert "eu-central-1" in str(caught.value)


def test_a_response_is_answered(client: OpenAI) -> None:
    response: Any = client.responses.create(model="echo", input="one two three four", instructions="Be brief.")
    assert (response.output_text, response.status, response.store) == ("one two three four", "completed", False)
    assert response.usage.output_tokens > 0


def test_a_streamed_response_is_answered_piece_by_piece(client: OpenAI) -> None:
    events = list(client.responses.create(model="echo", input="one two three four", stream=True))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(pieces) == "one two three four"
    assert len(pieces) > 1
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"background": True}, "background"),
        ({"previous_response_id": "resp_somebodys"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ],
)
def test_what_would_be_kept_or_looked_up_elsewhere_is_refused(
    client: OpenAI, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="echo", input="a", **options)
    assert (caught.value.code, caught.value.param) == ("unsupported_field", param)


def test_a_limit_is_a_rate_limit_error_that_says_when_to_come_back(stack: LocalStack) -> None:
    with client_with(stack, key_with(stack, requests_per_minute=2)) as client:
        chat(client)
        chat(client, stream=True).close()
        with pytest.raises(openai.RateLimitError) as caught:
            chat(client)
    assert caught.value.code == "rate_limit_exceeded"
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_a_schema_violation_is_a_bad_request_that_names_the_field(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, temperature=9)
    assert (caught.value.code, caught.value.param) == ("invalid_request", "temperature")


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("fault-429", openai.RateLimitError, None),
        ("fault-404", openai.NotFoundError, None),
        ("fault-401", openai.InternalServerError, "upstream_credentials_rejected"),
        ("fault-500", openai.InternalServerError, "upstream_error"),
        ("fault-503", openai.InternalServerError, "upstream_unavailable"),
        ("fault-garbage", openai.InternalServerError, "upstream_invalid_response"),
        ("fault-silent", openai.InternalServerError, "upstream_timeout"),
    ],
)
def test_an_upstreams_fault_is_the_sdks_own_error(
    client: OpenAI, model: str, kind: type[openai.APIStatusError], code: str | None
) -> None:
    with pytest.raises(kind) as caught:
        chat(client, model)
    if code is not None:
        assert caught.value.code == code


@pytest.mark.parametrize("model", ["fault-cut", "fault-stall"])
def test_a_stream_that_breaks_off_is_an_error_and_no_early_end(client: OpenAI, model: str) -> None:
    chunks: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        chunks.extend(chat(client, model, stream=True))
    assert chunks
    assert caught.value.code in {"upstream_interrupted", "upstream_timeout"}


def test_neither_key_nor_prompt_is_printed(stack: LocalStack) -> None:
    key = key_with(stack)
    with client_with(stack, key) as client:
        client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "prompt-secret"}])
    assert key not in stack.printed
    assert "prompt-secret" not in stack.printed


def test_a_denied_address_is_a_permission_error_whoever_calls() -> None:
    with LocalStack("--parameter", "IpDenyList=127.0.0.0/8") as closed, client_with(closed, closed.key) as client:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            chat(client)
    assert caught.value.code == "ip_denied"
    assert caught.value.request_id
