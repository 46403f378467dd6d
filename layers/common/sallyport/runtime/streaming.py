"""A handler's streamed answer, and the form in which Lambda wants it.

Source: AWS's "Response streaming for Lambda functions" and API Gateway's "Stream the response for Lambda proxy
integrations": a JSON prelude, eight NUL bytes, then the payload as it comes.
"""

import json

from sallyport.runtime.errors import DeadlineExceeded, Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"
DELIMITER = bytes(8)
MAX_PRELUDE_BYTES = 16_384
"""The delimiter must end within the first 16 KB."""


class StreamedResponse:
    """An answer whose body is sent chunk by chunk.

    `body` is iterated once, each chunk flushed to the wire as it comes, and its `close` is called if it has one,
    whatever happens. `error_event` makes the in-band bytes that tell a client of a stream cut by that exception.
    Immutable, and written by hand: importing dataclasses costs a cold start more than the whole runtime.
    """

    __slots__ = ("body", "cookies", "error_event", "headers", "multi_value_headers", "status")

    status: int
    headers: "Mapping[str, str]"
    body: "Iterable[bytes]"
    multi_value_headers: "Mapping[str, Sequence[str]]"
    cookies: "Sequence[str]"
    error_event: "Callable[[BaseException], bytes] | None"

    def __init__(
        self,
        status: int,
        headers: "Mapping[str, str]",
        body: "Iterable[bytes]",
        multi_value_headers: "Mapping[str, Sequence[str]] | None" = None,
        cookies: "Sequence[str]" = (),
        error_event: "Callable[[BaseException], bytes] | None" = None,
    ) -> None:
        fields = (body, cookies, error_event, headers, multi_value_headers or {}, status)
        for name, value in zip(self.__slots__, fields, strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to {name!r}: a streamed response is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name!r}: a streamed response is immutable")


def prelude(response: StreamedResponse) -> bytes:
    """Give status and headers as JSON, and the delimiter. Raises `Fault` if Lambda couldn't read them."""
    metadata: dict[str, Any] = {"statusCode": response.status, "headers": dict(response.headers)}
    if response.multi_value_headers:
        metadata["multiValueHeaders"] = {name: list(values) for name, values in response.multi_value_headers.items()}
    if response.cookies:
        metadata["cookies"] = list(response.cookies)
    encoded = to_json(metadata) + DELIMITER
    if len(encoded) > MAX_PRELUDE_BYTES:
        raise Fault("Runtime.MarshalError", f"Status and headers take {len(encoded)} of {MAX_PRELUDE_BYTES} bytes")
    return encoded


def to_json(value: object) -> bytes:
    """Encode a handler's result. Raises `Fault` naming the type that JSON doesn't know, never the value."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {type(error).__name__}") from error


def chunks_until(deadline_s: float, body: "Iterable[bytes]", now: "Callable[[], float]") -> "Iterator[bytes]":
    """Give the body's chunks, empty ones left out. Raises `DeadlineExceeded` instead of a chunk that comes too late."""
    for chunk in body:
        if now() >= deadline_s:
            raise DeadlineExceeded
        if chunk:
            yield chunk


def close_body(body: object) -> None:
    """Call the body's `close`, if it has one."""
    close = getattr(body, "close", None)
    if close is not None:
        close()
