"""What is sent to Bedrock, read from it and played by the echo, against botocore and its model of the service."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.eventstream import EventStreamBuffer, ParserError
from botocore.exceptions import ClientError
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from sallyport.adapters.bedrock_signer import BedrockSigner
from sallyport.adapters.upstream_http import HttpTransport
from sallyport.errors import (
    UpstreamCredentialsError,
    UpstreamError,
    UpstreamInterruptedError,
    UpstreamInvalidResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from sallyport.policy.urls import parse_url
from sallyport.providers.aws_event_stream import Message, read_messages
from sallyport.providers.bedrock import BedrockProvider
from sallyport.providers.bedrock_answers import _FINISH_REASONS
from sallyport.providers.bedrock_converse import converse_body
from sallyport.providers.bedrock_events import told_failure
from sallyport.providers.provider import Call
from sallyport.verification.answers import AnswerSchema
from sallyport.verification.event_stream import EventReader
from sallyport.verification.stream_rules import StreamChecker
from sallyport.verification.violations import ORDER, SCHEMA
from sallyport_cli.echo.event_stream import message
from tests.support.bedrock import MODEL, RULES, chat, echo_bedrock, messages

SERVICE: Any = botocore.session.get_session().get_service_model("bedrock-runtime")
ENVIRON = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
PIXEL = base64.b64encode(b"\x89PNG pixel").decode()
EVERYTHING: dict[str, Any] = {
    "model": "claude",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":[1.5,"ä"]}'}},
                {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "a pixel"},
        {"role": "tool", "tool_call_id": "call_2", "content": ""},
        {"role": "user", "content": "And?"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "look", "description": "Looks.", "strict": True}},
        {"type": "function", "function": {"name": "run", "parameters": {"type": "object"}}},
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "max_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with echo_bedrock() as served:
        yield served


def boto(url: str) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=url,
        aws_access_key_id="id",
        aws_secret_access_key="secret",
        config=Config(retries={"max_attempts": 0}, read_timeout=10),
    )


def asked(url: str, call: Call) -> bytes:
    """Give the body of an answer, from a provider over a real connection."""
    signer = BedrockSigner(ENVIRON, "eu-central-1", parse_url(url).authority, time.time)
    provider = BedrockProvider(RULES._replace(base_url=url), signer)
    request = provider.authorize(provider.request(call), "")
    response = HttpTransport(url, 5, 10).send(request, lambda: 10)
    try:
        provider.check(response, call)
        return b"".join(provider.chunks(response, call))
    finally:
        response.close()


@pytest.mark.parametrize("operation", ["Converse", "ConverseStream"])
def test_a_chat_request_is_one_of_the_services_model_and_serialised_as_botocore_does(operation: str) -> None:
    body = converse_body(EVERYTHING)
    shape = SERVICE.operation_model(operation)
    params = json.loads(json.dumps(body))
    for turn in params["messages"]:
        for block in turn["content"]:
            if "image" in block:
                source = block["image"]["source"]
                source["bytes"] = base64.b64decode(source["bytes"])
    params["modelId"] = MODEL
    report = ParamValidator().validate(params, shape.input_shape)
    assert report.generate_report() == ""
    serialised = create_serializer("rest-json").serialize_to_request(params, shape)
    assert json.loads(serialised["body"]) == body
    action = "converse-stream" if operation == "ConverseStream" else "converse"
    assert serialised["url_path"] == f"/model/{MODEL.replace(':', '%3A')}/{action}"


def test_every_stop_reason_of_the_services_model_has_a_word() -> None:
    reasons = SERVICE.shape_for("StopReason").enum
    assert set(reasons) - set(_FINISH_REASONS) == {"malformed_model_output", "malformed_tool_use"}


@pytest.mark.parametrize("stream", ["ConverseStreamOutput", "ResponseStream"])
def test_every_exception_of_a_stream_has_an_error(stream: str) -> None:
    names = [name for name in SERVICE.shape_for(stream).members if name.endswith("Exception")]
    assert {told_failure(name).status for name in names} <= {400, 502, 503, 504}
    assert {name for name in names if type(told_failure(name)) is UpstreamError} == {
        "internalServerException",
        "modelStreamErrorException",
    }


HEADERS = st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=4)


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=100)), max_size=4))
def test_both_decoders_read_the_same(parts: list[tuple[dict[str, str], bytes]]) -> None:
    data = b"".join(message(headers, payload) for headers, payload in parts)
    reference = EventStreamBuffer()
    reference.add_data(data)
    assert list(read_messages([data])) == [Message(read.headers, read.payload) for read in _all(reference)]


@given(st.integers(0, 60), st.binary(min_size=1, max_size=4))
def test_what_botocore_refuses_is_refused_here(at: int, garbage: bytes) -> None:
    data = bytearray(message({":event-type": "chunk"}, b'{"bytes":"e30="}'))
    data[at : at + len(garbage)] = garbage
    reference = EventStreamBuffer()
    reference.add_data(bytes(data))
    try:
        theirs = [Message(read.headers, read.payload) for read in _all(reference)]
    except ParserError:
        with pytest.raises(UpstreamError):
            list(read_messages([bytes(data)]))
        return
    if theirs:
        assert next(read_messages([bytes(data)])) == theirs[0]


def _all(buffer: EventStreamBuffer) -> Iterator[Any]:
    """Give its messages; its own iterator ends with a `StopIteration` that a generator may not raise."""
    while True:
        try:
            yield buffer.next()
        except (StopIteration, RuntimeError):
            return


def test_botocore_reads_the_echos_chats(url: str) -> None:
    client = boto(url)
    asked_for = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "hello there"}]}]}
    answer = client.converse(**asked_for)
    assert answer["output"]["message"]["content"] == [{"text": "hello there"}]
    assert answer["stopReason"] == "end_turn"
    events = list(client.converse_stream(**asked_for)["stream"])
    assert [next(iter(event)) for event in events] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert events[-1]["metadata"]["usage"] == answer["usage"]


def test_botocore_reads_the_echos_messages(url: str) -> None:
    client = boto(url)
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hello there"}],
    }
    answer = json.loads(client.invoke_model(modelId=MODEL, body=json.dumps(body))["body"].read())
    assert answer["content"] == [{"type": "text", "text": "hello there"}]
    streamed = client.invoke_model_with_response_stream(modelId=MODEL, body=json.dumps(body))["body"]
    events = [json.loads(event["chunk"]["bytes"]) for event in streamed]
    assert [event["type"] for event in events][:3] == ["message_start", "content_block_start", "content_block_delta"]
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 2


@pytest.mark.parametrize(("model", "code"), [("fault-429", "ThrottlingException"), ("fault-500", "InternalServer")])
def test_botocore_reads_the_echos_errors(url: str, model: str, code: str) -> None:
    with pytest.raises(ClientError, match=code):
        boto(url).converse(modelId=model, messages=[{"role": "user", "content": [{"text": "a"}]}])


def test_a_chat_goes_there_and_back(url: str) -> None:
    answer = json.loads(asked(url, chat()))
    assert answer["choices"][0]["message"]["content"] == "hello there"
    assert answer["usage"]["prompt_tokens"] == 2
    stream = asked(url, chat(stream=True, ask_usage=True))
    assert stream.startswith(b"data: {")
    assert stream.endswith(b"data: [DONE]\n\n")


def test_a_tool_is_called_there_and_back(url: str) -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    said = [{"role": "user", "content": "call:look"}]
    answer = json.loads(asked(url, chat(messages=said, tools=tools)))
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"] == {
        "name": "look",
        "arguments": '{"echo":true}',
    }


def test_everything_that_a_chat_can_say_is_taken(url: str) -> None:
    assert json.loads(asked(url, chat(**EVERYTHING)))["choices"][0]["message"]["content"]


def test_messages_go_there_and_back(url: str) -> None:
    assert json.loads(asked(url, messages()))["content"] == [{"type": "text", "text": "hello there"}]
    stream = asked(url, messages(stream=True)).decode()
    names = [line.removeprefix("event: ") for line in stream.splitlines() if line.startswith("event: ")]
    assert names == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_an_arn_is_one_segment_of_the_path(url: str) -> None:
    arn = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123"
    assert json.loads(asked(url, chat()._replace(model=arn)))["choices"]


@pytest.mark.parametrize("call", [chat(stream=True), messages(stream=True)])
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("fault-cut", UpstreamInterruptedError),
        ("fault-garbage", UpstreamInvalidResponseError),
        ("fault-408", UpstreamTimeoutError),
        ("fault-424", UpstreamError),
        ("fault-500", UpstreamError),
        ("fault-503", UpstreamUnavailableError),
        ("fault-403", UpstreamCredentialsError),
    ],
)
def test_the_echos_faults_are_told_apart(url: str, call: Call, model: str, expected: type[UpstreamError]) -> None:
    with pytest.raises(UpstreamError) as failed:
        asked(url, call._replace(model=model))
    assert type(failed.value) is expected


@pytest.mark.parametrize(("model", "kind"), [("fault-schema", SCHEMA), ("fault-order", ORDER)])
def test_violations_of_the_echos_messages_stand_in_its_stream(url: str, model: str, kind: str) -> None:
    checker = StreamChecker("messages")
    events = EventReader().feed(asked(url, messages(stream=True)._replace(model=model)))
    found = [violation.kind for violation in map(checker.feed, events) if violation is not None]
    assert found[0] == kind


@pytest.mark.parametrize("call", [chat(), messages()])
@pytest.mark.parametrize("model", ["fault-schema", "fault-html"])
def test_violations_of_the_echos_whole_answers_are_found(url: str, call: Call, model: str) -> None:
    try:
        violation = AnswerSchema.built_in(call.operation).check_text(asked(url, call._replace(model=model)))
    except UpstreamInvalidResponseError:
        return
    assert violation is not None


@pytest.mark.parametrize("call", [chat(), messages()])
def test_a_throttled_request_is_told_of_in_the_routes_shape(url: str, call: Call) -> None:
    error = json.loads(asked(url, call._replace(model="fault-429")))["error"]
    assert error["type"] == "rate_limit_error"


def test_anthropics_own_client_for_bedrock_reads_the_echo(url: str) -> None:
    client = anthropic.AnthropicBedrock(
        aws_access_key="id", aws_secret_key="secret", aws_region="eu-central-1", base_url=url, max_retries=0
    )
    said: Any = [{"role": "user", "content": "hello there you"}]
    version = {"anthropic_version": "bedrock-2023-05-31"}  # its own default is one that older models don't know
    answer = client.messages.create(model=MODEL, max_tokens=9, messages=said, extra_body=version)
    assert answer.content[0].model_dump()["text"] == "hello there you"
    with client.messages.stream(model=MODEL, max_tokens=2, messages=said, extra_body=version) as stream:
        assert "".join(stream.text_stream) == "hello there"
        assert stream.get_final_message().stop_reason == "max_tokens"
    client.close()


def test_a_request_without_a_signature_is_refused(url: str) -> None:
    provider = BedrockProvider(RULES._replace(base_url=url), lambda request: request)
    response = HttpTransport(url, 5, 10).send(provider.request(chat()), lambda: 10)
    with pytest.raises(UpstreamCredentialsError):
        provider.check(response, chat())
    response.close()
