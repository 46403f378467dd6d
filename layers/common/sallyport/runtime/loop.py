"""Takes one event after the other, has it handled, and tells Lambda how it ended."""

import os
import time

from sallyport.runtime.client import AnswerRefusedError, Invocation, RuntimeApi
from sallyport.runtime.context import AFTER_RESPONSE_RESERVE_S, LambdaContext
from sallyport.runtime.errors import Fault, InvocationRefused, describe
from sallyport.runtime.http_connection import ConnectionLostError
from sallyport.runtime.reporting import report
from sallyport.runtime.streaming import StreamedResponse, chunks_until, close_body, prelude, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from typing import Any

    from sallyport.runtime.client import ResponseStream

TRACE_ID = "_X_AMZN_TRACE_ID"
ENDING_RESERVE_S = 1.0
"""Seconds before the deadline until which Lambda may take to take the end of a stream."""
_MIN_TIMEOUT_S = 0.05
_TOO_LARGE = 413


class Loop:
    """Serves one handler over one Runtime API."""

    def __init__(
        self,
        api: RuntimeApi,
        handler: "Callable[[Any, LambdaContext], Any]",
        environ: "MutableMapping[str, str]" = os.environ,
        now: "Callable[[], float]" = time.time,
    ) -> None:
        self._api = api
        self._handler = handler
        self._environ = environ
        self._now = now

    def run(self) -> None:
        """Serve events until Lambda ends the process. Raises `RuntimeApiError`."""
        while True:
            self.serve_one()

    def serve_one(self) -> None:
        """Wait for one event, answer it, then do what the handler registered. Raises `RuntimeApiError`."""
        invocation = self._api.next_invocation()
        self._set_trace_id(invocation)
        tasks: list[Callable[[], None]] = []
        try:
            self._answer(invocation, tasks)
        except AnswerRefusedError as refusal:
            self._report_refused(invocation, refusal)
        except ConnectionLostError as error:
            report("the answer was not taken", {"requestId": invocation.request_id, "reason": str(error)})
        finally:
            self._run(tasks, invocation)

    def _set_trace_id(self, invocation: Invocation) -> None:
        trace_id = invocation.headers.get("lambda-runtime-trace-id")
        if trace_id:
            self._environ[TRACE_ID] = trace_id
        else:
            self._environ.pop(TRACE_ID, None)

    def _answer(self, invocation: Invocation, tasks: "list[Callable[[], None]]") -> None:
        try:
            context = LambdaContext(invocation, self._environ, tasks, self._now)
            result = self._handler(invocation.event(), context)
            streamed = isinstance(result, StreamedResponse)
            first = b"" if streamed else to_json(result)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is Lambda's to know
            self._api.fail(invocation, _describe_and_report(error, invocation))
            return
        if streamed:
            self._stream(invocation, result)
        else:
            self._respond(invocation, first)

    def _respond(self, invocation: Invocation, body: bytes) -> None:
        try:
            self._api.respond(invocation, body)
        except AnswerRefusedError as refusal:
            self._api.fail(invocation, _describe_and_report(_refused(refusal, len(body)), invocation))

    def _stream(self, invocation: Invocation, response: StreamedResponse) -> None:
        try:
            try:
                first = prelude(response)
            except Fault as fault:
                self._api.fail(invocation, _describe_and_report(fault, invocation))
                return
            self._send_stream(invocation, response, first)
        finally:
            self._guarded(lambda: close_body(response.body), "closing a stream failed", invocation)

    def _send_stream(self, invocation: Invocation, response: StreamedResponse, first: bytes) -> None:
        sending_ends_s = invocation.deadline_ms / 1000 - AFTER_RESPONSE_RESERVE_S
        ending_ends_s = invocation.deadline_ms / 1000 - ENDING_RESERVE_S
        stream = self._api.stream(invocation, first, self._until(ending_ends_s))
        error: Exception | None = None
        try:
            for chunk in chunks_until(sending_ends_s, response.body, self._now):
                stream.write(chunk, self._until(ending_ends_s))
        except (ConnectionLostError, AnswerRefusedError):
            raise
        except Exception as raised:  # noqa: BLE001 - whatever a body raises ends the stream
            error = raised
        except BaseException:
            stream.abandon()
            raise
        if error is None:
            stream.finish(self._until(ending_ends_s))
        else:
            self._end_broken(stream, response, error, invocation)

    def _end_broken(
        self, stream: "ResponseStream", response: StreamedResponse, error: Exception, invocation: Invocation
    ) -> None:
        """Tell the client in band and Lambda in the trailers; clients never see those."""
        ending_ends_s = invocation.deadline_ms / 1000 - ENDING_RESERVE_S
        described = _describe_and_report(error, invocation)
        event = b""
        try:
            if response.error_event is not None:
                event = response.error_event(error)
        except Exception as raised:  # noqa: BLE001 - the stream is broken already; the trailers still tell of it
            report("making an error event failed", describe(raised, invocation.request_id))
        if event:
            stream.write(event, self._until(ending_ends_s))
        stream.fail(described, self._until(ending_ends_s))

    def _until(self, moment_s: float) -> float:
        return max(_MIN_TIMEOUT_S, moment_s - self._now())

    def _run(self, tasks: "list[Callable[[], None]]", invocation: Invocation) -> None:
        for task in tasks:  # a task may register another one
            if self._now() * 1000 >= invocation.deadline_ms:
                report("after-response work was left undone", {"requestId": invocation.request_id})
                return
            self._guarded(task, "after-response work failed", invocation)

    def _guarded(self, step: "Callable[[], None]", failure: str, invocation: Invocation) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - one failing step must not stop the others
            report(failure, describe(error, invocation.request_id))

    def _report_refused(self, invocation: Invocation, refusal: AnswerRefusedError) -> None:
        report("Lambda refused the answer", {"requestId": invocation.request_id, "status": refusal.status})


def _describe_and_report(error: Exception, invocation: Invocation) -> "dict[str, Any]":
    described = describe(error, invocation.request_id)
    if not isinstance(error, InvocationRefused):
        report("the invocation failed", described)
    return described


def _refused(refusal: AnswerRefusedError, size: int) -> Fault:
    if refusal.status == _TOO_LARGE:
        return Fault("Function.ResponseSizeTooLarge", f"Response payload of {size} bytes is larger than Lambda takes")
    return Fault("Runtime.ResponseRefused", f"Lambda answered {refusal.status} to the response")
