"""The Runtime API's requests.

Source: AWS's "Using the Lambda runtime API for custom runtimes" and, for streams, "Building a custom runtime".
"""

import json
import sys
from binascii import b2a_base64

from sallyport import __version__
from sallyport.runtime.errors import Fault
from sallyport.runtime.http_connection import ConnectionLostError, HttpConnection, Response
from sallyport.runtime.streaming import CONTENT_TYPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PREFIX = "/2018-06-01/runtime"
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
_ERROR_CONTENT_TYPE = "application/vnd.aws.lambda.error+json"
_EARLY_ANSWER_TIMEOUT_S = 0.5
_OK = 200
_BAD_REQUEST = 400
_SERVER_ERROR = 500


class RuntimeApiError(Exception):
    """The Runtime API is gone, or told the runtime to go ("non-recoverable state"): the process must exit."""


class AnswerRefusedError(Exception):
    """The Runtime API took the answer with a 4xx `status`; the next event may be asked for."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Invocation:
    """An event and what Lambda says about it; `headers` has lower-case names."""

    __slots__ = ("body", "headers", "request_id")

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.request_id = headers.get("lambda-runtime-aws-request-id", "")
        self.headers = headers
        self.body = body

    @property
    def deadline_ms(self) -> int:
        """The end of the invocation in milliseconds since 1970. Raises `Fault` if Lambda named none."""
        try:
            return int(self.headers["lambda-runtime-deadline-ms"])
        except (KeyError, ValueError):
            raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to read the deadline") from None

    def event(self) -> "Any":
        """Give the event. Raises `Fault` if it isn't JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {type(error).__name__}") from error


class RuntimeApi:
    """Lambda's Runtime API over one kept-alive connection."""

    def __init__(self, address: str) -> None:
        """`address` is `host:port`, from AWS_LAMBDA_RUNTIME_API."""
        self._connection = HttpConnection(address)
        version = ".".join(map(str, sys.version_info[:3]))
        self._fixed = f"Host: {address}\r\nUser-Agent: sallyport/{__version__} python/{version}\r\n"

    def next_invocation(self) -> Invocation:
        """Wait for an event, during which Lambda may freeze the process. Raises `RuntimeApiError`."""
        response = self._exchange([self._head("GET", "/invocation/next", [])])
        if response.status != _OK:
            raise RuntimeApiError(f"invocation/next was answered {response.status}")
        return Invocation(response.headers, response.body)

    def respond(self, invocation: Invocation, body: bytes) -> None:
        """Send a buffered answer. Raises `AnswerRefusedError` and `RuntimeApiError`."""
        fields = [("Content-Type", "application/json"), *_echoed(invocation)]
        self._post(f"/invocation/{invocation.request_id}/response", fields, body)

    def fail(self, invocation: Invocation, error: "dict[str, Any]") -> None:
        """Report a failed invocation by its error JSON. Raises `AnswerRefusedError` and `RuntimeApiError`."""
        fields = [*_error_fields(error), *_echoed(invocation)]
        self._post(f"/invocation/{invocation.request_id}/error", fields, json.dumps(error).encode())

    def fail_init(self, error: "dict[str, Any]") -> None:
        """Report that the function can't start. Raises `AnswerRefusedError` and `RuntimeApiError`."""
        self._post("/init/error", _error_fields(error), json.dumps(error).encode())

    def stream(self, invocation: Invocation, prelude: bytes, timeout_s: float) -> "ResponseStream":
        """Begin a streamed answer. Raises `ConnectionLostError` and `RuntimeApiError`."""
        head = self._head(
            "POST",
            f"/invocation/{invocation.request_id}/response",
            [
                ("Content-Type", CONTENT_TYPE),
                *_echoed(invocation),
                ("Lambda-Runtime-Function-Response-Mode", "streaming"),
                ("Transfer-Encoding", "chunked"),
                ("Trailer", f"{ERROR_TYPE}, {ERROR_BODY}"),
            ],
        )
        if not self._connection.is_open():
            self._open()
        self._connection.send([head, *_chunk(prelude)], timeout_s)
        return ResponseStream(self._connection)

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    def _head(self, method: str, path: str, fields: "Sequence[tuple[str, str]]") -> bytes:
        lines = "".join([f"{name}: {value}\r\n" for name, value in fields])
        return f"{method} {PREFIX}{path} HTTP/1.1\r\n{self._fixed}{lines}\r\n".encode()

    def _post(self, path: str, fields: "Sequence[tuple[str, str]]", body: bytes) -> None:
        head = self._head("POST", path, [*fields, ("Content-Length", str(len(body)))])
        _check(self._exchange([head, body]))

    def _exchange(self, request: "Sequence[bytes]") -> Response:
        """Send a request and read its response; once more if a kept connection turns out to be lost.

        Repeating is safe: the Runtime API takes one answer per request id and refuses a second one.
        """
        reused = self._connection.is_open()
        if not reused:
            self._open()
        try:
            return self._exchange_once(request)
        except ConnectionLostError as error:
            if not reused:
                raise RuntimeApiError(f"the connection was lost: {error}") from error
        self._open()
        try:
            return self._exchange_once(request)
        except ConnectionLostError as error:
            raise RuntimeApiError(f"the connection was lost: {error}") from error

    def _exchange_once(self, request: "Sequence[bytes]") -> Response:
        try:
            self._connection.send(request)
        except ConnectionLostError as error:
            return _early_answer(self._connection, error)
        return self._connection.receive()

    def _open(self) -> None:
        try:
            self._connection.open()
        except ConnectionLostError as error:
            raise RuntimeApiError(f"it can't be reached: {error}") from error


class ResponseStream:
    """A streamed answer under way. Its methods raise `ConnectionLostError` when the stream can't go on."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    def write(self, chunk: bytes, timeout_s: float) -> None:
        """Send one chunk, which mustn't be empty, at once."""
        self._send(_chunk(chunk), timeout_s)

    def finish(self, timeout_s: float) -> None:
        """End the stream. Raises `AnswerRefusedError` and `RuntimeApiError` too."""
        self._end(b"0\r\n\r\n", timeout_s)

    def fail(self, error: "dict[str, Any]", timeout_s: float) -> None:
        """End the stream with the trailers that tell Lambda of the error. Raises as `finish` does."""
        body = b2a_base64(json.dumps(error).encode(), newline=False).decode()
        self._end(f"0\r\n{ERROR_TYPE}: {error['errorType']}\r\n{ERROR_BODY}: {body}\r\n\r\n".encode(), timeout_s)

    def abandon(self) -> None:
        """Drop the connection, so that an unfinished stream can't be taken for a whole one."""
        self._connection.close()

    def _end(self, ending: bytes, timeout_s: float) -> None:
        self._send([ending], timeout_s)
        _check(self._connection.receive(timeout_s))

    def _send(self, parts: "Sequence[bytes]", timeout_s: float) -> None:
        try:
            self._connection.send(parts, timeout_s)
        except ConnectionLostError as error:
            _check(_early_answer(self._connection, error))
            raise


def _early_answer(connection: HttpConnection, error: ConnectionLostError) -> Response:
    """Give the response of a peer that refused a body before it had read it all; else raise the error."""
    try:
        return connection.receive(_EARLY_ANSWER_TIMEOUT_S)
    except ConnectionLostError:
        raise error from None
    finally:
        connection.close()


def _chunk(payload: bytes) -> "Sequence[bytes]":
    return (b"%x\r\n" % len(payload), payload, b"\r\n")


def _error_fields(error: "dict[str, Any]") -> list[tuple[str, str]]:
    return [("Content-Type", _ERROR_CONTENT_TYPE), (ERROR_TYPE, error["errorType"])]


def _echoed(invocation: Invocation) -> list[tuple[str, str]]:
    """Give the id that newer Runtime APIs want back."""
    invocation_id = invocation.headers.get("lambda-runtime-invocation-id")
    return [("Lambda-Runtime-Invocation-Id", invocation_id)] if invocation_id else []


def _check(response: Response) -> None:
    """Raise for a response that isn't a success: 5xx is "non-recoverable", after which the runtime must exit."""
    if response.status >= _SERVER_ERROR:
        raise RuntimeApiError(f"it answered {response.status}")
    if response.status >= _BAD_REQUEST:
        raise AnswerRefusedError(response.status)
