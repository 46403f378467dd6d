"""Reading Anthropic's event stream: bytes, chopped anywhere, into the JSON of its events."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sallyport.providers.http_answers import invalid_answer

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""A longer event is no event of a chat."""


def read_events(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Give each event's data, as soon as it is whole; what is left at the end was none (WHATWG HTML, section 9.2.6).

    Raises `UpstreamInvalidResponseError` for data that isn't a JSON object, or is too long.
    """
    data: list[bytes] = []
    size = 0
    for line in _lines(chunks):
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
                size += len(value)
            if size > MAX_EVENT_BYTES:
                raise invalid_answer()
        elif data:
            yield _parsed(b"\n".join(data))
            data, size = [], 0


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give whole lines without their ends, LF or CR LF."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        held.append(first)
        size += len(first)
        if size > MAX_EVENT_BYTES:
            raise invalid_answer()
        if others:
            *whole, rest = others
            yield b"".join(held).removesuffix(b"\r")
            yield from (line.removesuffix(b"\r") for line in whole)
            held, size = [rest], len(rest)


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        raise invalid_answer() from None
    if not isinstance(event, dict):
        raise invalid_answer()
    return event
