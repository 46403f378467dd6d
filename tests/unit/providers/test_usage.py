"""Usage, read from answers of every kind and size, and from none."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.providers.usage import MAX_WHOLE_BYTES, BodyUsage, ReportedUsage, Seen, StreamUsage, read_usage

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4}}
REPORTED = ReportedUsage(7, 3, 4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*USAGE, "x"]), inner, max_size=4),
    max_leaves=8,
)


def body_usage(*chunks: bytes) -> BodyUsage:
    usage = BodyUsage()
    for chunk in chunks:
        usage.feed(chunk)
    return usage


def event(**chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(text: str) -> bytes:
    return event(choices=[{"delta": {"content": text}}])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (USAGE, REPORTED),
        ({"prompt_tokens": 5, "total_tokens": 5}, ReportedUsage(5, 0)),
        ({"prompt_tokens": 5, "completion_tokens": None, "total_tokens": 5}, ReportedUsage(5, 0)),
        ({"prompt_tokens": 5, "total_tokens": 95}, ReportedUsage(5, 90)),
        ({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}, ReportedUsage(32, 103)),
        ({"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 10**12}, ReportedUsage(5, 9)),
        ({"prompt_tokens": 5, "total_tokens": "95"}, ReportedUsage(5, 0)),
        ({"prompt_tokens": 5, "total_tokens": 3}, ReportedUsage(5, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": None}, ReportedUsage(5, 1)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, ReportedUsage(5, 0, 5)),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": 5, "completion_tokens": "3"}, None),
        ({"prompt_tokens": 10**12}, None),
        ({"completion_tokens": 5}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_read_or_is_none(value: Any, expected: ReportedUsage | None) -> None:
    assert read_usage(value) == expected


@given(JSON)
def test_reading_never_fails(value: Any) -> None:
    read_usage(value)
    body_usage(json.dumps({"usage": value}).encode())
    StreamUsage().feed(event(usage=value))


@given(st.binary(max_size=200), st.integers(1, 9))
def test_no_bytes_break_the_readers(raw: bytes, size: int) -> None:
    stream = StreamUsage()
    for start in range(0, len(raw), size):
        stream.feed(raw[start : start + size])
    assert body_usage(raw).reported is None or b"usage" in raw


def test_a_body_tells_its_usage_however_it_is_cut_into_chunks() -> None:
    raw = json.dumps({"choices": [{"message": {"content": "abc"}}], "usage": USAGE}).encode()
    assert body_usage(raw).reported == REPORTED
    assert body_usage(*(raw[at : at + 1] for at in range(len(raw)))).reported == REPORTED


def test_a_body_of_a_nested_usage_has_none() -> None:
    assert body_usage(json.dumps({"data": {"usage": USAGE}}).encode()).reported is None


@pytest.mark.parametrize("where", ["begin", "end"])
def test_a_body_too_long_to_be_parsed_is_searched_at_both_ends(where: str) -> None:
    usage, filler = b'"usage": ' + json.dumps(USAGE).encode(), b'"x": "' + b"y" * 65_000 + b'"'
    parts = [usage, *[filler] * 80] if where == "begin" else [*[filler] * 80, usage]
    raw = b"{" + b", ".join(parts) + b"}"
    assert len(raw) > MAX_WHOLE_BYTES
    usages = body_usage(*(raw[at : at + 65_536] for at in range(0, len(raw), 65_536)))
    assert usages.reported == REPORTED
    assert usages.seen == Seen(len(raw), 0)


def test_looking_for_usage_that_is_nowhere_takes_no_time_to_speak_of() -> None:
    begun = time.process_time()
    usage = StreamUsage()
    usage.feed(b"data: " + b'"usage":{' * 100_000 + b"\n\n")
    assert (usage.reported, body_usage(b"{" + b'"usage":{' * 100_000).reported) == (None, None)
    assert time.process_time() - begun < 5  # half a minute each, were all that follows read at every place


def test_text_that_speaks_of_usage_is_no_usage() -> None:
    text = json.dumps({"usage": USAGE})
    stream = StreamUsage()
    stream.feed(delta(text))
    assert stream.reported is None
    assert body_usage(json.dumps({"choices": [{"message": {"content": text}}]}).encode()[:-1]).reported is None


def test_a_body_that_broke_off_tells_how_much_text_was_seen() -> None:
    raw = json.dumps({"choices": [{"message": {"content": "x" * 50}}]}).encode()
    assert body_usage(raw[:70]).seen.text_bytes > 20
    assert body_usage().seen == Seen(0, 0)


def test_a_stream_tells_its_last_usage() -> None:
    stream = StreamUsage()
    stream.feed(delta("one") + event(choices=[{}], usage={"prompt_tokens": 7, "completion_tokens": 1}))
    stream.feed(event(choices=[], usage=USAGE) + b"data: [DONE]\n\n")
    assert stream.reported == REPORTED


def test_a_stream_tells_how_much_was_seen() -> None:
    stream = StreamUsage()
    stream.feed(b": hello\n\n" + delta('a "b"'))
    stream.feed(event(choices=[{"delta": {"tool_calls": [{"function": {"arguments": "{}"}}]}}], usage=None))
    assert stream.seen == Seen(len('a \\"b\\"') + 2, 2)
    assert stream.reported is None
