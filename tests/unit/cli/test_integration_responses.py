"""Proxy responses, whole and streamed."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from sallyport_cli.local.integration_responses import (
    STREAM_CONTENT_TYPE,
    MalformedResponseError,
    ResponseHead,
    read_buffered,
    read_streamed,
)
from sallyport_cli.local.invocation import BodyPipe, StreamCutError, StreamedAnswer


def buffered(**answer: Any) -> tuple[ResponseHead, bytes]:
    return read_buffered(json.dumps(answer).encode())


def test_a_buffered_answer_becomes_a_response() -> None:
    head, body = buffered(statusCode=201, headers={"a": "1", "n": 2}, multiValueHeaders={"b": ["x", "y"]}, body="é")
    assert head.status == 201
    assert sorted(head.headers) == [("a", "1"), ("b", "x"), ("b", "y"), ("n", "2")]
    assert body == "é".encode()


def test_base64_stays_base64_without_binary_media_types() -> None:
    assert buffered(statusCode=200, body="aGk=", isBase64Encoded=True)[1] == b"aGk="


def test_headers_that_api_gateway_keeps_for_itself_are_renamed_or_dropped() -> None:
    head, _ = buffered(statusCode=200, headers={"Date": "x", "WWW-Authenticate": "y", "Transfer-Encoding": "chunked"})
    assert sorted(head.headers) == [("x-amzn-Remapped-Date", "x"), ("x-amzn-Remapped-WWW-Authenticate", "y")]


@pytest.mark.parametrize(
    "payload",
    [
        b"oops",
        b"null",
        b'"text"',
        b"{}",
        b'{"statusCode": "OK"}',
        b'{"statusCode": 101}',
        b'{"statusCode": 200, "body": {}}',
        b'{"statusCode": 200, "headers": []}',
        b'{"statusCode": 200, "headers": {"a": "x\\r\\ny"}}',
        b'{"statusCode": 200, "headers": {"a b": "x"}}',
        json.dumps({"statusCode": 200, "headers": {"a": "x" * 10_300}}).encode(),
    ],
)
def test_anything_else_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        read_buffered(payload)


def stream(chunks: Iterable[bytes], content_type: str = STREAM_CONTENT_TYPE, cut: str | None = None) -> Any:
    async def run() -> tuple[ResponseHead, list[bytes]]:
        pipe = BodyPipe()
        for chunk in chunks:
            await pipe.put(chunk)
        pipe.finish(cut)
        head, payload = await read_streamed(StreamedAnswer(content_type, pipe))
        return head, [chunk async for chunk in payload]

    return asyncio.run(run())


METADATA = b'{"statusCode":200,"headers":{"content-type":"text/event-stream"},"cookies":["a=b"]}'


@pytest.mark.parametrize(
    "chunks",
    [
        [METADATA + b"\0" * 8 + b"one", b"two"],
        [METADATA[:9], METADATA[9:] + b"\0" * 3, b"\0" * 5, b"one", b"two"],
    ],
)
def test_metadata_is_found_however_it_is_split(chunks: list[bytes]) -> None:
    head, payload = stream(chunks)
    assert head == ResponseHead(200, [("content-type", "text/event-stream"), ("Set-Cookie", "a=b")])
    assert payload == [b"one", b"two"]


@pytest.mark.parametrize("chunks", [[METADATA], [b"x" * 20_000 + b"\0" * 8], [b"oops" + b"\0" * 8], []])
def test_a_stream_without_metadata_is_malformed(chunks: list[bytes]) -> None:
    with pytest.raises(MalformedResponseError):
        stream(chunks)


def test_a_stream_of_another_content_type_is_malformed() -> None:
    with pytest.raises(MalformedResponseError):
        stream([METADATA + b"\0" * 8], content_type="application/octet-stream")


def test_a_cut_stream_is_not_mistaken_for_a_whole_one() -> None:
    with pytest.raises(StreamCutError):
        stream([METADATA + b"\0" * 8 + b"one"], cut="Runtime.ExitError")
