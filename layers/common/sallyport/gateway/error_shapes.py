"""One tree of errors, and the shape that each route's SDK reads: the only place where an error becomes a body."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sallyport.errors import DeadlineExceededError, InternalError, SallyportError
from sallyport.runtime.errors import DeadlineExceeded

type Shape = Callable[[SallyportError], dict[str, Any]]


def openai_shape(error: SallyportError) -> dict[str, Any]:
    """OpenAI's: the SDK reads message, type, param and code of `error`."""
    return {"error": {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}}


def anthropic_shape(error: SallyportError) -> dict[str, Any]:
    """Anthropic's, for /v1/messages; type is of its own vocabulary, code is ours besides."""
    kind = _ANTHROPIC_KINDS.get(error.status, error.kind)
    return {"type": "error", "error": {"type": kind, "message": error.message, "code": error.code}}


def problem_shape(error: SallyportError) -> dict[str, Any]:
    """RFC 9457, for /apps: `type` is about:blank, so `title` is the status's own phrase; `code` is ours."""
    return {
        "type": "about:blank",
        "title": _PHRASES.get(error.status, "Error"),
        "status": error.status,
        "detail": error.message,
        "code": error.code,
    }


_ANTHROPIC_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
_PHRASES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    421: "Misdirected Request",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def shape_for_path(path: str) -> Shape:
    """Give the shape that a path's clients read."""
    if path == "/apps" or path.startswith("/apps/"):
        return problem_shape
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return anthropic_shape
    return openai_shape


def error_body(error: SallyportError, shape: Shape) -> bytes:
    """Give an error's body."""
    return json.dumps(shape(error)).encode()


def error_event(error: BaseException) -> bytes:
    """Give an error in mid-stream as an SSE event, as OpenAI's SDK reads it."""
    return b"data: " + error_body(_known(error), openai_shape) + b"\n\n"


def anthropic_error_event(error: BaseException) -> bytes:
    """Give an error in mid-stream as an event of Anthropic's streams."""
    return b"event: error\ndata: " + error_body(_known(error), anthropic_shape) + b"\n\n"


def responses_error_event(error: BaseException) -> bytes:
    """Give an error in mid-stream as an event of OpenAI's responses."""
    known = _known(error)
    event = {"type": "error", "code": known.code, "message": known.message, "param": known.param}
    return b"event: error\ndata: " + json.dumps(event).encode() + b"\n\n"


def problem_event(error: BaseException) -> bytes:
    """Give an error in mid-stream as an event with a problem (RFC 9457)."""
    return b"event: error\ndata: " + error_body(_known(error), problem_shape) + b"\n\n"


def _known(error: BaseException) -> SallyportError:
    if isinstance(error, SallyportError):
        return error
    if isinstance(error, DeadlineExceeded):
        return DeadlineExceededError("The gateway's time for this request is used up.")
    return InternalError("The stream broke off.")


def content_type(shape: Shape) -> Mapping[str, str]:
    """Give the content type of a shape's body."""
    return {"content-type": "application/problem+json" if shape is problem_shape else "application/json"}
