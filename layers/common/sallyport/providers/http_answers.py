"""What the answers of all JSON APIs have in common: status, content type, first bytes, headers for the client.

And the client's headers that go upstream, for the same bounds hold there.
"""

from collections.abc import Iterable, Mapping

from sallyport.errors import (
    RequestError,
    UpstreamCredentialsError,
    UpstreamError,
    UpstreamInvalidResponseError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from sallyport.providers.transport import UpstreamResponse

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
MAX_RETURNED_HEADER_LENGTH = 1024

_EVENT_STREAM_FIELDS = (b"data", b"event", b"id", b"retry")
_OVERLOADED = frozenset({503, 529})


def forwarded(client_headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Give those of a client's headers that go upstream. Raises `RequestError` for one that can't be forwarded."""
    return {name: _forwardable(name, client_headers[name]) for name in names if name in client_headers}


def check_answer(response: UpstreamResponse, media_type: str) -> None:
    """Raise an `UpstreamError` unless the answer is a success of `media_type`, or a 4xx in JSON that may be shown."""
    status, headers = response.status, response.headers
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    if status in {401, 407}:
        raise UpstreamCredentialsError("The upstream refused the gateway's credential.")
    if 400 <= status < 500:  # noqa: PLR2004 - HTTP
        if given != JSON or _is_encoded(headers):
            raise refused(response)
        return
    if status >= 500:  # noqa: PLR2004 - HTTP
        raise _failure(status, headers)
    if not 200 <= status < 300 or given != media_type or _is_encoded(headers):  # noqa: PLR2004 - HTTP
        raise invalid_answer()


def check_first_bytes(start: bytes, response: UpstreamResponse, media_type: str) -> None:
    """Raise an `UpstreamError` if the first bytes of a body that `check_answer` let pass aren't of its content type."""
    if response.status >= 400:  # noqa: PLR2004 - HTTP
        if not start.startswith(b"{"):
            raise refused(response)
    elif not (_begins_event_stream(start) if media_type == EVENT_STREAM else start.startswith(b"{")):
        raise invalid_answer()


def refused(response: UpstreamResponse) -> UpstreamRefusedError:
    """Give the error for a 4xx whose body isn't shown."""
    retry = retry_headers(response.headers)
    return UpstreamRefusedError("The upstream refused the request.", response.status, headers=retry)


def invalid_answer() -> UpstreamInvalidResponseError:
    """Give the error for an answer that can't be the API's."""
    return UpstreamInvalidResponseError("The upstream's answer isn't one of this API.")


def retry_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give what an answer says of when to come back."""
    return returned(headers, ("retry-after", "retry-after-ms"))


def returned(headers: Mapping[str, str], names: Iterable[str], request_id: str = "") -> dict[str, str]:
    """Give those of an answer's headers that the client may see; that called `request_id` as `x-upstream-request-id`.

    Lambda takes 16 KB of headers in all, and API Gateway no control characters.
    """
    named = {name: name for name in names} | ({request_id: "x-upstream-request-id"} if request_id else {})
    return {named[name]: value for name, value in headers.items() if name in named and value and _is_returnable(value)}


def _forwardable(name: str, value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise RequestError(f"The header {name} has a character that can't be forwarded.", param=name)
    return value


def _failure(status: int, headers: Mapping[str, str]) -> UpstreamError:
    retry = retry_headers(headers)
    if status in _OVERLOADED:
        return UpstreamUnavailableError("The upstream is overloaded or down.", headers=retry)
    return UpstreamError("The upstream failed.", headers=retry)


def _is_returnable(value: str) -> bool:
    return len(value) <= MAX_RETURNED_HEADER_LENGTH and value.isascii() and value.isprintable()


def _begins_event_stream(start: bytes) -> bool:
    """WHATWG HTML, section 9.2.5: a field's name, or a colon; a first chunk may end within the name."""
    lines = start.removeprefix(b"\xef\xbb\xbf").splitlines()
    name = lines[0].partition(b":")[0] if lines else b""
    return bool(start) and any(field.startswith(name) for field in _EVENT_STREAM_FIELDS)


def _is_encoded(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}
