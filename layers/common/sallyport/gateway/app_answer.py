"""An app's answer on its way to the client: status, allowed headers, and the bytes that may go on."""

from collections.abc import Iterable, Iterator

from sallyport.errors import SallyportError, UpstreamInvalidResponseError
from sallyport.gateway.app_guard import AppAnswerGuard
from sallyport.gateway.app_headers import returned_headers
from sallyport.gateway.record import RequestRecord
from sallyport.providers.transport import UpstreamResponse

MAX_STATUS = 599
"""RFC 9110, section 15: API Gateway takes no other."""

_WITHOUT_BODY = frozenset({204, 304})
_UNKNOWN_TYPE = {"content-type": "application/octet-stream"}
"""RFC 9110, section 8.3; API Gateway would call it JSON."""


def check_answer(response: UpstreamResponse) -> None:
    """Raise `UpstreamInvalidResponseError` for an answer that can't be passed on; any status of HTTP can.

    A compressed one can't: none was asked for, so a client mightn't know what to do with it.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if response.status > MAX_STATUS or encoding not in {"", "identity"}:
        raise UpstreamInvalidResponseError("The app's answer can't be passed on.")


def is_event_stream(response: UpstreamResponse) -> bool:
    """Say whether the answer is a stream of events, of which only whole ones are passed on."""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "text/event-stream"


def answer_headers(response: UpstreamResponse, more: Iterable[str]) -> dict[str, str]:
    """Give the answer's headers that clients see; the app may have named `more` than the usual ones."""
    default = {} if response.status in _WITHOUT_BODY else _UNKNOWN_TYPE
    return {**default, **returned_headers(response.headers, more)}


class AppAnswer:
    """The body as its guard lets it pass. Of an answer without one (to HEAD) nothing is read."""

    def __init__(self, response: UpstreamResponse, record: RequestRecord, guard: AppAnswerGuard) -> None:
        self._response = response
        self._record = record
        self._guard = guard

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._guard.chunks():
                self._record.note_first_byte()
                self._record.bytes_out += len(chunk)
                yield chunk
            self._record.note(complete=True)
        except SallyportError as error:
            self._record.note(code=error.code)
            raise

    def close(self) -> None:
        """Let go of the app's answer."""
        self._response.close()
