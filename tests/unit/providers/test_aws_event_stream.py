"""AWS's event streams: however they are cut, and whatever is wrong with them."""

from collections.abc import Iterator
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import UpstreamError, UpstreamInterruptedError, UpstreamInvalidResponseError
from sallyport.providers.aws_event_stream import MAX_HEADERS_BYTES, MAX_MESSAGE_BYTES, Message, read_messages
from sallyport_cli.echo.event_stream import event, exception, message

WHOLE = event("messageStart", {"role": "assistant"}) + exception("throttlingException", "slow down")
HEADERS = st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=5)
MESSAGES = st.lists(st.tuples(HEADERS, st.binary(max_size=200)), max_size=4)


def framed(headers: bytes, payload: bytes = b"") -> bytes:
    """Give a message with headers of any bytes, its checksums right."""
    prelude = (16 + len(headers) + len(payload)).to_bytes(4) + len(headers).to_bytes(4)
    whole = prelude + crc32(prelude).to_bytes(4) + headers + payload
    return whole + crc32(whole).to_bytes(4)


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


@given(MESSAGES, st.lists(st.integers(0, 60), max_size=30))
def test_messages_are_the_same_however_they_are_cut(
    parts: list[tuple[dict[str, str], bytes]], sizes: list[int]
) -> None:
    data = b"".join(message(headers, payload) for headers, payload in parts)
    assert list(read_messages(cut(data, sizes))) == [Message(headers, payload) for headers, payload in parts]


def test_a_message_is_given_before_the_next_bytes_are_asked_for() -> None:
    def chunks() -> Iterator[bytes]:
        yield WHOLE
        raise AssertionError("asked for more")

    messages = read_messages(chunks())
    assert next(messages).headers[":event-type"] == "messageStart"
    assert next(messages).headers[":exception-type"] == "throttlingException"


@given(st.integers(0, len(WHOLE) * 8 - 1))
def test_one_wrong_bit_is_found(bit: int) -> None:
    data = bytearray(WHOLE)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(UpstreamError):
        list(read_messages([bytes(data)]))


@given(st.integers(1, len(WHOLE) - 1))
def test_a_stream_that_ends_within_a_message_was_interrupted(end: int) -> None:
    first = len(event("messageStart", {"role": "assistant"}))
    if end == first:
        assert len(list(read_messages([WHOLE[:end]]))) == 1
        return
    with pytest.raises(UpstreamInterruptedError):
        list(read_messages([WHOLE[:end]]))


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_bytes_are_messages_or_an_upstreams_error(chunks: list[bytes]) -> None:
    try:
        list(read_messages(chunks))
    except UpstreamError:
        return


@given(st.binary(max_size=60))
def test_any_headers_are_read_or_refused(headers: bytes) -> None:
    try:
        (read,) = read_messages([framed(headers, b"payload")])
    except UpstreamInvalidResponseError:
        return
    assert read.payload == b"payload"


def test_values_that_are_no_strings_are_passed_over() -> None:
    fixed = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
    headers = b"".join(bytes([1, 97 + kind, kind]) + bytes(size) for kind, size in fixed.items())
    headers += b"\x05bytes\x06\x00\x02ab" + b"\x01z\x07\x00\x04text"
    assert list(read_messages([framed(headers)])) == [Message({"z": "text"}, b"")]


@pytest.mark.parametrize(
    "headers",
    [
        b"\x01a\x0a",  # an unknown type
        b"\x01a",  # no type
        b"\x05a\x07\x00\x01b",  # a name beyond the end
        b"\x01a\x07\x00\x05b",  # a value beyond the end
        b"\x01a\x07\x00",  # half a length
        b"\x01a\x05\x00",  # half a number
        b"\x01a\x07\x00\x01\xff",  # not UTF-8
        b"\x01\xff\x07\x00\x01a",
        b"\x01a\x07\x00\x01b\x01a\x07\x00\x01c",  # twice the same name
        b"\x01a\x00\x01a\x07\x00\x01c",
    ],
)
def test_headers_that_could_be_misread_are_refused(headers: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponseError):
        list(read_messages([framed(headers)]))


@pytest.mark.parametrize(
    ("size", "headers_size"),
    [(15, 0), (0, 0), (MAX_MESSAGE_BYTES + 1, 0), (MAX_MESSAGE_BYTES, MAX_HEADERS_BYTES + 1), (20, 5), (2**32 - 1, 0)],
)
def test_sizes_that_cannot_be_are_refused_before_anything_is_waited_for(size: int, headers_size: int) -> None:
    def chunks() -> Iterator[bytes]:
        prelude = size.to_bytes(4) + headers_size.to_bytes(4)
        yield prelude + crc32(prelude).to_bytes(4)
        raise AssertionError("waited")

    with pytest.raises(UpstreamInvalidResponseError):
        list(read_messages(chunks()))
