"""What Bedrock's event streams tell beside an answer: failures, each told as early as it can still be acted on."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sallyport.errors import (
    UpstreamError,
    UpstreamInterruptedError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from sallyport.providers.aws_event_stream import Message
from sallyport.providers.http_answers import invalid_answer


def event_payload(message: Message) -> tuple[str, Mapping[str, Any]]:
    """Give an event's type and its JSON object.

    Raises the `UpstreamError` that an exception in the stream stands for, `UpstreamInvalidResponseError` for what is
    neither.
    """
    headers = message.headers
    kind = headers.get(":message-type")
    if kind in {"exception", "error"}:
        raise told_failure(headers.get(":exception-type") or headers.get(":error-code") or "")
    if kind != "event":
        raise invalid_answer()
    try:
        payload = json.loads(message.payload)
    except (ValueError, RecursionError):
        raise invalid_answer() from None
    if not isinstance(payload, dict):
        raise invalid_answer()
    return headers.get(":event-type", ""), payload


def told_failure(name: str) -> UpstreamError:
    """Give the error that an exception of Bedrock's stands for, by its name in the stream."""
    name = name.lower().removesuffix("exception")
    if name in {"throttling", "serviceunavailable", "modelnotready", "servicequotaexceeded"}:
        return UpstreamUnavailableError("The upstream is overloaded or down.")
    if name == "modeltimeout":
        return UpstreamTimeoutError("The upstream's model took too long.")
    if name == "validation":
        return UpstreamRefusedError("The upstream refused the request.", 400)
    return UpstreamError("The upstream failed.")


def told_early(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Give an answer's pieces, the first together with the second: it says no more than that an answer begins.

    So a failure that is told next is raised before any of it, and can still become another status. One that is told
    later, or can't be read, is an interruption.
    """
    first = next(pieces, b"")
    begun = False
    try:
        for piece in pieces:
            whole = piece if begun else first + piece
            begun = True
            yield whole
    except (UpstreamInterruptedError, UpstreamTimeoutError):
        raise
    except UpstreamError:
        if not begun:
            raise
        raise UpstreamInterruptedError("The upstream failed in mid-answer.") from None
    if not begun and first:
        yield first


def an_object(value: Any) -> Mapping[str, Any]:
    """Give a JSON object, an empty one for what isn't."""
    return value if isinstance(value, dict) else {}
