import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.errors import ResponseBlockedError
from sallyport.policy.verification_rules import BLOCK, REPORT
from sallyport.verification.event_stream import Event, EventReader
from sallyport.verification.findings import Finding
from sallyport.verification.leaks.stream import LeakStream
from sallyport.verification.stream_rules import DONE, StreamChecker
from tests.unit.verification.leaks.texts import pieces, scanner, texts

REDACTING, REPORTING, BLOCKING = scanner(), scanner(REPORT), scanner(BLOCK)
SHAPES = Path(__file__).parent.with_name("shapes")
STREAMS = sorted(path.relative_to(SHAPES).as_posix() for path in SHAPES.glob("*/*.sse"))
CARD = "4111111111111111"
OPENED = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "in_progress", "output": []}


def event(data: Any, name: str = "") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def chat(parts: list[str], place: Callable[[str], Any] = lambda text: {"content": text}) -> bytes:
    heading = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [{"index": 0, "delta": place(part), "finish_reason": None} for part in parts]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    return b"".join(event({**heading, "choices": [choice]}) for choice in choices) + event(DONE)


def tool_call(text: str) -> Any:
    return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}


def message(parts: list[str], name: str = "text", kind: str = "text_delta") -> bytes:
    heading: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "m",
        "stop_reason": None,
    }
    usage = {"input_tokens": 1, "output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**heading, "stop_sequence": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": kind, name: part}} for part in parts),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    return b"".join(event(data, str(data["type"])) for data in events)


def response(parts: list[str]) -> bytes:
    """Two texts at once; the second one's deltas come between the first's end and what holds it all."""
    text, place = "".join(parts), {"item_id": "i", "output_index": 0, "content_index": 0}
    whole = {"type": "output_text", "text": text, "annotations": [], "logprobs": [{"token": "4111", "logprob": 0}]}
    item = {"id": "i", "type": "message", "role": "assistant", "status": "completed", "content": [whole]}
    other = {"item_id": "j", "output_index": 1, "content_index": 0, "logprobs": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": OPENED},
        *({"type": "response.output_text.delta", **place, "delta": part, "logprobs": []} for part in parts),
        *({"type": "response.output_text.delta", **other, "delta": word} for word in ("one", " two", " sk-")),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": [{"token": "4111", "logprob": 0}]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**OPENED, "status": "completed", "output": [item]}},
    ]
    return b"".join(event({**data, "sequence_number": n}, data["type"]) for n, data in enumerate(events))


def events_of(raw: bytes) -> list[Event]:
    reader = EventReader()
    events = [*reader.feed(raw), *reader.end()]
    assert reader.rest() == b""
    return events


def guarded(route: str, raw: bytes, guard: Any = REDACTING) -> tuple[list[Event], tuple[Finding, ...]]:
    stream = LeakStream(route, guard)
    return events_of(b"".join([*map(stream.feed, events_of(raw)), stream.end()])), stream.findings


def data_of(events: list[Event]) -> list[Any]:
    return [json.loads(found.data) for found in events if found.data != DONE]


def check(route: str, events: list[Event]) -> None:
    checker = StreamChecker(route)
    assert [found for found in [*map(checker.feed, events), checker.end()] if found is not None] == []


def redacted(text: str) -> str:
    return REDACTING.redact(text, REDACTING.scan(text))


def chat_text(events: list[Event], read: Callable[[Any], Any] = lambda delta: delta.get("content")) -> str:
    deltas = [choice["delta"] for data in data_of(events) for choice in data["choices"]]
    return "".join(read(delta) or "" for delta in deltas)


@given(data=st.data(), text=texts)
@settings(max_examples=50)
def test_chat_streams_are_redacted_as_their_whole_text_is(data: st.DataObject, text: str) -> None:
    events, _ = guarded("chat_completions", chat(data.draw(pieces(text))))
    assert chat_text(events) == redacted(text)
    check("chat_completions", events)


@given(data=st.data(), text=texts)
@settings(max_examples=50)
def test_message_streams_are_redacted_as_their_whole_text_is(data: st.DataObject, text: str) -> None:
    events, _ = guarded("messages", message(data.draw(pieces(text))))
    assert "".join(d["delta"]["text"] for d in data_of(events) if d["type"] == "content_block_delta") == redacted(text)
    check("messages", events)


@given(data=st.data(), text=texts)
@settings(max_examples=50)
def test_response_streams_tell_the_same_in_deltas_and_at_the_end(data: st.DataObject, text: str) -> None:
    events, _ = guarded("responses", response(data.draw(pieces(text))))
    told = data_of(events)
    deltas = [d for d in told if d["type"] == "response.output_text.delta"]
    assert "".join(d["delta"] for d in deltas if d["item_id"] == "i") == redacted(text)
    assert "".join(d["delta"] for d in deltas if d["item_id"] == "j") == "one two sk-"
    assert [d["text"] for d in told if d["type"] == "response.output_text.done"] == [redacted(text)]
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == redacted(text)
    assert [d["sequence_number"] for d in told] == list(range(len(told)))
    check("responses", events)


@pytest.mark.parametrize("cut", range(1, len(CARD)))
@pytest.mark.parametrize(
    ("place", "read"),
    [
        (lambda text: {"refusal": text}, lambda delta: delta.get("refusal")),
        (lambda text: {"reasoning_content": text}, lambda delta: delta.get("reasoning_content")),
        (lambda text: {"audio": {"transcript": text}}, lambda delta: delta.get("audio", {}).get("transcript")),
        (tool_call, lambda delta: "".join(c["function"]["arguments"] for c in delta.get("tool_calls", []))),
        (
            lambda text: {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]},
            lambda delta: "".join(t["text"] for part in delta.get("content", []) for t in part["thinking"]),
        ),
    ],
    ids=["refusal", "reasoning", "transcript", "tool call", "parts"],
)
def test_leaks_are_found_in_every_text_of_a_chats_delta(
    cut: int, place: Callable[[str], Any], read: Callable[[Any], Any]
) -> None:
    events, findings = guarded("chat_completions", chat(["{ ", CARD[:cut], CARD[cut:], " }"], place))
    assert chat_text(events, read) == "{ [cards] }"
    assert findings == (Finding("leaks/all", "cards"),)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("text", "text_delta"), ("thinking", "thinking_delta"), ("partial_json", "input_json_delta")],
)
def test_leaks_are_found_in_every_text_of_a_block(name: str, kind: str) -> None:
    events, findings = guarded("messages", message([CARD[:5], CARD[5:]], name, kind))
    deltas = [d["delta"] for d in data_of(events) if d["type"] == "content_block_delta"]
    assert "".join(delta[name] for delta in deltas) == "[cards]"
    assert {delta["type"] for delta in deltas} == {kind}
    assert findings == (Finding("leaks/all", "cards"),)
    check("messages", events)


def test_a_leak_that_begins_in_a_blocks_start_is_found() -> None:
    raw = message([CARD[5:]]).replace(b'"text": ""', f'"text": "{CARD[:5]}"'.encode())
    events, _ = guarded("messages", raw)
    assert CARD[:5] not in json.dumps(data_of(events))
    assert "[cards]" in json.dumps(data_of(events))
    check("messages", events)


@pytest.mark.parametrize("name", STREAMS)
def test_streams_without_leaks_keep_their_meaning_and_order(name: str) -> None:
    route, raw = name.partition("/")[0], (SHAPES / name).read_bytes()
    guard = scanner(detectors=("credentials", "private_keys", "cards"))
    events, findings = guarded(route, raw, guard)
    assert findings == ()
    check(route, events)


@pytest.mark.parametrize("name", STREAMS)
def test_streams_that_are_only_reported_on_keep_every_byte(name: str) -> None:
    route, raw = name.partition("/")[0], (SHAPES / name).read_bytes()
    stream = LeakStream(route, REPORTING)
    events = events_of(raw)
    assert [stream.feed(found) for found in events] == [found.raw for found in events]
    assert stream.end() == b""


@given(data=st.data(), text=texts)
@settings(max_examples=30)
def test_reports_count_what_the_whole_text_holds_and_change_nothing(data: st.DataObject, text: str) -> None:
    raw, stream = chat(data.draw(pieces(text))), LeakStream("chat_completions", REPORTING)
    assert b"".join([*map(stream.feed, events_of(raw)), stream.end()]) == raw
    assert sum(found.times for found in stream.findings) == len(REPORTING.scan(text))


def test_what_an_event_tells_again_counts_once() -> None:
    _, findings = guarded("responses", response([CARD[:3], CARD[3:]]))
    assert findings == (Finding("leaks/all", "cards"),)


@pytest.mark.parametrize("make", [chat, message, response])
def test_blocking_lets_no_character_of_a_leak_out(make: Callable[[list[str]], bytes]) -> None:
    route = {chat: "chat_completions", message: "messages", response: "responses"}[make]
    stream, gone = LeakStream(route, BLOCKING), bytearray()
    raw = events_of(make(["I looked it up for you: it is ", *CARD, ", so."]))

    def send() -> None:
        for found in raw:
            gone.extend(stream.feed(found))

    with pytest.raises(ResponseBlockedError):
        send()
    assert b'"4' not in gone
    assert b"I looked" in gone


def test_log_probabilities_of_what_is_changed_are_left_out() -> None:
    tokens: list[Any] = [{"token": part, "logprob": 0, "bytes": None, "top_logprobs": []} for part in ("4111", "1111")]
    choice = {"index": 0, "delta": {"content": CARD}, "logprobs": {"content": tokens}, "finish_reason": "stop"}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events, _ = guarded("chat_completions", event({**head, "choices": [choice]}) + event(DONE))
    assert data_of(events)[0]["choices"][0] == {**choice, "delta": {"content": "[cards]"}, "logprobs": None}
    told = json.dumps(data_of(guarded("responses", response([CARD]))[0]))
    assert "4111" not in told


def test_what_is_put_in_holds_nothing_that_was_redacted_beside_it() -> None:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "note": "a@example.org"}
    raw = event({**head, "choices": [{"index": 0, "delta": {"content": "sk-"}, "finish_reason": None}]})
    told = data_of(guarded("chat_completions", raw)[0])
    assert [data["note"] for data in told] == ["[email]"] * 2
    assert [data["choices"][0]["delta"]["content"] for data in told] == ["", "sk-"]


ERRORS = {
    "chat_completions": {"error": {"message": "Overloaded.", "type": "server_error", "code": None, "param": None}},
    "messages": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded."}},
    "responses": {"type": "error", "code": "x", "message": "Overloaded.", "param": None, "sequence_number": 90},
}


@pytest.mark.parametrize("make", [chat, message, response])
def test_what_waits_goes_on_before_an_error_ends_the_stream(make: Callable[[list[str]], bytes]) -> None:
    route = {chat: "chat_completions", message: "messages", response: "responses"}[make]
    before = events_of(make(["It is sk-"]))
    begun = next(place for place, found in enumerate(before) if b"sk-" in found.raw)
    raw = b"".join(found.raw for found in before[: begun + 1])
    name = "" if route == "chat_completions" else "error"
    events, _ = guarded(route, raw + event(ERRORS[route], name))
    assert "error" in events[-1].data
    assert "sk-" in "".join(found.data for found in events[:-1])
    check(route, events)


def test_two_choices_are_texts_of_their_own() -> None:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    parts = [(0, CARD[:8]), (1, "12 and "), (0, CARD[8:]), (1, CARD)]
    raw = b"".join(
        event({**head, "choices": [{"index": index, "delta": {"content": part}, "finish_reason": None}]})
        for index, part in parts
    )
    told = data_of(guarded("chat_completions", raw)[0])
    texts_of = ["", ""]
    for data in told:
        texts_of[data["choices"][0]["index"]] += data["choices"][0]["delta"]["content"]
    assert texts_of == ["[cards]", "12 and [cards]"]


def test_other_lines_of_a_changed_event_stay() -> None:
    raw = b': ping\nid: 7\nevent: x\ndata: {\ndata: "t": "' + CARD.encode() + b'"}\nretry: 5\n\n'
    stream = LeakStream("unknown", REDACTING)
    assert stream.feed(events_of(raw)[0]) == b': ping\nid: 7\nevent: x\ndata: {"t": "[cards]"}\nretry: 5\n\n'


def test_data_that_is_no_json_is_looked_at_as_it_stands() -> None:
    stream = LeakStream("unknown", REDACTING)
    assert stream.feed(events_of(b"data: it is 4111111111111111\n\n")[0]) == b"data: it is [cards]\n\n"


def test_no_more_channels_wait_than_answers_have() -> None:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    stream, waiting = LeakStream("chat_completions", REDACTING), 0
    for index in range(1000):
        choice = {"index": index, "delta": {"content": "sk-"}, "finish_reason": None}
        (found,) = events_of(event({**head, "choices": [choice]}))
        waiting += 1 - stream.feed(found).count(b"sk-")
    assert 100 < waiting <= 256
    assert stream.end().count(b"sk-") == waiting
