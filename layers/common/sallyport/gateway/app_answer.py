"""An app's answer on its way to the client: status, allowed headers, and the bytes as they are.

Where the app has an OpenAPI document, its `AnswerJudge` has seen the answer before it goes on, or in passing.
"""

from collections.abc import Iterable, Iterator

from sallyport.errors import SallyportError, UpstreamInvalidResponseError
from sallyport.gateway.app_documents import AnswerJudge
from sallyport.gateway.app_headers import returned_headers
from sallyport.gateway.event_stream import whole_events
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
    """The body, byte for byte. Of an answer without one (to HEAD) nothing is read: what its length says never comes.

    `judge` is shown the body in passing, unless it has held it already.
    """

    def __init__(
        self, response: UpstreamResponse, record: RequestRecord, *, has_body: bool, judge: AnswerJudge | None = None
    ) -> None:
        self._response = response
        self._record = record
        self._has_body = has_body
        self._judge = judge

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._chunks():
                self._record.note_first_byte()
                self._record.bytes_out += len(chunk)
                if self._judge is not None:
                    self._judge.see(chunk)
                yield chunk
            self._record.note(complete=True)
            if self._judge is not None:
                self._judge.end()
        except SallyportError as error:
            self._record.note(code=error.code)
            raise

    def close(self) -> None:
        """Let go of the app's answer."""
        self._response.close()

    def _chunks(self) -> Iterator[bytes]:
        if not self._has_body:
            return iter(())
        if self._judge is not None and self._judge.held is not None:
            return iter(self._judge.held)
        chunks = self._response.chunks()
        return whole_events(chunks) if is_event_stream(self._response) else chunks
