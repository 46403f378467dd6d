"""Usage of Anthropic's messages, whole and streamed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.providers.anthropic_usage import (
    AnthropicBodyUsage,
    AnthropicStreamUsage,
    CountTokensUsage,
    read_anthropic_usage,
)
from sallyport.providers.usage import ReportedUsage, Seen

USAGE = {"input_tokens": 5, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 300, "output_tokens": 7}


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


START = event("message_start", message={"id": "msg_1", "usage": {**USAGE, "output_tokens": 1}})
END = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 70})


def text(piece: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})


def streamed(*events: bytes) -> AnthropicStreamUsage:
    usage = AnthropicStreamUsage()
    for chunk in events:
        usage.feed(chunk)
    return usage


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (USAGE, ReportedUsage(325, 7, 300)),
        ({"input_tokens": 5, "output_tokens": 7}, ReportedUsage(5, 7)),
        ({"input_tokens": 5, "output_tokens": None, "cache_read_input_tokens": None}, ReportedUsage(5, 0)),
        ({"output_tokens": 7}, None),
        ({"input_tokens": None, "output_tokens": 7}, None),
        ({"input_tokens": -1, "output_tokens": 7}, None),
        ({"input_tokens": 5, "cache_read_input_tokens": "9"}, None),
        ({"input_tokens": True}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_read_or_is_none(value: Any, expected: ReportedUsage | None) -> None:
    assert read_anthropic_usage(value) == expected


def test_a_message_tells_its_usage_however_it_is_cut() -> None:
    raw = json.dumps({"content": [{"type": "text", "text": "abcd"}], "usage": USAGE}).encode()
    usage = AnthropicBodyUsage()
    for at in range(0, len(raw), 3):
        usage.feed(raw[at : at + 3])
    assert (usage.reported, usage.seen) == (ReportedUsage(325, 7, 300), Seen(4))


def test_a_stream_tells_its_input_first_and_its_output_last() -> None:
    events = (START, event("ping"), text("one"), text(" two"), END, event("message_stop"))
    assert streamed(*events).reported == ReportedUsage(325, 70, 300)
    assert streamed(b"".join(events)).reported == ReportedUsage(325, 70, 300)
    assert streamed(*events).seen[:2] == (7, 2)


def test_later_counts_replace_earlier_ones() -> None:
    final = event("message_delta", usage={"input_tokens": 9, "cache_read_input_tokens": 1, "output_tokens": 2})
    assert streamed(START, END, final).reported == ReportedUsage(30, 2, 1)


def test_a_stream_that_broke_off_reports_nothing_and_was_seen() -> None:
    tool = event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"a"'})
    thought = event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"})
    usage = streamed(START, thought, tool)
    assert usage.reported is None
    assert usage.seen == Seen(len('{\\"a\\"') + 2, 2, begun=ReportedUsage(325, 1, 300))


def test_a_summary_of_the_conversation_counts_though_the_sums_leave_it_out() -> None:
    summary = {"type": "compaction", **USAGE, "input_tokens": 180_000, "output_tokens": 3500}
    advice = {"type": "advisor_message", "input_tokens": 40, "output_tokens": 2}
    told = {**USAGE, "iterations": [summary, {"type": "message", **USAGE}, advice, None]}
    expected = ReportedUsage(325 + 180_320 + 40, 7 + 3500 + 2, 600)
    assert read_anthropic_usage(told) == expected
    assert streamed(START, event("message_delta", delta={}, usage=told)).reported == expected
    assert read_anthropic_usage({**USAGE, "iterations": "none"}) == ReportedUsage(325, 7, 300)


def test_text_that_speaks_of_usage_is_no_usage() -> None:
    assert streamed(START, text('{"type": "message_delta", "usage": {"input_tokens": 0}}')).reported is None
    nested = event("content_block_start", content_block={"input": {"usage": {"input_tokens": 1, "output_tokens": 1}}})
    assert streamed(START, nested, END).reported == ReportedUsage(325, 70, 300)


def test_lines_may_end_in_cr_lf() -> None:
    assert streamed((START + END).replace(b"\n", b"\r\n")).reported == ReportedUsage(325, 70, 300)


def test_counting_tokens_uses_none() -> None:
    usage = CountTokensUsage()
    usage.feed(b'{"input_tokens": 2000}')
    assert (usage.reported, usage.seen) == (ReportedUsage(0, 0), Seen())


@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([START, END, b"data: ", b'"usage"', b'{"usage":{']), max_size=9)
)
def test_no_bytes_break_the_reader(parts: list[bytes]) -> None:
    usage = streamed(*parts)
    assert usage.reported is None or END in b"".join(parts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*USAGE, "usage"]), inner, max_size=4),
    max_leaves=8,
)


@given(JSON)
def test_no_json_breaks_the_readers(value: Any) -> None:
    read_anthropic_usage(value)
    usage = streamed(event("message_start", message=value), event("message_delta", usage=value))
    assert usage.reported is None or isinstance(usage.reported, ReportedUsage)
