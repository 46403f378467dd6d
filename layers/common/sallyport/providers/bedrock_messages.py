"""Anthropic's Messages API by way of Bedrock's InvokeModel, which takes and gives the same JSON in another wrapping.

Source: Amazon Bedrock User Guide, "Anthropic Claude Messages API"; API Reference, InvokeModelWithResponseStream.
"""

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sallyport.errors import (
    RequestError,
    UnsupportedFieldError,
    UpstreamInterruptedError,
)
from sallyport.providers.aws_event_stream import Message
from sallyport.providers.bedrock_events import an_object, event_payload, told_failure
from sallyport.providers.http_answers import invalid_answer

ANTHROPIC_VERSION = "bedrock-2023-05-31"
BETA_HEADER = "anthropic-beta"
MAX_BETAS = 32

_BETA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_EVENT_TYPE = re.compile(r"[a-z_]{1,64}")
_NOT_SENT = frozenset({"model", "stream"})
_ELSEWHERE = "inference_geo"
"""Anthropic's own word for where to process; here the upstream's region is the only one."""

_ERRORS = {"overloaded_error": "serviceUnavailable", "rate_limit_error": "throttling", "timeout_error": "modelTimeout"}


def invoke_body(body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Give the body of an InvokeModel request for one of `/v1/messages`.

    The path says which model and whether to stream. Betas move from the client's header into the body. Raises
    `UnsupportedFieldError`, and `RequestError` for a header that can't be forwarded.
    """
    if body.get(_ELSEWHERE) is not None:
        raise UnsupportedFieldError(f"{_ELSEWHERE} has no counterpart at this model's upstream.", param=_ELSEWHERE)
    sent = {name: value for name, value in body.items() if name not in _NOT_SENT}
    if betas := _betas(headers.get(BETA_HEADER, "")):
        sent["anthropic_beta"] = betas
    return {**sent, "anthropic_version": ANTHROPIC_VERSION}


def message_events(messages: Iterable[Message]) -> Iterator[bytes]:
    """Give the events of Anthropic's stream that came in Bedrock's, each whole, its JSON as it came.

    Raises `UpstreamError`s for what the stream tells of, and `UpstreamInterruptedError` if it ends before the message.
    """
    stopped = False
    for message in messages:
        kind, payload = event_payload(message)
        if kind != "chunk":
            continue
        name, event = _event(_decoded(payload.get("bytes")))
        stopped = stopped or name == "message_stop"
        yield event
    if not stopped:
        raise UpstreamInterruptedError("The upstream's answer broke off.")


def _event(raw: bytes) -> tuple[str, bytes]:
    """Give an event's type, and it as a server-sent one; JSON on several lines is written anew on one."""
    try:
        event = an_object(json.loads(raw))
    except (ValueError, RecursionError):
        raise invalid_answer() from None
    name = event.get("type")
    if not isinstance(name, str) or _EVENT_TYPE.fullmatch(name) is None:
        raise invalid_answer()
    if name == "error":
        kind = an_object(event.get("error")).get("type")
        raise told_failure(_ERRORS.get(kind, "") if isinstance(kind, str) else "")
    data = raw if b"\n" not in raw and b"\r" not in raw else json.dumps(event, separators=(",", ":")).encode()
    return name, b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _decoded(value: Any) -> bytes:
    try:
        return a2b_base64(value, strict_mode=True)
    except (Base64Error, TypeError, ValueError):
        raise invalid_answer() from None


def _betas(header: str) -> list[str]:
    betas = [beta.strip() for beta in header.split(",") if beta.strip()]
    if len(betas) > MAX_BETAS or not all(map(_BETA.fullmatch, betas)):
        raise RequestError(f"The header {BETA_HEADER} can't be forwarded.", param=BETA_HEADER)
    return betas
