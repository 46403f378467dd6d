"""An upstream's body on its way to the client: what happens to it is noted, its usage is read, its content guarded.

Usage is read first: what an upstream has made is charged for, whether or not it may go on.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import NamedTuple

from sallyport.errors import SallyportError
from sallyport.gateway.event_stream import whole_events
from sallyport.gateway.record import RequestRecord
from sallyport.providers.provider import UsageReader
from sallyport.providers.stream_usage import without_usage
from sallyport.providers.transport import UpstreamResponse

type Guard = Callable[[Iterable[bytes]], Generator[bytes]]
"""Passes a body on, or what may go on of it; raises a `SallyportError` for what may not."""

MAX_BLANK_CHUNKS = 16
"""A body that is blank for longer than this isn't waited for."""


class Form(NamedTuple):
    """How a body is passed on: in whole events, and without a usage that the client didn't ask for."""

    by_event: bool
    strip_usage: bool = False


class Passage:
    """The body, byte for byte but for what its form says.

    Of an event stream whole events are passed on, so that one which breaks off ends with an event that can be read.
    """

    def __init__(
        self,
        response: UpstreamResponse,
        chunks: Iterator[bytes],
        record: RequestRecord,
        usage: UsageReader,
        form: Form,
    ) -> None:
        """`chunks` are the response's, in the route's own API."""
        self._response = response
        self._chunks = chunks
        self._record = record
        self._usage = usage
        self._form = form
        self._begun: list[bytes] = []
        self._watcher: Callable[[bytes], bool] | None = None
        self._looked_at = self._look()
        self._guarded: Generator[bytes] | None = None
        self._going: Iterator[bytes] | None = None
        self._primed: list[bytes] = []

    def start(self) -> bytes:
        """Wait for the first bytes, and give them without the white space before them; they still go to the client."""
        for chunk in self._chunks:
            self._begun.append(chunk)
            if (visible := chunk.lstrip()) or len(self._begun) == MAX_BLANK_CHUNKS:
                return visible
        return b""

    def watch(self, look: Callable[[bytes], bool]) -> None:
        """Have each chunk, or each whole event, shown to `look` before it goes on, until that says that it's enough."""
        self._watcher = look

    def guard(self, guard: Guard, *, wait: bool) -> None:
        """Have the body pass a guard. `wait`: until its first bytes may go on, so that the status can still say no.

        Raises what the guard does.
        """
        self._guarded = guard(self._looked_at)
        if wait:
            self._going = self._outgoing()
            self._primed += islice(self._going, 1)

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in chain(self._primed, self._going or self._outgoing()):
                self._record.note_first_byte()
                self._record.bytes_out += len(chunk)
                yield chunk
            self._record.note(complete=True)
        except SallyportError as error:
            self._record.note(code=error.code)
            raise
        except Exception as error:
            self._record.note_failure(error)
            raise

    def close(self) -> None:
        """Let go of the upstream's answer.

        A JSON answer that the client didn't wait for is read to its end all the same: all of it was made and is
        charged for, and its usage comes last. A stream's upstream stops to write when nobody reads.
        """
        try:
            if self._guarded is not None:
                self._guarded.close()
            if not self._form.by_event:
                self._look_at_rest()
        finally:
            self._response.close()

    def _look_at_rest(self) -> None:
        with suppress(SallyportError):
            for _ in self._looked_at:
                pass

    def _outgoing(self) -> Iterator[bytes]:
        going = self._guarded or self._looked_at
        return without_usage(going) if self._form.strip_usage else going

    def _look(self) -> Iterator[bytes]:
        chunks: Iterable[bytes] = chain(self._begun, self._chunks)
        for chunk in whole_events(chunks) if self._form.by_event else chunks:
            if self._watcher is not None and self._watcher(chunk):
                self._watcher = None
            self._usage.feed(chunk)
            yield chunk
