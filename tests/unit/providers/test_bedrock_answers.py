"""Bedrock's answers in the routes' own APIs."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import (
    UpstreamError,
    UpstreamInterruptedError,
    UpstreamInvalidResponseError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from sallyport.providers.provider import Call
from sallyport.providers.usage import ReportedUsage
from sallyport_cli.echo.event_stream import event, exception, message
from tests.support.bedrock import NOW_S, FakeResponse, chat, messages, provider, streamed

USAGE = {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 2}
START = event("messageStart", {"role": "assistant", "p": "abc"})
TEXT = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hällo"}})
STOP = event("contentBlockStop", {"contentBlockIndex": 0}) + event("messageStop", {"stopReason": "end_turn"})
METADATA = event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}})
WHOLE = START + TEXT + STOP + METADATA
ID = "chatcmpl-11111111-2222-3333-4444-555555555555"


def anthropic(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}).encode()
    return event("chunk", {"bytes": base64.b64encode(data).decode(), "p": "ab"})


MESSAGE = anthropic("message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1}})
DELTA = anthropic("content_block_delta", index=0, delta={"type": "text_delta", "text": "hi"})
END = anthropic("message_delta", delta={}, usage={"output_tokens": 7}) + anthropic("message_stop")


def answered(answer: FakeResponse, call: Call) -> bytes:
    return b"".join(provider().chunks(answer, call))


def converse(content: Sequence[Any], reason: str = "end_turn", **fields: Any) -> dict[str, Any]:
    answer = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason, "usage": USAGE}
    completion = answered(FakeResponse((json.dumps({**answer, **fields}).encode(),)), chat())
    read: dict[str, Any] = json.loads(completion)
    return read


def events(*chunks: bytes, call: Call | None = None) -> list[Any]:
    text = answered(streamed(*chunks), call or chat(stream=True, ask_usage=True)).decode()
    lines = [block.removeprefix("data: ") for block in text.split("\n\n") if block]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def deltas(*chunks: bytes) -> list[Any]:
    return [event["choices"][0]["delta"] for event in events(*chunks) if event != "[DONE]" and event["choices"]]


def test_a_whole_answer_is_a_chat_completion() -> None:
    assert converse([{"text": "a"}, {"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": "b"}]) == {
        "id": ID,
        "object": "chat.completion",
        "created": int(NOW_S),
        "model": "claude",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "ab", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 7,
            "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 3},
        },
    }


def test_a_functions_call_has_its_arguments_as_json() -> None:
    block = {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": "ä"}}}
    message = converse([block], "tool_use")["choices"][0]["message"]
    assert message["content"] is None
    function = {"name": "look", "arguments": '{"at":"ä"}'}
    assert message["tool_calls"] == [{"id": "t1", "type": "function", "function": function}]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_tool_use", "stop"),
        ("something new", "stop"),
    ],
)
def test_a_stop_reason_has_openais_word(reason: str, word: str) -> None:
    assert converse([{"text": "a"}], reason)["choices"][0]["finish_reason"] == word


@pytest.mark.parametrize("usage", [None, {}, {"inputTokens": -1}, {"inputTokens": "5"}, [1]])
def test_usage_that_makes_no_sense_is_none(usage: Any) -> None:
    assert "usage" not in converse([{"text": "a"}], usage=usage)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"output":{"message":{"content":"x"}}}',
        b'{"output":{"message":{"content":[{"toolUse":1}]}}}',
    ],
)
def test_what_is_no_answer_of_converse_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponseError):
        answered(FakeResponse((body,)), chat())


def test_a_stream_is_one_of_chat_completion_chunks() -> None:
    read = events(WHOLE)
    assert [event["choices"][0]["delta"] for event in read[:3]] == [
        {"role": "assistant", "content": ""},
        {"content": "hällo"},
        {},
    ]
    assert read[2]["choices"][0]["finish_reason"] == "stop"
    assert read[3]["choices"] == []
    assert read[3]["usage"]["prompt_tokens"] == 10
    assert read[4] == "[DONE]"
    assert {event["id"] for event in read[:4]} == {ID}


def test_a_stream_has_usage_only_where_it_is_asked_for() -> None:
    assert len(events(WHOLE, call=chat(stream=True))) == 4
    assert len(events(WHOLE, call=chat(stream=True, stream_options={"include_usage": True}))) == 5


def test_calls_are_numbered_among_themselves() -> None:
    def start(block: int, name: str) -> bytes:
        tool = {"toolUse": {"toolUseId": f"t{block}", "name": name}}
        return event("contentBlockStart", {"contentBlockIndex": block, "start": tool})

    def arguments(block: int, text: str) -> bytes:
        return event("contentBlockDelta", {"contentBlockIndex": block, "delta": {"toolUse": {"input": text}}})

    def stop(block: int) -> bytes:
        return event("contentBlockStop", {"contentBlockIndex": block})

    first = start(1, "look") + arguments(1, '{"a"') + arguments(1, ":1}") + stop(1)
    second = start(2, "run") + stop(2)
    calls = [delta["tool_calls"][0] for delta in deltas(START, TEXT, first, second, STOP) if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0, 0, 0, 1, 1]
    assert [call["function"]["arguments"] for call in calls] == ["", '{"a"', ":1}", "", "{}"]
    assert [(call["id"], call["function"]["name"]) for call in calls if "id" in call] == [("t1", "look"), ("t2", "run")]


def test_reasoning_and_unknown_events_are_passed_over() -> None:
    reasoning = {"reasoningContent": {"text": "hm"}}
    others = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": reasoning}) + event("new", {"a": 1})
    assert events(START, others, TEXT, STOP, METADATA) == events(WHOLE)


@given(st.lists(st.integers(0, 40), max_size=40), st.booleans())
def test_streams_are_the_same_however_they_are_cut(sizes: list[int], is_chat: bool) -> None:
    data, call = (WHOLE, chat(stream=True)) if is_chat else (MESSAGE + DELTA + END, messages(stream=True))
    chunks, left = [], data
    for size in sizes:
        chunks.append(left[:size])
        left = left[size:]
    assert answered(streamed(*chunks, left), call) == answered(streamed(data), call)


EXCEPTIONS = [
    ("throttlingException", UpstreamUnavailableError),
    ("serviceUnavailableException", UpstreamUnavailableError),
    ("internalServerException", UpstreamError),
    ("modelStreamErrorException", UpstreamError),
    ("modelTimeoutException", UpstreamTimeoutError),
    ("validationException", UpstreamRefusedError),
]
STREAMS = [(chat(stream=True), START, TEXT), (messages(stream=True), MESSAGE, DELTA)]


@pytest.mark.parametrize(("call", "start", "delta"), STREAMS)
@pytest.mark.parametrize(("name", "expected"), EXCEPTIONS)
def test_a_failure_before_the_first_output_is_raised_before_any(
    call: Call, start: bytes, delta: bytes, name: str, expected: type[UpstreamError]
) -> None:
    for begun in (b"", start):
        with pytest.raises(UpstreamError) as failed:
            next(provider().chunks(streamed(begun + exception(name, "arn:aws:secret")), call))
        assert type(failed.value) is expected
        assert "arn" not in failed.value.message


@pytest.mark.parametrize(("call", "start", "delta"), STREAMS)
@pytest.mark.parametrize(
    "failure",
    [
        exception("throttlingException", "slow"),
        exception("internalServerException", "broken"),
        message({":message-type": "error", ":error-code": "x"}, b""),
        b"garbage that is no message",
        event("contentBlockDelta", {"contentBlockIndex": 0})[:-3],
        b"",
    ],
)
def test_a_failure_after_the_first_output_is_an_interruption(
    call: Call, start: bytes, delta: bytes, failure: bytes
) -> None:
    chunks = provider().chunks(streamed(start, delta, delta, failure), call)
    assert next(chunks)
    with pytest.raises(UpstreamInterruptedError):
        list(chunks)


def test_the_first_output_comes_with_the_beginning() -> None:
    first = next(provider().chunks(streamed(START, TEXT, STOP), chat(stream=True)))
    assert first.count(b"data: ") == 2


@pytest.mark.parametrize(("call", "start", "delta"), STREAMS)
@pytest.mark.parametrize(
    "bad",
    [
        b"HTTP/1.1 200 no event stream at all",
        message({":message-type": "event", ":event-type": "chunk"}, b"no json"),
        message({":message-type": "event", ":event-type": "chunk"}, b"[]"),
        message({":event-type": "chunk"}, b"{}"),
    ],
)
def test_garbage_at_the_beginning_is_no_answer(call: Call, start: bytes, delta: bytes, bad: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponseError):
        next(provider().chunks(streamed(bad), call))


KINDS = st.sampled_from([
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "chunk",
])  # fmt: skip
NAMES = st.sampled_from([
    "contentBlockIndex", "start", "delta", "toolUse", "toolUseId", "name", "input", "text", "stopReason", "usage",
    "inputTokens", "bytes",
])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(st.tuples(KINDS, st.dictionaries(NAMES, VALUES, max_size=4)), max_size=6), st.booleans())
def test_any_events_are_an_answer_or_an_upstreams_error(parts: list[tuple[str, Any]], is_chat: bool) -> None:
    data = b"".join(event(kind, payload) for kind, payload in parts)
    try:
        answered(streamed(data), chat(stream=True) if is_chat else messages(stream=True))
    except UpstreamError:
        return


@given(VALUES)
def test_any_json_is_an_answer_or_an_upstreams_error(value: Any) -> None:
    body = json.dumps({"output": {"message": {"content": [value]}}, "stopReason": value, "usage": value}).encode()
    try:
        answered(FakeResponse((body,)), chat())
    except UpstreamError:
        return


def test_a_whole_message_keeps_its_bytes() -> None:
    body = (b'{ "type":"message", ', b'"content":[] }')
    assert list(provider().chunks(FakeResponse(body), messages())) == list(body)


def test_a_messages_stream_is_anthropics_own() -> None:
    raw = b'{"type":"message_start", "message":{}}'
    start = event("chunk", {"bytes": base64.b64encode(raw).decode()})
    stream = answered(streamed(start, DELTA, END), messages(stream=True))
    assert stream.startswith(b"event: message_start\ndata: " + raw + b"\n\nevent: content_block_delta\ndata: ")
    assert stream.endswith(b'event: message_stop\ndata: {"type": "message_stop"}\n\n')


def test_json_on_several_lines_cannot_make_another_event() -> None:
    raw = b'{"type":"message_stop",\n\n"x":"y"}'
    stream = answered(streamed(event("chunk", {"bytes": base64.b64encode(raw).decode()})), messages(stream=True))
    assert stream == b'event: message_stop\ndata: {"type":"message_stop","x":"y"}\n\n'


@pytest.mark.parametrize("value", ["", "!", 5, None, "e30", base64.b64encode(b'{"type":"a b"}').decode()])
def test_a_chunk_that_is_no_event_is_no_answer(value: Any) -> None:
    with pytest.raises(UpstreamInvalidResponseError):
        answered(streamed(event("chunk", {"bytes": value})), messages(stream=True))


@pytest.mark.parametrize(
    ("kind", "expected"), [("overloaded_error", UpstreamUnavailableError), ("api_error", UpstreamError)]
)
def test_anthropics_own_error_event_is_a_failure(kind: str, expected: type[UpstreamError]) -> None:
    with pytest.raises(UpstreamError) as failed:
        answered(streamed(MESSAGE, anthropic("error", error={"type": kind, "message": "x"})), messages(stream=True))
    assert type(failed.value) is expected


@pytest.mark.parametrize("call", [chat(), chat(stream=True), messages(), messages(stream=True)])
def test_what_was_used_is_read_from_what_the_client_gets(call: Call) -> None:
    usage = {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}
    if call.operation == "messages":
        start = anthropic("message_start", message={"usage": {**usage, "output_tokens": 1}})
        whole = json.dumps({"type": "message", "content": [], "usage": usage}).encode()
        answer = streamed(start, DELTA, END) if call.stream else FakeResponse((whole,))
    else:
        whole = json.dumps({"output": {"message": {"content": []}}, "usage": USAGE}).encode()
        answer = streamed(WHOLE) if call.stream else FakeResponse((whole,))
    reader = provider().usage(call)
    for chunk in provider().chunks(answer, call._replace(ask_usage=True)):
        reader.feed(chunk)
    assert reader.reported == ReportedUsage(10, 7, 3)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", None),
        (404, "invalid_request_error", "model_not_found"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
    ],
)
def test_a_refusal_of_a_chat_is_openais(status: int, kind: str, code: str | None) -> None:
    body = answered(FakeResponse((b'{"message":"No."}',), status), chat(stream=True))
    assert json.loads(body) == {"error": {"message": "No.", "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (404, "not_found_error"), (429, "rate_limit_error")]
)
def test_a_refusal_of_messages_is_anthropics(status: int, kind: str) -> None:
    body = answered(FakeResponse((b'{"Message":"No."}',), status), messages())
    assert json.loads(body) == {"type": "error", "error": {"type": kind, "message": "No."}}


@pytest.mark.parametrize("raw", [b"", b"no json", b"[]", b'{"message":5}', b'{"message":"', b"x" * 100_000])
def test_a_refusal_without_words_gets_some(raw: bytes) -> None:
    assert json.loads(answered(FakeResponse((raw,), 400), chat()))["error"]["message"]


@pytest.mark.parametrize(
    "told",
    [
        "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.x is no model",
        "User: arn:aws:sts::123456789012:assumed-role/Stack-Role/Function may not",
        'the ARN "arn:aws-cn:bedrock:cn-north-1:123456789012:x" is wrong',
        "account 123456789012, or 123456789012:x",
        "ARN:AWS:bedrock:eu-central-1:123456789012:x",
    ],
)
def test_a_refusal_names_nothing_of_the_account(told: str) -> None:
    text = answered(FakeResponse((json.dumps({"message": told}).encode(),), 400), chat()).decode()
    assert "123456789012" not in text
    assert "arn:" not in text.lower()
    assert "Stack-Role" not in text


def test_a_long_refusal_is_cut() -> None:
    body = json.dumps({"message": "x" * 5000}).encode()
    for call in (chat(), messages()):
        assert len(json.loads(answered(FakeResponse((body,), 400), call))["error"]["message"]) == 2000
