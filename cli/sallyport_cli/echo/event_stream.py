"""Writing AWS's binary event streams, as Bedrock does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from zlib import crc32

_STRING = 7


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message, with headers that are all strings."""
    written = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = (16 + len(written) + len(payload)).to_bytes(4) + len(written).to_bytes(4)
    whole = prelude + crc32(prelude).to_bytes(4) + written + payload
    return whole + crc32(whole).to_bytes(4)


def event(kind: str, payload: Mapping[str, Any]) -> bytes:
    """An event of a type, its payload JSON."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, json.dumps(payload, separators=(",", ":")).encode())


def exception(kind: str, text: str) -> bytes:
    """A failure that is told in the stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, json.dumps({"message": text}).encode())


def _header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([_STRING]) + len(value).to_bytes(2) + value
