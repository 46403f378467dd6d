"""What API Gateway makes of a function's answer: a Lambda proxy integration's response, whole or streamed.

Sources: "Output format of a Lambda function for proxy integration", "Lambda proxy integration with payload response
streaming" and "Amazon API Gateway important notes" in the API Gateway developer guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sallyport_cli.local.invocation import BodyPipe, StreamedAnswer

STREAM_CONTENT_TYPE: Final = "application/vnd.awslambda.http-integration-response"
DELIMITER: Final = b"\0" * 8
MAX_METADATA_BYTES: Final = 16 * 1024
MAX_HEADER_BYTES: Final = 10_240
# API Gateway sends these itself and hands the function's own on under another name.
_REMAPPED: Final = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "content-md5",
        "date",
        "host",
        "max-forwards",
        "proxy-authenticate",
        "server",
        "user-agent",
        "www-authenticate",
    }
)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DROPPED: Final = frozenset({"expect", "te", "trailer", "transfer-encoding", "upgrade"})


class MalformedResponseError(Exception):
    """The function's answer isn't a proxy response: "Internal server error", 502."""


@dataclass(frozen=True)
class ResponseHead:
    """Status and headers of an integration's response."""

    status: int
    headers: Sequence[tuple[str, str]]


def read_buffered(payload: bytes) -> tuple[ResponseHead, bytes]:
    """Head and body of a buffered answer. Without binary media types a base64 body stays base64."""
    answer = _read_object(payload)
    body = answer.get("body")
    if body is not None and not isinstance(body, str):
        raise MalformedResponseError("body isn't a string")
    return _read_head(answer), (body or "").encode()


async def read_streamed(answer: StreamedAnswer) -> tuple[ResponseHead, AsyncIterator[bytes]]:
    """Head of a streamed answer as soon as its metadata is complete, and the payload as it comes."""
    if answer.content_type != STREAM_CONTENT_TYPE:
        raise MalformedResponseError(f"Content-Type is {answer.content_type!r}, not {STREAM_CONTENT_TYPE}")
    chunks = aiter(answer.body)
    read = b""
    async for chunk in chunks:
        read += chunk
        metadata, delimiter, payload = read.partition(DELIMITER)
        if delimiter and len(metadata) <= MAX_METADATA_BYTES:
            return _read_head(_read_object(metadata)), _payload(payload, chunks, answer.body)
        if len(read) > MAX_METADATA_BYTES + len(DELIMITER):
            break
    raise MalformedResponseError("no metadata and delimiter within the first 16 KB")


async def collect(body: BodyPipe) -> bytes:
    """A streamed answer whole, as Lambda's Invoke gives it where nothing streams."""
    return b"".join([chunk async for chunk in body])


async def _payload(first: bytes, rest: AsyncIterator[bytes], body: BodyPipe) -> AsyncIterator[bytes]:
    try:
        if first:
            yield first
        async for chunk in rest:
            yield chunk
    finally:
        body.abandon()  # whoever stops reading early doesn't stop the function


def _read_object(payload: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(payload)
    except ValueError:
        raise MalformedResponseError("the answer isn't JSON") from None
    if not isinstance(answer, dict):
        raise MalformedResponseError("the answer isn't an object")
    return answer


def _read_head(answer: Mapping[str, Any]) -> ResponseHead:
    headers = _merge_headers(answer)
    cookies = answer.get("cookies") or []
    if not isinstance(cookies, list):
        raise MalformedResponseError("cookies isn't a list")
    headers += [("Set-Cookie", str(cookie)) for cookie in cookies]
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise MalformedResponseError(f"the headers have more than {MAX_HEADER_BYTES} bytes")
    return ResponseHead(_read_status(answer.get("statusCode")), headers)


def _read_status(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdecimal():
        raise MalformedResponseError("statusCode isn't a number")
    status = int(value)
    if not 200 <= status <= 599:  # noqa: PLR2004 - what HTTP knows as a final status
        raise MalformedResponseError(f"statusCode {status} isn't a final HTTP status")
    return status


def _merge_headers(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Both maps merged; the same name and value in both comes out once."""
    single, multiple = _object(answer, "headers"), _object(answer, "multiValueHeaders")
    if not all(isinstance(values, list) for values in multiple.values()):
        raise MalformedResponseError("a multi-value header isn't a list")
    merged = [(name, _text(value)) for name, values in multiple.items() for value in values]
    merged += [(name, _text(value)) for name, value in single.items() if (name, _text(value)) not in merged]
    return [_rename(name, value) for name, value in merged if name.lower() not in _DROPPED]


def _object(answer: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = answer.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedResponseError(f"{name} isn't an object")
    return value


def _rename(name: str, value: str) -> tuple[str, str]:
    if not _HEADER_NAME.fullmatch(name):
        raise MalformedResponseError("a header's name isn't a token")
    return (f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name), value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if not isinstance(value, str | int | float) or "\r" in text or "\n" in text:
        raise MalformedResponseError("a header's value isn't a single line")
    return text
