"""OpenAI's Responses API: what is refused, whose an id is, what was used."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import UnsupportedFieldError
from sallyport.providers.openai_responses import ResponsesStreamUsage, check_responses, response_id
from sallyport.providers.usage import BodyUsage, ReportedUsage, Seen, read_responses_usage

USAGE = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 80},
    "total_tokens": 123,
}
REPORTED = ReportedUsage(36, 87, 4)


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': 0, **fields})}\n\n".encode()


def delta(text: str) -> bytes:
    return event("response.output_text.delta", item_id="msg_1", output_index=0, delta=text)


def ended(kind: str = "completed", **fields: Any) -> bytes:
    return event(f"response.{kind}", response={"id": "resp_1", "usage": USAGE, **fields})


CREATED = event("response.created", response={"id": "resp_1", "usage": None, "tools": []})


def streamed(*events: bytes) -> ResponsesStreamUsage:
    usage = ResponsesStreamUsage()
    for chunk in events:
        usage.feed(chunk)
    return usage


def test_an_answer_is_gone_on_from_only_where_its_upstream_may_keep_it() -> None:
    body = {"previous_response_id": "resp_1"}
    with pytest.raises(UnsupportedFieldError) as caught:
        check_responses(body, may_store=False)
    assert caught.value.param == "previous_response_id"
    check_responses(body, may_store=True)


@pytest.mark.parametrize("may_store", [True, False])
def test_background_is_refused_everywhere(may_store: bool) -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        check_responses({"background": True}, may_store=may_store)
    assert caught.value.param == "background"


@pytest.mark.parametrize(
    "body",
    [
        {"input": "hello", "background": False, "previous_response_id": None, "conversation": None, "prompt": None},
        {"input": [{"role": "user", "content": "a"}, {"type": "function_call_output", "call_id": "c", "output": ""}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": "x"}], "include": ["a"]},
        {},
    ],
)
def test_what_needs_nothing_kept_passes(body: dict[str, Any]) -> None:
    check_responses(body, may_store=False)


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (b'{"id":"resp_1","object":"response"}', "resp_1"),
        (b' {\n  "id": "resp_1",\n  "object": "resp', "resp_1"),
        (b'{"object":"response","id":"resp_1"}', "resp_1"),
        (b'{"object":"response","metadata":{"id":"resp_2"}, "id', None),
        (b'{"tools":[{"response":{"id":"resp_2"}}]}', None),
        (CREATED, "resp_1"),
        (b": hello\n\n" + CREATED + delta("x"), "resp_1"),
        (CREATED.replace(b"\n", b"\r\n"), "resp_1"),
        (CREATED[:-20], "resp_1"),
        (CREATED[: CREATED.index(b"resp_1") + 6], None),
        (b'data: {"type":"response.created","tools":[{"response":{"id":"resp_2"}}', None),
        (b'data: {"type":"response.created","response":{"tools":[],"id":"resp_2"', None),
        (event("response.created", tools=[{"response": {"id": "resp_2"}}]), None),
        (event("error", message="no"), None),
        (b'{"id":"resp_\\u0031"}', "resp_1"),
        (b'{"id":"resp 1"}', None),
        (b'{"id":5}', None),
        (b'{"error":{"message":"no"}}', None),
        (b"", None),
    ],
)
def test_a_responses_id_is_its_own_field_alone(chunk: bytes, expected: str | None) -> None:
    assert response_id(chunk) == expected


@given(st.binary(max_size=80) | st.text().map(lambda text: json.dumps({"x": {"id": text}}).encode()))
def test_no_bytes_break_the_search_for_an_id(chunk: bytes) -> None:
    assert response_id(chunk) is None or b'"id"' in chunk


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (USAGE, REPORTED),
        ({"input_tokens": 3, "output_tokens": 4}, ReportedUsage(3, 4)),
        ({"input_tokens": 3, "output_tokens": 4, "total_tokens": 20}, ReportedUsage(3, 17)),
        ({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 9}}, ReportedUsage(3, 0, 3)),
        ({"prompt_tokens": 3, "completion_tokens": 4}, None),
        ({"input_tokens": "3"}, None),
        (None, None),
    ],
)
def test_usage_is_read_or_is_none(value: Any, expected: ReportedUsage | None) -> None:
    assert read_responses_usage(value) == expected


def test_a_body_tells_its_usage() -> None:
    usage = BodyUsage(read_responses_usage)
    usage.feed(json.dumps({"id": "resp_1", "output": [], "usage": USAGE}).encode())
    assert usage.reported == REPORTED


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
def test_a_stream_tells_its_usage_however_it_ends(kind: str) -> None:
    assert streamed(CREATED, delta("a"), ended(kind)).reported == REPORTED
    assert streamed(CREATED + delta("a") + ended(kind)).reported == REPORTED


def test_text_is_counted_once() -> None:
    done = event("response.output_text.done", text="one two")
    whole = ended(output=[{"content": [{"type": "output_text", "text": "one two"}]}])
    assert streamed(CREATED, delta("one"), delta(" two"), done, whole).seen == Seen(7, 2)


def test_a_stream_that_broke_off_reports_nothing() -> None:
    assert streamed(CREATED, delta("a"), event("response.failed", response={"usage": None})).reported is None


def test_a_schema_that_looks_like_usage_is_none() -> None:
    tools = [{"type": "function", "parameters": {"properties": {"usage": {"input_tokens": 0, "output_tokens": 0}}}}]
    created = event("response.created", response={"id": "resp_1", "tools": tools, "usage": None})
    assert streamed(created).reported is None
    assert streamed(created, ended(tools=tools)).reported == REPORTED


def test_a_last_event_that_comes_in_pieces_tells_its_usage() -> None:
    raw = ended(output=["x" * 500])
    cut = raw.index(b'"usage"') - 10
    assert streamed(CREATED, raw[:cut], raw[cut:]).reported == REPORTED


@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([CREATED, ended(), b'data: {"usage":{', b"data: "]), max_size=8)
)
def test_no_bytes_break_the_reader(parts: list[bytes]) -> None:
    assert streamed(*parts).reported in (None, REPORTED)
