"""AWS's binary event streams (application/vnd.amazon.eventstream), read strictly and as they arrive.

Source: AWS SDKs' "Amazon Event Stream" specification (Smithy): a message is a prelude of its whole length, its headers'
length and their CRC, then headers, payload, and the CRC of all before. Checked against botocore's decoder in the tests.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from sallyport.errors import UpstreamInterruptedError, UpstreamInvalidResponseError

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_HEADERS_BYTES = 128 * 1024

_PRELUDE_BYTES = 12
_CRC_BYTES = 4
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type: true, false, byte, short, integer, long, timestamp, UUID."""
_BYTE_ARRAY, _STRING = 6, 7


class Message(NamedTuple):
    """One message. `headers` are those whose value is a string: no other kind says what a message is."""

    headers: dict[str, str]
    payload: bytes


def read_messages(chunks: Iterable[bytes]) -> Iterator[Message]:
    """Give each message as soon as it is whole, however the bytes are cut.

    Raises `UpstreamInvalidResponseError` for what isn't such a stream, a wrong checksum or a message over the limits,
    and `UpstreamInterruptedError` if the bytes end within a message.
    """
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while (size := _whole_size(held)) and len(held) >= size:
            yield _read(bytes(held[:size]))
            del held[:size]
    if held:
        raise UpstreamInterruptedError("The upstream's answer broke off.")


def _whole_size(held: bytearray) -> int:
    """Give how long the message is that begins here, 0 as long as its prelude hasn't come."""
    if len(held) < _PRELUDE_BYTES:
        return 0
    size, headers_size = _number(held[:4]), _number(held[4:8])
    if crc32(held[:8]) != _number(held[8:_PRELUDE_BYTES]):
        raise _invalid()
    if headers_size > MAX_HEADERS_BYTES or not _PRELUDE_BYTES + headers_size + _CRC_BYTES <= size <= MAX_MESSAGE_BYTES:
        raise _invalid()
    return size


def _read(message: bytes) -> Message:
    if crc32(message[:-_CRC_BYTES]) != _number(message[-_CRC_BYTES:]):
        raise _invalid()
    headers_end = _PRELUDE_BYTES + _number(message[4:8])
    return Message(_read_headers(message[_PRELUDE_BYTES:headers_end]), message[headers_end:-_CRC_BYTES])


def _read_headers(data: bytes) -> dict[str, str]:
    """Each is a name (its length in one byte), a type and a value. A name that comes twice can be read in two ways."""
    strings: dict[str, str] = {}
    names = set()
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        kind, value, at_next = _read_value(data, name_end)
        name = _text(data[at + 1 : name_end])
        if name in names:
            raise _invalid()
        names.add(name)
        if kind == _STRING:
            strings[name] = _text(value)
        at = at_next
    return strings


def _read_value(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Give a header's type, its value's bytes, and where the next header begins."""
    if at >= len(data):
        raise _invalid()
    kind, begin = data[at], at + 1
    if kind in {_BYTE_ARRAY, _STRING}:
        begin += 2
        end = begin + _number(data[begin - 2 : begin])
    elif kind in _FIXED_SIZES:
        end = begin + _FIXED_SIZES[kind]
    else:
        raise _invalid()
    if max(begin, end) > len(data):
        raise _invalid()
    return kind, data[begin:end], end


def _number(data: bytes | bytearray) -> int:
    return int.from_bytes(data, "big")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _invalid() from None


def _invalid() -> UpstreamInvalidResponseError:
    return UpstreamInvalidResponseError("The upstream's answer isn't an event stream that can be read.")
