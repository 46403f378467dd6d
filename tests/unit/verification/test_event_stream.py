from collections.abc import Iterable
from contextlib import nullcontext

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sallyport.verification.event_stream import MAX_EVENT_BYTES, Event, EventReader, InvalidEventStreamError
from sallyport.verification.violations import ENCODING, SIZE

LINE_ENDS = ("\n", "\r", "\r\n")


def read(chunks: Iterable[bytes]) -> tuple[list[Event], bytes]:
    reader = EventReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    events += reader.end()
    return events, reader.rest()


def by_byte(raw: bytes) -> list[bytes]:
    return [raw[at : at + 1] for at in range(len(raw))]


def told(raw: bytes) -> list[tuple[str, str]]:
    return [(event.type, event.data) for event in read([raw])[0]]


def reference(raw: bytes) -> list[tuple[str, str]]:
    """WHATWG HTML, 9.2.6, word for word, on a whole text."""
    text = raw.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    *lines, _ = text.split("\n")
    events, kind, buffer = [], "", ""
    for line in lines:
        if line == "":
            if buffer != "":
                events.append((kind or "message", buffer.removesuffix("\n")))
            kind, buffer = "", ""
            continue
        if line.startswith(":"):
            continue
        name, value = line.split(":", 1) if ":" in line else (line, "")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            buffer += value + "\n"
    return events


LINES = st.one_of(
    st.sampled_from([
        "", "", "", "data", "data:", "data: ", "data: x", "data:x", "data:  x", "data: a:b", "data: 🐟", ": ping", ":",
        "event: e", "event", "event:", "id: 7", "id: a\0b", "id", "retry: 10", "retry: x", " data: x", "Data: x",
        "data : x", "\ufeffdata: x", "data\0: x", "data: \u2028\x0b\x0c\x85 y", "unknown: x",
    ]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=8),
)  # fmt: skip
STREAMS = st.builds(
    lambda bom, lines: (bom + "".join(line + end for line, end in lines)).encode(),
    st.sampled_from(["", "", "\ufeff"]),
    st.lists(st.tuples(LINES, st.sampled_from(LINE_ENDS)), max_size=16),
)


@given(STREAMS)
@example(b"data: x\n\r")
@example(b"data: x\r\r")
@example(b"data: x\r\n\r")
@example("\ufeff\n\ndata: x\n\n".encode())
@example("\ufeff\ufeffdata: x\n\ndata: y\n\n".encode())
def test_events_are_the_specifications(raw: bytes) -> None:
    assert told(raw) == reference(raw)


@given(STREAMS, st.data())
def test_chunks_make_no_difference(raw: bytes, data: st.DataObject) -> None:
    whole = read([raw])
    assert read(by_byte(raw)) == whole
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    assert read([raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]) == whole


@given(STREAMS, st.integers(1, 7))
def test_bytes_are_kept(raw: bytes, size: int) -> None:
    reader = EventReader()
    kept = b""
    for start in range(0, len(raw), size):
        for event in reader.feed(raw[start : start + size]):
            kept += event.raw
        kept += reader.between()
    kept += b"".join(event.raw for event in reader.end())
    assert kept + reader.rest() == raw


@given(STREAMS, st.integers(1, 7))
def test_letting_go_of_comments_changes_no_event(raw: bytes, size: int) -> None:
    reader = EventReader()
    events: list[tuple[str, str]] = []
    for start in range(0, len(raw), size):
        events += [(event.type, event.data) for event in reader.feed(raw[start : start + size])]
        reader.between()
    events += [(event.type, event.data) for event in reader.end()]
    assert events == reference(raw)


@pytest.mark.parametrize(
    ("raw", "events"),
    [
        (b"data: x\n\n", [("message", "x")]),
        (b"data:x\r\n\r\n", [("message", "x")]),
        (b"data: x\r\rdata: y\r\r", [("message", "x"), ("message", "y")]),
        (b"event: add\ndata: 1\ndata: 2\n\n", [("add", "1\n2")]),
        (b"event: add\n\ndata: 1\n\n", [("message", "1")]),
        (b"data\n\ndata\ndata\n\ndata:", [("message", ""), ("message", "\n")]),
        (b"data:  x\n\n", [("message", " x")]),
        (b"event: a\nevent: b\ndata: x\n\n", [("b", "x")]),
        (b"id: a\0b\nretry: 1\ndata: x\n\n", [("message", "x")]),
        (b"data: x", []),
        (b"data: x\n", []),
        (b"", []),
    ],
)
def test_events_are_read(raw: bytes, events: list[tuple[str, str]]) -> None:
    assert told(raw) == events


def test_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    reader = EventReader()
    assert list(reader.feed(b"data: x\r\n\r")) == []
    assert list(reader.feed(b"\n")) == [Event("message", "x", b"data: x\r\n\r\n")]
    assert list(reader.feed(b"data: y\n\n")) == [Event("message", "y", b"data: y\n\n")]


def test_comments_belong_to_the_next_event() -> None:
    events, rest = read([b": ping\n\ndata: x\n\n: bye\n"])
    assert [event.raw for event in events] == [b": ping\n\ndata: x\n\n"]
    assert rest == b": bye\n"


def test_comments_can_go_at_once() -> None:
    reader = EventReader()
    assert list(reader.feed(b": ping\n: po")) == []
    assert reader.between() == b": ping\n"
    assert reader.between() == b""
    assert list(reader.feed(b"ng\n\ndata: x\n")) == []
    assert reader.between() == b""
    assert [event.raw for event in reader.feed(b"\n")] == [b": pong\n\ndata: x\n\n"]


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"])
@pytest.mark.parametrize("line", [b"data: %b\n", b": %b\n", b"%b: x\n"])
def test_what_is_not_utf_8_is_refused(bad: bytes, line: bytes) -> None:
    raw = b"data: x\n\n" + line.replace(b"%b", bad) + b"\n"
    for chunks in ([raw], by_byte(raw)):
        events: list[str] = []
        with pytest.raises(InvalidEventStreamError) as refused:
            take(chunks, events)
        assert refused.value.violation.kind == ENCODING
        assert events == ["x"]


def take(chunks: list[bytes], events: list[str], reader: EventReader | None = None) -> None:
    """Put the events' data into `events` until the stream is refused."""
    reader = reader or EventReader()
    for chunk in chunks:
        for event in reader.feed(chunk):
            events.append(event.data)  # noqa: PERF401 - what was told before a refusal counts


def test_character_may_be_cut_anywhere() -> None:
    assert [event.data for event in read(by_byte("data: 🐟é\n\n".encode()))[0]] == ["🐟é"]


@pytest.mark.parametrize("lines", [b"data: %b\n\n", b": %b\ndata: x\n\n", b"data: %b", b":%b"])
@pytest.mark.parametrize("chunk_size", [1, 7, 1000])
def test_event_has_a_bound(lines: bytes, chunk_size: int) -> None:
    for size, is_refused in ((64, False), (65, True)):
        raw = lines.replace(b"%b", b"y" * (size - len(lines) + 2))
        chunks = [raw[start : start + chunk_size] for start in range(0, len(raw), chunk_size)]
        refusal = pytest.raises(InvalidEventStreamError) if is_refused else nullcontext()
        with refusal as refused:
            take(chunks, [], EventReader(max_event_bytes=64))
        assert refused is None or refused.value.violation.kind == SIZE


def test_many_events_in_one_chunk_are_no_long_event() -> None:
    raw = b"data: x\n\n" * 400_000
    assert len(raw) > 3 * MAX_EVENT_BYTES
    assert sum(1 for _ in EventReader().feed(raw)) == 400_000
