"""OpenAI's API, spoken by OpenAI itself and by every compatible server."""

from collections.abc import Mapping

from sallyport.errors import (
    RequestError,
    UpstreamCredentialsError,
    UpstreamError,
    UpstreamInvalidResponseError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from sallyport.policy.urls import parse_url
from sallyport.providers.transport import UpstreamRequest, UpstreamResponse

FORWARDED_HEADERS = ("idempotency-key", "openai-beta", "x-client-request-id")
"""What of a client's headers goes upstream, beside what the provider sets itself."""

RETURNED_HEADERS = (
    "content-type",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
)
"""What of the upstream's headers is returned as it is; its request id is returned as `x-upstream-request-id`."""

MAX_RETURNED_HEADER_LENGTH = 1024

_EVENT_STREAM = "text/event-stream"
_JSON = "application/json"
_EVENT_STREAM_FIELDS = (b"data", b"event", b"id", b"retry")
_OVERLOADED = frozenset({503, 529})


class OpenAiProvider:
    """Makes requests to one OpenAI-compatible base URL, and judges the answers by status and content type."""

    def __init__(self, base_url: str) -> None:
        url = parse_url(base_url)
        self._host = url.authority
        self._base_path = url.path.rstrip("/")

    def request(
        self, path: str, client_headers: Mapping[str, str], body: bytes, secret: str, *, stream: bool
    ) -> UpstreamRequest:
        """Give the request for an operation, such as `/chat/completions`. `secret` empty: the upstream needs none.

        Raises `RequestError` for a header that can't be forwarded.
        """
        headers = {
            name: _forwardable(name, client_headers[name]) for name in FORWARDED_HEADERS if name in client_headers
        }
        headers |= {
            "host": self._host,
            "user-agent": "sallyport",
            "content-type": _JSON,
            "accept": _EVENT_STREAM if stream else _JSON,
            "accept-encoding": "identity",
        }
        if secret:
            headers["authorization"] = f"Bearer {secret}"
        return UpstreamRequest("POST", self._base_path + path, headers, body)

    def check(self, response: UpstreamResponse, *, stream: bool) -> None:
        """Raise an `UpstreamError` unless the answer may be passed on as it came: a success, or a 4xx in JSON."""
        status, headers = response.status, response.headers
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if status in {401, 407}:
            raise UpstreamCredentialsError("The upstream refused the gateway's credential.")
        if 400 <= status < 500:  # noqa: PLR2004 - HTTP
            if media_type != _JSON or _is_encoded(headers):
                raise UpstreamRefusedError("The upstream refused the request.", status, headers=_retry_headers(headers))
            return
        if status >= 500:  # noqa: PLR2004 - HTTP
            raise _failure(status, headers)
        wanted = _EVENT_STREAM if stream else _JSON
        if not 200 <= status < 300 or media_type != wanted or _is_encoded(headers):  # noqa: PLR2004 - HTTP
            raise UpstreamInvalidResponseError("The upstream's answer isn't one of this API.")

    def check_start(self, start: bytes, response: UpstreamResponse, *, stream: bool) -> None:
        """Raise an `UpstreamError` if the first bytes of a body that `check` let pass aren't of its content type."""
        if response.status >= 400:  # noqa: PLR2004 - HTTP
            if not start.startswith(b"{"):
                retry = _retry_headers(response.headers)
                raise UpstreamRefusedError("The upstream refused the request.", response.status, headers=retry)
        elif not (_begins_event_stream(start) if stream else start.startswith(b"{")):
            raise UpstreamInvalidResponseError("The upstream's answer isn't one of this API.")

    def returned_headers(self, response: UpstreamResponse) -> dict[str, str]:
        """Give the headers of an answer that the client may see."""
        named = {name: name for name in RETURNED_HEADERS} | {"x-request-id": "x-upstream-request-id"}
        return {
            named[name]: value for name, value in response.headers.items() if name in named and _is_returnable(value)
        }


def _forwardable(name: str, value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise RequestError(f"The header {name} has a character that can't be forwarded.", param=name)
    return value


def _failure(status: int, headers: Mapping[str, str]) -> UpstreamError:
    retry = _retry_headers(headers)
    if status in _OVERLOADED:
        return UpstreamUnavailableError("The upstream is overloaded or down.", headers=retry)
    return UpstreamError("The upstream failed.", headers=retry)


def _retry_headers(headers: Mapping[str, str]) -> dict[str, str]:
    named = {name: headers.get(name, "") for name in ("retry-after", "retry-after-ms")}
    return {name: value for name, value in named.items() if value and _is_returnable(value)}


def _is_returnable(value: str) -> bool:
    """Lambda takes 16 KB of headers in all, and API Gateway no control characters."""
    return len(value) <= MAX_RETURNED_HEADER_LENGTH and value.isascii() and value.isprintable()


def _begins_event_stream(start: bytes) -> bool:
    """WHATWG HTML, section 9.2.5: a field's name, or a colon; a first chunk may end within the name."""
    lines = start.removeprefix(b"\xef\xbb\xbf").splitlines()
    name = lines[0].partition(b":")[0] if lines else b""
    return bool(start) and any(field.startswith(name) for field in _EVENT_STREAM_FIELDS)


def _is_encoded(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}
