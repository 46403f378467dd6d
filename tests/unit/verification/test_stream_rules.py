import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sallyport.errors import UpstreamInterruptedError
from sallyport.gateway.error_shapes import anthropic_error_event, error_event, responses_error_event
from sallyport.providers.anthropic_answer import Heading
from sallyport.providers.anthropic_stream import translated_stream
from sallyport.providers.chat_chunks import ChatStream
from sallyport.providers.stream_usage import without_usage
from sallyport.providers.usage import ReportedUsage
from sallyport.verification.answers import STREAMED_ROUTES
from sallyport.verification.event_stream import Event, EventReader
from sallyport.verification.stream_rules import DONE, StreamChecker
from sallyport.verification.violations import ENCODING, ORDER, SCHEMA, TERMINATION, Violation
from sallyport_cli.echo.answers import chat_events
from sallyport_cli.echo.anthropic import _events, _reply
from sallyport_cli.echo.responses import response_events
from tests.support.replaced_values import with_each_value_replaced

SHAPES = Path(__file__).with_name("shapes")
STREAMS = sorted(path.relative_to(SHAPES).as_posix() for path in SHAPES.glob("*/*.sse"))
HEADING = Heading(1, "m")
ERROR = UpstreamInterruptedError("The upstream failed in mid-answer.")


def events_of(raw: bytes) -> list[Event]:
    reader = EventReader()
    events = [*reader.feed(raw), *reader.end()]
    assert reader.rest() == b""
    return events


def stream(name: str) -> list[Event]:
    return events_of((SHAPES / name).read_bytes())


def checked(route: str, events: list[Event]) -> list[Violation]:
    checker = StreamChecker(route)
    found = [*map(checker.feed, events), checker.end()]
    return [violation for violation in found if violation is not None]


def with_data(event: Event, **fields: Any) -> Event:
    return event._replace(data=json.dumps({**json.loads(event.data), **fields}))


def test_each_route_that_streams_has_shapes() -> None:
    assert {name.partition("/")[0] for name in STREAMS} == set(STREAMED_ROUTES)


@pytest.mark.parametrize("name", STREAMS)
def test_real_streams_pass(name: str) -> None:
    assert checked(name.partition("/")[0], stream(name)) == []


@pytest.mark.parametrize("name", STREAMS)
def test_chunks_make_no_difference_to_what_is_found(name: str) -> None:
    raw = (SHAPES / name).read_bytes()
    reader = EventReader()
    events = [event for at in range(len(raw)) for event in reader.feed(raw[at : at + 1])]
    assert events == stream(name)


@pytest.mark.parametrize("name", STREAMS)
def test_stream_that_breaks_off_is_noticed(name: str) -> None:
    """After any event but an error or the one that ends the answer."""
    events = stream(name)
    complete = [cut for cut in range(len(events)) if checked(name.partition("/")[0], events[:cut]) == []]
    assert all(cut >= 1 and is_end(events[cut - 1]) for cut in complete)


def is_end(event: Event) -> bool:
    if event.data == DONE:
        return True
    data = json.loads(event.data)
    ends = {"error", "message_stop", "response.completed", "response.failed", "response.incomplete"}
    return bool(data.get("error")) or data.get("object") == "error" or data.get("type") in ends


@pytest.mark.parametrize("name", STREAMS)
def test_event_after_the_end_is_noticed(name: str) -> None:
    events = stream(name)
    found = checked(name.partition("/")[0], [*events, events[0]])
    assert [violation.kind for violation in found] == [ORDER]


@pytest.mark.parametrize("name", STREAMS)
def test_event_that_is_not_strict_json_is_noticed(name: str) -> None:
    first, *others = stream(name)
    for data in ("", "x", "{", '{"a": 1, "a": 1}', '{"a": NaN}', "[DONE", '"\\ud800"', "[" * 100 + "]" * 100):
        found = checked(name.partition("/")[0], [first._replace(data=data), *others])
        assert found[0] == Violation(ENCODING, "data")


@pytest.mark.parametrize("route", STREAMED_ROUTES)
@pytest.mark.parametrize("data", ["[]", "1", "null", '"x"', "{}"])
def test_event_that_is_no_event_of_the_route_is_noticed(route: str, data: str) -> None:
    violation = StreamChecker(route).feed(Event("message", data, b""))
    assert violation is not None
    assert violation.kind == SCHEMA


@pytest.mark.parametrize("route", STREAMED_ROUTES)
def test_empty_stream_has_not_ended(route: str) -> None:
    assert [violation.kind for violation in checked(route, [])] == [TERMINATION]


def test_data_of_the_last_event_is_kept() -> None:
    checker = StreamChecker("chat_completions")
    for event in stream("chat_completions/openai.sse"):
        checker.feed(event)
        assert checker.data == (None if event.data == DONE else json.loads(event.data))
    checker.feed(Event("message", "x", b""))
    assert checker.data is None


@pytest.mark.parametrize("other", [None, True, -1, 1e300, "response.x", [], {"type": []}], ids=range(7))
@pytest.mark.parametrize("name", STREAMS)
def test_wrong_value_anywhere_is_told_or_passes(name: str, other: Any) -> None:
    """Whatever an upstream sends, a checker tells of it, in words of the API's own."""
    checker = StreamChecker(name.partition("/")[0])
    for event in stream(name):
        data = None if event.data == DONE else json.loads(event.data)
        for replaced in with_each_value_replaced(data, other):
            violation = checker.feed(event._replace(data=json.dumps(replaced)))
            assert violation is None or violation.kind in {SCHEMA, ORDER, TERMINATION}
    checker.end()


# Chat


def chunk(*choices: dict[str, Any], **fields: Any) -> Event:
    return Event("message", json.dumps({"id": "c", "choices": list(choices), **fields}), b"")


def choice(index: Any = 0, finish_reason: Any = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


DONE_EVENT = Event("message", DONE, b"")


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([chunk(choice(0, "stop")), DONE_EVENT], []),
        ([chunk(choice(0)), DONE_EVENT], [Violation(TERMINATION, "finish_reason")]),
        ([chunk(choice(0, "")), DONE_EVENT], [Violation(TERMINATION, "finish_reason")]),
        ([chunk(choice(0, "stop")), chunk(choice(1)), DONE_EVENT], [Violation(TERMINATION, "finish_reason")]),
        ([chunk(choice(0, "stop"), choice(1, "length")), DONE_EVENT], []),
        ([chunk(), DONE_EVENT], [Violation(TERMINATION, "finish_reason")]),
        ([DONE_EVENT], [Violation(TERMINATION, "finish_reason")]),
        ([chunk(choice(0, "stop"))], [Violation(TERMINATION, DONE)]),
        ([chunk(choice(0, "stop")), DONE_EVENT, DONE_EVENT], [Violation(ORDER, DONE)]),
        ([chunk(choice(0, "stop")), DONE_EVENT, chunk(error={"message": "x"})], [Violation(ORDER, DONE)]),
        ([chunk(error={"message": "x"})], []),
        ([chunk(choice(0)), chunk(error={"message": "x"}), DONE_EVENT], []),
        ([chunk(error={"message": "x"}), chunk(choice(0))], [Violation(ORDER, "error")]),
        ([chunk(choice(0, "stop"), error=None), DONE_EVENT], []),
        ([chunk(choice("x"), error={})], [Violation(SCHEMA, "choices[0].index"), Violation(TERMINATION, DONE)]),
        ([chunk(choice(128))], [Violation(SCHEMA, "choices[0].index"), Violation(TERMINATION, DONE)]),
        ([chunk(choice(0, 5))], [Violation(SCHEMA, "choices[0].finish_reason"), Violation(TERMINATION, DONE)]),
        ([chunk(choice(content=5))], [Violation(SCHEMA, "choices[0].delta.content"), Violation(TERMINATION, DONE)]),
        (
            [chunk(choice(0, "stop")), chunk(usage={"total_tokens": "x"}), DONE_EVENT],
            [Violation(SCHEMA, "usage.total_tokens")],
        ),
    ],
    ids=range(19),
)
def test_chat_is_held_to_its_order_and_end(events: list[Event], found: list[Violation]) -> None:
    assert checked("chat_completions", events) == found


# Responses


def numbered(*kinds: str, **fields: Any) -> list[Event]:
    whole = {"response": {"id": "r"}, "output_index": 0, "content_index": 0, "delta": "x", "text": "x"}
    return [
        Event(kind, json.dumps({"type": kind, "sequence_number": number, **whole, **fields}), b"")
        for number, kind in enumerate(kinds)
    ]


CREATED, DELTA, COMPLETED = "response.created", "response.output_text.delta", "response.completed"
UNENDED = Violation(TERMINATION, COMPLETED)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        (numbered(CREATED, DELTA, COMPLETED), []),
        (numbered(CREATED, DELTA), [UNENDED]),
        (numbered(DELTA, COMPLETED), [Violation(ORDER, CREATED)]),
        (numbered(COMPLETED), [Violation(ORDER, CREATED)]),
        (numbered(CREATED, CREATED, COMPLETED), [Violation(ORDER, CREATED)]),
        (numbered(CREATED, COMPLETED, DELTA), [Violation(ORDER, COMPLETED)]),
        (numbered(CREATED, COMPLETED, COMPLETED), [Violation(ORDER, COMPLETED)]),
        (numbered(CREATED, COMPLETED, "error"), [Violation(ORDER, "error")]),
        (numbered(CREATED, "error", DELTA), [Violation(ORDER, "error")]),
        (numbered(CREATED, "error", "response.failed"), []),
        (numbered("error"), []),
        (numbered("keepalive", CREATED, "response.news", "news", "response.incomplete"), []),
        ([*numbered(CREATED, COMPLETED), DONE_EVENT], []),
        ([*numbered(CREATED), DONE_EVENT], [UNENDED, UNENDED]),
        ([*numbered(CREATED, COMPLETED), DONE_EVENT, DONE_EVENT], [Violation(ORDER, DONE)]),
        ([*numbered(CREATED, COMPLETED), DONE_EVENT, *numbered("news", sequence_number=9)], [Violation(ORDER, DONE)]),
        (numbered(CREATED, DELTA, COMPLETED, sequence_number=None), []),
        (numbered(CREATED, COMPLETED, sequence_number=4), [Violation(ORDER, "sequence_number"), UNENDED]),
        (numbered(CREATED, COMPLETED, sequence_number="x"), [Violation(SCHEMA, "sequence_number")] * 2 + [UNENDED]),
        (numbered(CREATED, DELTA, COMPLETED, delta=5), [Violation(SCHEMA, "delta")]),
        (numbered(CREATED, DELTA, COMPLETED, output_index=None), [Violation(SCHEMA, "output_index")]),
        (numbered(CREATED, "response.news", COMPLETED, delta=5, output_index=None), []),
    ],
    ids=range(22),
)
def test_responses_are_held_to_their_order_and_end(events: list[Event], found: list[Violation]) -> None:
    assert checked("responses", events) == found


def test_responses_events_are_named_as_their_type() -> None:
    first, *others = stream("responses/openai.sse")
    assert checked("responses", [first._replace(type="response.completed"), *others])[0] == Violation(ORDER, "event")
    assert checked("responses", [first._replace(type="message"), *others]) == []


# Messages


def message_events(*told: str) -> list[Event]:
    """Such as `message_start`, `content_block_start 0`."""
    return [message_event(*text.split()) for text in told]


def message_event(kind: str, index: str = "0") -> Event:
    fields: dict[str, dict[str, Any]] = {
        "message_start": {"message": {"content": []}},
        "content_block_start": {"content_block": {"type": "text", "text": ""}},
        "content_block_delta": {"delta": {"type": "text_delta", "text": "x"}},
        "message_delta": {"delta": {"stop_reason": "end_turn"}},
        "error": {"error": {"type": "api_error", "message": "x"}},
    }
    return Event(kind, json.dumps({"type": kind, "index": int(index), **fields.get(kind, {})}), b"")


START, BEGIN, ADD, STOP = "message_start", "content_block_start", "content_block_delta", "content_block_stop"
SUM, END = "message_delta", "message_stop"
WHOLE = (START, f"{BEGIN} 0", f"{ADD} 0", f"{STOP} 0", SUM, END)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (WHOLE, []),
        ((START, SUM, END), []),
        (("ping", *WHOLE, "ping"), []),
        ((*WHOLE[:3], "ping", "news", *WHOLE[3:]), []),
        (WHOLE[:-1], [Violation(TERMINATION, END)]),
        (WHOLE[1:], [Violation(ORDER, BEGIN)]),
        ((START, START, *WHOLE[1:]), [Violation(ORDER, START)]),
        ((*WHOLE, END), [Violation(ORDER, END)]),
        ((*WHOLE, f"{ADD} 0"), [Violation(ORDER, ADD)]),
        ((START, f"{ADD} 0", SUM, END), [Violation(ORDER, ADD)]),
        ((START, f"{STOP} 0", SUM, END), [Violation(ORDER, STOP)]),
        ((*WHOLE[:4], f"{ADD} 0", SUM, END), [Violation(ORDER, ADD)]),
        ((*WHOLE[:4], f"{STOP} 0", SUM, END), [Violation(ORDER, STOP)]),
        ((START, f"{BEGIN} 0", f"{ADD} 1", f"{STOP} 0", SUM, END), [Violation(ORDER, ADD)]),
        ((START, f"{BEGIN} 1", f"{STOP} 1", SUM, END), [Violation(ORDER, BEGIN)]),
        ((*WHOLE[:4], f"{BEGIN} 0", f"{STOP} 0", SUM, END), [Violation(ORDER, BEGIN)]),
        ((*WHOLE[:4], f"{BEGIN} 1", f"{STOP} 1", SUM, END), []),
        ((*WHOLE[:3], SUM, END), [Violation(TERMINATION, STOP)]),
        ((*WHOLE[:4], END), [Violation(TERMINATION, SUM)]),
        (("error",), []),
        ((*WHOLE[:3], "error"), []),
        ((*WHOLE[:3], "error", "ping"), []),
        ((*WHOLE[:3], "error", f"{ADD} 0"), [Violation(ORDER, ADD)]),
    ],
    ids=range(23),
)
def test_messages_are_held_to_their_order_and_end(told: tuple[str, ...], found: list[Violation]) -> None:
    assert checked("messages", message_events(*told)) == found


def test_messages_events_are_named_as_their_type() -> None:
    first, *others = message_events(*WHOLE)
    for name in ("message", "message_stop"):
        assert checked("messages", [first._replace(type=name), *others])[0] == Violation(ORDER, "event")


def test_messages_have_done_at_most_at_their_end() -> None:
    begun = message_events(*WHOLE[:3])
    assert checked("messages", [*message_events(*WHOLE), DONE_EVENT]) == []
    assert checked("messages", [*begun, DONE_EVENT]) == [Violation(ORDER, DONE), Violation(TERMINATION, END)]


@pytest.mark.parametrize(
    ("at", "fields", "path"),
    [
        (0, {"message": "secret"}, "message"),
        (0, {"message": {"content": "secret"}}, "message.content"),
        (1, {"index": "secret"}, "index"),
        (1, {"index": 10_000}, "index"),
        (1, {"content_block": {"text": "secret"}}, "content_block.type"),
        (2, {"delta": {"type": "text_delta"}}, "delta.text"),
        (2, {"delta": {"type": "input_json_delta", "partial_json": {"secret": 1}}}, "delta.partial_json"),
        (4, {"delta": {"stop_reason": 1}}, "delta.stop_reason"),
        (4, {"usage": {"output_tokens": "secret"}}, "usage.output_tokens"),
    ],
)
def test_messages_events_are_held_to_their_schema(at: int, fields: dict[str, Any], path: str) -> None:
    events = message_events(*WHOLE)
    events[at] = with_data(events[at], **fields)
    assert checked("messages", events)[0] == Violation(SCHEMA, path)


# What the gateway itself writes


@pytest.mark.parametrize(
    ("route", "error"),
    [
        ("chat_completions", error_event(ERROR)),
        ("responses", responses_error_event(ERROR)),
        ("messages", anthropic_error_event(ERROR)),
    ],
)
def test_gateways_own_error_ends_a_stream(route: str, error: bytes) -> None:
    begun = stream(f"{route}/{'anthropic' if route == 'messages' else 'openai'}.sse")[:2]
    assert checked(route, [*begun, *events_of(error)]) == []


@pytest.mark.parametrize("include_usage", [True, False])
@pytest.mark.parametrize(
    "name", [name for name in STREAMS if name.startswith("messages/") and "overloaded" not in name]
)
def test_translated_chats_pass(name: str, include_usage: bool) -> None:
    def by_line() -> Iterator[bytes]:
        yield from (SHAPES / name).read_bytes().splitlines(keepends=True)

    written = b"".join(translated_stream(by_line(), HEADING, include_usage=include_usage))
    assert checked("chat_completions", events_of(written)) == []
    assert checked("chat_completions", events_of(b"".join(without_usage([written])))) == []


def test_written_chats_pass() -> None:
    writer = ChatStream("id", 1, "m", include_usage=True)
    written = writer.start() + writer.text("Hi") + writer.tool_call_start(0, "c", "f")
    written += writer.tool_call_arguments(0, "{}") + writer.finish("tool_calls")
    written += writer.usage(ReportedUsage(1, 2, 0)) + writer.done()
    assert checked("chat_completions", events_of(written)) == []


def test_half_a_surrogate_pair_is_noticed() -> None:
    """It is passed on as the upstream wrote it, where it isn't held to be strict JSON."""
    writer = ChatStream("id", 1, "m", include_usage=False)
    written = writer.text("\ud83d") + writer.finish("stop") + writer.done()
    assert checked("chat_completions", events_of(written)) == [Violation(ENCODING, "data")]


USER = {"role": "user", "content": "Hello, big world!"}


@pytest.mark.parametrize(
    "extra", [{}, {"n": 3}, {"stream_options": {"include_usage": True}}, {"max_tokens": 1}, {"n": 2, "max_tokens": 2}]
)
def test_echos_chats_pass(extra: dict[str, Any]) -> None:
    written = b"".join(chat_events({"model": "echo", "messages": [USER], **extra}))
    assert checked("chat_completions", events_of(written)) == []


@pytest.mark.parametrize("extra", [{}, {"max_output_tokens": 1}, {"tools": [{"type": "function", "name": "f"}]}])
def test_echos_responses_pass(extra: dict[str, Any]) -> None:
    asked = {"model": "echo", "input": [{"role": "user", "content": "call:f big world"}], **extra}
    assert checked("responses", events_of(b"".join(response_events(asked)))) == []


@pytest.mark.parametrize(
    "extra", [{}, {"stop_sequences": ["big"]}, {"tools": [{"name": "f"}], "tool_choice": {"type": "any"}}]
)
@pytest.mark.parametrize("limit", [1, 9])
def test_echos_messages_pass(extra: dict[str, Any], limit: int) -> None:
    asked = {"model": "echo", "messages": [USER], **extra}
    written = b"".join(_events(asked, _reply(asked, limit)))
    assert checked("messages", events_of(written)) == []
