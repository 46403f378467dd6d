"""Sends requests to an upstream and gives its answer chunk by chunk, as each arrives."""

from collections.abc import Callable, Iterator

from sallyport.adapters.connection import KeptConnection, NotConnectedError
from sallyport.errors import (
    DeadlineExceededError,
    UpstreamInterruptedError,
    UpstreamInvalidResponseError,
    UpstreamNotConnectedError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from sallyport.http1 import NoResponseError, Response, ResponseError
from sallyport.policy.urls import parse_url
from sallyport.providers.transport import UpstreamRequest, UpstreamResponse

CHUNK_BYTES = 65_536
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""RFC 9110, section 9.2.2."""


class HttpTransport:
    """A `Transport` over one kept-alive connection."""

    def __init__(self, base_url: str, connect_timeout_s: float, idle_timeout_s: float, *, resend: bool = True) -> None:
        """A kept connection that breaks without an answer is made anew; without `resend` for safe methods alone."""
        self._resend = resend
        self._connection = KeptConnection(parse_url(base_url), connect_timeout_s)
        self._idle_timeout_s = idle_timeout_s

    def send(self, request: UpstreamRequest, remaining_s: Callable[[], float]) -> UpstreamResponse:
        """Send, and give the answer once its header has come. Raises `UpstreamError`s and `DeadlineExceededError`."""
        patience = _Patience(self._idle_timeout_s, remaining_s)
        method, target, headers, body = request
        try:
            resend = self._resend or method in _IDEMPOTENT
            response = self._connection.request(method, target, headers, body, patience.next_wait_s, resend=resend)
        except NotConnectedError as error:
            raise UpstreamNotConnectedError("The upstream can't be reached.") from error
        except TimeoutError as error:
            raise patience.timeout_error() from error
        except (NoResponseError, OSError) as error:
            raise UpstreamUnreachableError("The upstream closed the connection without an answer.") from error
        except ResponseError as error:
            raise UpstreamInvalidResponseError("The upstream's answer isn't HTTP.") from error
        return _HttpResponse(self._connection, response, patience)


class _Patience:
    """How long to wait for the next bytes: the idle timeout, or what is left of the deadline."""

    def __init__(self, idle_timeout_s: float, remaining_s: Callable[[], float]) -> None:
        self._idle_timeout_s = idle_timeout_s
        self._remaining_s = remaining_s

    def next_wait_s(self) -> float:
        remaining_s = self._remaining_s()
        if remaining_s <= 0:
            raise DeadlineExceededError("The gateway's time for this request is used up.")
        return min(self._idle_timeout_s, remaining_s)

    def timeout_error(self) -> UpstreamTimeoutError | DeadlineExceededError:
        if self._remaining_s() <= 0:
            return DeadlineExceededError("The gateway's time for this request is used up.")
        return UpstreamTimeoutError("The upstream stayed silent for too long.")


class _HttpResponse:
    """An `UpstreamResponse`; closing it before its end costs the connection."""

    def __init__(self, connection: KeptConnection, response: Response, patience: _Patience) -> None:
        self.status = response.status
        self.headers = response.headers
        self._connection = connection
        self._response = response
        self._patience = patience

    def chunks(self) -> Iterator[bytes]:
        """Give the body as it arrives."""
        try:
            while chunk := self._response.read_some(CHUNK_BYTES):
                yield chunk
        except TimeoutError as error:
            raise self._patience.timeout_error() from error
        except (OSError, ResponseError) as error:
            raise UpstreamInterruptedError("The upstream's answer broke off.") from error

    def close(self) -> None:
        """Keep the connection if the body was read to its end, drop it otherwise."""
        self._connection.release(self._response)
