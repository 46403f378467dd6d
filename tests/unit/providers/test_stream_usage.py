"""A stream's usage, asked for and taken out again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.providers.stream_usage import asks_for_usage, with_usage, without_usage

USAGE_ONLY = b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"


def cleaned(*blocks: bytes) -> bytes:
    return b"".join(without_usage(blocks))


@pytest.mark.parametrize(
    ("body", "asks"),
    [
        ({}, False),
        ({"stream_options": None}, False),
        ({"stream_options": {}}, False),
        ({"stream_options": {"include_usage": False}}, False),
        ({"stream_options": {"include_usage": True}}, True),
    ],
)
def test_a_client_asks_for_usage_or_not(body: dict[str, Any], asks: bool) -> None:
    assert asks_for_usage(body) is asks


def test_asking_keeps_the_other_options() -> None:
    body = {"a": 1, "stream_options": {"include_obfuscation": False, "include_usage": False}}
    options = {"include_obfuscation": False, "include_usage": True}
    assert with_usage(body) == {"a": 1, "stream_options": options}
    assert with_usage({"stream_options": None}) == {"stream_options": {"include_usage": True}}


def test_the_event_of_usage_alone_is_left_out() -> None:
    first = b'data: {"choices":[{"delta":{}}]}\n\n'
    assert cleaned(first + USAGE_ONLY, DONE) == first + DONE
    assert list(without_usage([USAGE_ONLY])) == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b'{"choices":[{"d":1}],"usage":null}', b'{"choices":[{"d":1}]}'),
        (b'{"choices":[{"d":1}] , "usage" : null, "x":1.50}', b'{"choices":[{"d":1}] , "x":1.50}'),
        (b'{"usage":null,"choices":[]}', b'{"choices":[]}'),
        (b'{"usage":null}', b"{}"),
    ],
)
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n"])
def test_an_empty_usage_is_taken_out_and_nothing_else(sent: bytes, kept: bytes, end: bytes) -> None:
    cleaned_event = cleaned(b"event: x\ndata: " + sent + end)
    assert cleaned_event.replace(b" ", b"") == (b"event: x\ndata: " + kept + end).replace(b" ", b"")
    json.loads(cleaned_event.partition(b"data: ")[2])


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"delta":{"content":"\\"usage\\":null"}}]}\n\n',
        b'data: {"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"choices":[{"usage":null}],"x":1}\n\n',
        b'data: {"choices":[{"usage":null}],"usage":null}\n\n',
        b'data: {"choices":[],\ndata: "usage":null}\n\n',
        b'data: ["usage"]\n\n',
        b'data: "usage"\n\n',
        b': "usage"\n',
        b'data: {"choices":[],"usage":',
        b'data: {"error":{"usage":null}}\n\n',
    ],
)
def test_what_is_not_surely_the_gateways_own_doing_keeps_its_bytes(event: bytes) -> None:
    assert cleaned(event, DONE) == event + DONE


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b'"usage"', b"data: ", b"\n\n", b"\r\n"]), max_size=20))
def test_other_streams_keep_their_bytes(parts: list[bytes]) -> None:
    stream = b"".join(parts)
    assert cleaned(stream) == stream or b'"usage"' in stream


@given(st.lists(st.sampled_from([USAGE_ONLY, DONE, b": note\n\n", b'data: {"choices":[1],"usage":null}\n\n'])))
def test_how_events_are_bundled_makes_no_difference(events: list[bytes]) -> None:
    assert cleaned(*events) == cleaned(b"".join(events))
