"""The echo upstream's Responses API, asked by the OpenAI SDK."""

import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import uvicorn
from openai.types.responses import Response, ToolParam
from starlette.applications import Starlette

from sallyport.providers.openai_responses import ResponsesStreamUsage, response_id
from sallyport.providers.usage import BodyUsage, ReportedUsage, read_responses_usage
from sallyport_cli.echo.faults import Faults
from sallyport_cli.echo.responses import response_events, routes
from sallyport_cli.serving import listen
from tests.functional.local.stub import DEADLINE_S

TEXT = "Hello, big world!"
TOOL: ToolParam = {"type": "function", "name": "look_up", "parameters": {"type": "object"}, "strict": False}


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    listener = listen(0)
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes(Faults(), "key")), log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    with openai.OpenAI(base_url=url, api_key="key", max_retries=0, timeout=DEADLINE_S) as running:
        yield running
    server.should_exit = True
    thread.join(DEADLINE_S)


def test_a_buffered_answer_says_what_was_said(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="echo", input=TEXT, instructions="Be brief.")
    assert (answer.output_text, answer.status) == (TEXT, "completed")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (5, 3, 8)


def test_the_last_user_message_counts(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model="echo",
        input=[
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": [{"type": "input_text", "text": TEXT}]},
        ],
    )
    assert answer.output_text == TEXT


def test_a_limit_ends_the_answer(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="echo", input=TEXT, max_output_tokens=2)
    assert (answer.output_text, answer.status) == ("Hello, big", "incomplete")
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_a_stream_comes_in_openai_s_order(client: openai.OpenAI) -> None:
    with client.responses.stream(model="echo", input=TEXT) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 3,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert final.output_text == TEXT
    assert final.usage is not None
    assert final.usage.total_tokens == 6


@pytest.mark.parametrize("streamed", [True, False])
def test_a_function_is_called_by_its_name(client: openai.OpenAI, streamed: bool) -> None:
    if streamed:
        with client.responses.stream(model="echo", input="call:look_up now", tools=[TOOL]) as stream:
            answer: Response = stream.get_final_response()
    else:
        answer = client.responses.create(model="echo", input="call:look_up now", tools=[TOOL])
    (item,) = answer.output
    assert item.type == "function_call"
    assert (item.name, item.arguments) == ("look_up", '{"text": "call:look_up now"}')


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("fault-429", openai.RateLimitError),
        ("fault-503", openai.InternalServerError),
        ("fault-cut", openai.APIConnectionError),
    ],
)
def test_a_models_name_asks_for_a_fault(client: openai.OpenAI, model: str, error: type[openai.OpenAIError]) -> None:
    with pytest.raises(error):
        client.responses.create(model=model, input=TEXT)


def test_a_stream_that_is_cut_is_an_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        list(client.responses.create(model="fault-cut", input=TEXT, stream=True))


def test_a_broken_request_is_refused_as_openai_does(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="echo", input=[])
    assert refused.value.param == "input"


def test_a_required_key_is_required(client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").responses.create(model="echo", input=TEXT)


@pytest.mark.parametrize("limit", [None, 2])
def test_the_gateway_s_readers_read_what_was_said(limit: int | None) -> None:
    request: dict[str, Any] = {"model": "echo", "input": TEXT, "max_output_tokens": limit}
    events = list(response_events(request))
    stream, body = ResponsesStreamUsage(), BodyUsage(read_responses_usage)
    for event in events:
        stream.feed(event)
        body.feed(event)
    assert stream.reported == body.reported == ReportedUsage(3, limit or 3)
    assert stream.seen.chunks == (limit or 3)
    assert (response_id(events[0]) or "").startswith("resp_")
