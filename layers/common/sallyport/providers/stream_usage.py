"""Asking the upstream for a stream's usage on behalf of a client that didn't, and taking it out again on the way back.

This is the one transformation that is on by default (parameter `StreamUsage`): without it nobody knows what a stream
used. What it doesn't have to change keeps its bytes.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_NULL_USAGE = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,?')
_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r|\n\r\n|\Z)", re.DOTALL)


def asks_for_usage(body: Mapping[str, Any]) -> bool:
    """Say whether a chat request's client wants its stream's usage."""
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def with_usage(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give a chat request that asks for its stream's usage, whatever it said of it before."""
    return {**body, "stream_options": {**(body.get("stream_options") or {}), "include_usage": True}}


def without_usage(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Give the stream as it would have come without `include_usage`. `blocks` are one or more whole events each.

    The event that has usage and no choices is left out, and so is `"usage": null` in the others. An event whose data
    isn't JSON in one line is passed on as it is.
    """
    for block in blocks:
        if b'"usage"' not in block:
            yield block
        elif kept := b"".join(map(_cleaned, _EVENT.findall(block))):
            yield kept


def _cleaned(event: bytes) -> bytes:
    if b'"usage"' not in event:
        return event
    chunk = _data(event)
    if chunk is None or "usage" not in chunk:
        return event
    if chunk["usage"] is None:
        return _NULL_USAGE.sub(b"", event) if len(_NULL_USAGE.findall(event)) == 1 else event
    return b"" if chunk.get("choices") == [] else event


def _data(event: bytes) -> dict[str, Any] | None:
    lines = [line for line in event.splitlines() if line.startswith(b"data:")]
    if len(lines) != 1:
        return None
    try:
        data = json.loads(lines[0].removeprefix(b"data:"))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
