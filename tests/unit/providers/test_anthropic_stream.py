"""Anthropic's event streams in OpenAI's words, chopped anywhere and broken in every way."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import (
    DeadlineExceededError,
    SallyportError,
    UpstreamCredentialsError,
    UpstreamError,
    UpstreamInterruptedError,
    UpstreamInvalidResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from sallyport.providers.anthropic_answer import Heading
from sallyport.providers.anthropic_events import MAX_EVENT_BYTES, read_events
from sallyport.providers.anthropic_stream import translated_stream
from sallyport.providers.usage import ReportedUsage, StreamUsage

HEADING = Heading(17, "alias")


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def started(**usage: int) -> bytes:
    return event("message_start", message={"id": "msg_1", "usage": {"input_tokens": 7, "output_tokens": 1, **usage}})


def block(index: int, kind: str, **fields: Any) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


def delta(index: int, kind: str, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def stopped(index: int) -> bytes:
    return event("content_block_stop", index=index)


def ended(reason: str = "end_turn", **usage: int) -> bytes:
    return event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 3, **usage}) + event(
        "message_stop"
    )


def failed(kind: str) -> bytes:
    return event("error", error={"type": kind, "message": "secret"})


TEXT = block(0, "text", text="") + event("ping") + delta(0, "text_delta", text="Hällo") + stopped(0)
TOOL = (
    block(1, "tool_use", id="toolu_1", name="weather", input={})
    + delta(1, "input_json_delta", partial_json="")
    + delta(1, "input_json_delta", partial_json='{"city":')
    + delta(1, "input_json_delta", partial_json='"Kiel"}')
    + stopped(1)
)
WHOLE = started() + TEXT + TOOL + ended("tool_use")


def translated(chunks: Iterable[bytes], *, include_usage: bool = True) -> bytes:
    return b"".join(translated_stream(iter(chunks), HEADING, include_usage=include_usage))


def chunks_of(events: bytes) -> list[dict[str, Any]]:
    blocks = events.decode().split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    return [json.loads(text.removeprefix("data: ")) for text in blocks[:-2]]


def deltas(events: bytes) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks_of(events) if chunk["choices"]]


def test_stream_of_text_and_a_call_is_translated() -> None:
    read = chunks_of(translated([WHOLE]))
    named = {"name": "weather", "arguments": ""}
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in read} == {("chatcmpl-msg_1", 17, "alias")}
    assert [chunk["choices"][0]["delta"] for chunk in read[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "Hällo"},
        {"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function", "function": named}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Kiel"}'}}]},
        {},
    ]
    assert read[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert read[-1]["choices"] == []
    assert (read[-1]["usage"]["prompt_tokens"], read[-1]["usage"]["completion_tokens"]) == (7, 3)


def test_usage_counts_caches_and_the_last_word() -> None:
    stream = started(cache_read_input_tokens=5, cache_creation_input_tokens=2) + TEXT + ended()
    usage = StreamUsage()
    usage.feed(translated([stream]))
    assert usage.reported == ReportedUsage(14, 3, 5)


def test_a_stream_whose_end_tells_no_usage_has_none() -> None:
    end = event("message_delta", delta={"stop_reason": "end_turn"}) + event("message_stop")
    usage = StreamUsage()
    usage.feed(translated([started(), TEXT, end]))
    assert usage.reported is None


def test_usage_is_left_out_unless_it_is_wanted() -> None:
    assert b"usage" not in translated([WHOLE], include_usage=False)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=20))
def test_stream_chopped_anywhere_is_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[start:end] for start, end in pairwise(edges)]
    assert translated(pieces) == translated([WHOLE])


def test_stream_byte_by_byte_with_other_line_ends_is_the_same() -> None:
    lines = WHOLE.replace(b"\n", b"\r\n")
    assert translated(lines[at : at + 1] for at in range(len(lines))) == translated([WHOLE])


def test_what_is_not_shown_or_not_known_is_passed_over() -> None:
    hidden = block(0, "thinking", thinking="") + delta(0, "thinking_delta", thinking="hm") + stopped(0)
    unknown = event("event_of_tomorrow") + block(1, "block_of_tomorrow") + delta(1, "delta_of_tomorrow") + stopped(1)
    text = block(2, "text", text="Hi") + delta(2, "citations_delta", citation={}) + stopped(2)
    read = deltas(translated([b": comment\n\n" + started() + hidden + unknown + text + ended()]))
    assert read == [{"role": "assistant", "content": ""}, {"content": "Hi"}, {}]


@pytest.mark.parametrize(("given_input", "expected"), [({}, "{}"), ({"a": 1}, '{"a":1}'), (None, "{}")])
def test_call_without_pieces_has_its_arguments_all_the_same(given_input: Any, expected: str) -> None:
    call = block(0, "tool_use", id="t", name="now", input=given_input) + stopped(0)
    assert deltas(translated([started() + call + ended("tool_use")]))[2] == {
        "tool_calls": [{"index": 0, "function": {"arguments": expected}}]
    }


def test_answer_of_nothing_has_a_beginning_and_an_end() -> None:
    assert deltas(translated([started() + ended()])) == [{"role": "assistant", "content": ""}, {}]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("reason_of_tomorrow", "stop"),
    ],
)
def test_stop_reasons_are_translated(reason: str, expected: str) -> None:
    read = chunks_of(translated([started() + TEXT + ended(reason)]))
    assert [chunk["choices"][0]["finish_reason"] for chunk in read if chunk["choices"]][-1] == expected


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", UpstreamUnavailableError),
        ("rate_limit_error", UpstreamUnavailableError),
        ("authentication_error", UpstreamCredentialsError),
        ("timeout_error", UpstreamTimeoutError),
        ("api_error", UpstreamError),
    ],
)
@pytest.mark.parametrize("before", [b"", started(), started() + event("ping") + block(0, "text", text="")])
def test_error_before_the_first_output_is_raised_as_itself(
    kind: str, error: type[UpstreamError], before: bytes
) -> None:
    got, raised = until_error([before + failed(kind) + TEXT])
    assert (got, type(raised)) == (b"", error)
    assert "secret" not in str(raised)


@pytest.mark.parametrize(
    "broken",
    [
        failed("overloaded_error"),
        b"data: {\n\n",
        b"data: []\n\n",
        event("content_block_delta"),
        delta(0, "text_delta", text=5),
        event("content_block_delta", index="0", delta={"type": "input_json_delta", "partial_json": "x"}),
        event("message_start", message=None),
        b"",
    ],
)
def test_failure_in_mid_answer_interrupts_it(broken: bytes) -> None:
    got, raised = until_error([started() + TEXT, broken])
    assert b"llo" in got
    assert type(raised) is UpstreamInterruptedError


@pytest.mark.parametrize(
    "garbage", [b"data: <html>\n\n", b"data: 5\n\n", TEXT.replace(b'"text": ""', b'"text": "x"'), TOOL, ended()]
)
def test_garbage_at_the_beginning_is_no_answer(garbage: bytes) -> None:
    got, raised = until_error([garbage])
    assert (got, type(raised)) == (b"", UpstreamInvalidResponseError)


@pytest.mark.parametrize("stream", [b"", b"\x00\xff", started(), started() + b"data: {}"])
def test_stream_that_ends_early_was_interrupted(stream: bytes) -> None:
    assert type(until_error([stream])[1]) is UpstreamInterruptedError


@pytest.mark.parametrize(
    "error", [UpstreamTimeoutError("t"), UpstreamInterruptedError("i"), DeadlineExceededError("d")]
)
def test_error_of_the_connection_stays_as_it_is(error: SallyportError) -> None:
    assert until_error(failing([started() + TEXT], error))[1] is error


def test_nothing_after_the_end_matters() -> None:
    chunks = failing([WHOLE, b"data: {\n\n"], UpstreamInterruptedError("late"))
    assert translated(chunks) == translated([WHOLE])
    assert next(chunks, None) is None  # read to its end, so that its connection can be used again


@pytest.mark.parametrize("endless", [b"data: " + b"x" * 1000, b"data: " + b"x" * 1000 + b"\n"])
def test_event_without_end_is_refused(endless: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponseError):
        list(read_events(endless for _ in range(MAX_EVENT_BYTES // 1000 + 1)))


@given(st.lists(st.sampled_from([started(), TEXT, TOOL, ended(), failed("x"), stopped(0)]) | st.binary(max_size=9)))
def test_any_stream_ends_or_is_an_error_of_the_upstream(events: list[bytes]) -> None:
    got, raised = until_error(events)
    assert got.endswith(b"[DONE]\n\n") if raised is None else isinstance(raised, UpstreamError)


def failing(chunks: Iterable[bytes], error: SallyportError) -> Iterator[bytes]:
    yield from chunks
    raise error


def until_error(chunks: Iterable[bytes]) -> tuple[bytes, SallyportError | None]:
    got = []
    try:
        for written in translated_stream(iter(chunks), HEADING, include_usage=True):
            got.append(written)  # noqa: PERF402 - what came before an error counts
    except SallyportError as error:
        return b"".join(got), error
    return b"".join(got), None
