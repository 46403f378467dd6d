"""Event streams on their way through."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.gateway.event_stream import MAX_HELD_BYTES, whole_events

LINES = st.sampled_from([b"data: 1", b"data: {}", b"event: x", b": note", b""])
STREAMS = st.tuples(st.lists(LINES, max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"])).map(
    lambda parts: b"".join(line + parts[1] for line in parts[0])
)


@given(STREAMS, st.lists(st.integers(1, 9), max_size=20))
def test_any_chunking_gives_the_same_bytes(stream: bytes, sizes: list[int]) -> None:
    chunks, rest = [], stream
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    assert b"".join(whole_events([*chunks, rest])) == stream


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_goes_as_soon_as_it_is_whole(end: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"data: 1" + end
        yield end + b"data: 2"
        raise ConnectionError

    events = whole_events(chunks())
    assert next(events) == b"data: 1" + end + end
    with pytest.raises(ConnectionError):
        next(events)


@pytest.mark.parametrize("keep_alive", [b": ping\n", b":\n", b": a\r\n: b\r\n"])
def test_a_comment_that_keeps_a_stream_alive_is_not_held_back(keep_alive: bytes) -> None:
    events = whole_events(iter([b"data: 1\n\n", keep_alive, b"data: 2", b"\n\n"]))
    assert [next(events), next(events)] == [b"data: 1\n\n", keep_alive]
    assert list(events) == [b"data: 2\n\n"]


def test_a_comment_inside_an_event_stays_with_it() -> None:
    assert list(whole_events([b"data: 1\n", b": note\n", b"data: 2\n\n"])) == [b"data: 1\n: note\ndata: 2\n\n"]


def test_a_long_event_that_breaks_off_is_ended_before_the_error() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"data: " + b"x" * MAX_HELD_BYTES
        yield b"yz"
        raise ConnectionError

    events = whole_events(chunks())
    assert next(events).startswith(b"data: ")
    assert next(events) == b"\n\n"
    with pytest.raises(ConnectionError):
        next(events)


def test_many_small_pieces_of_a_long_event_are_held_together() -> None:
    pieces = [b"data: ", *[b"x"] * 500_000, b"\n", b"\n", b": next"]
    assert list(whole_events(pieces)) == [b"".join(pieces[:-1]), b": next"]


def test_what_is_too_long_to_be_held_is_passed_on() -> None:
    long = b"data: " + b"x" * MAX_HELD_BYTES
    assert list(whole_events([long, b"y"])) == [long, b"y"]
