"""API Gateway's REST proxy event as a request."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from sallyport.errors import InternalError, RequestTooLargeError, UnsupportedMediaTypeError
from sallyport.identity.principal import ContextRefusedError, Principal, from_context

MAX_BODY_BYTES = 5 * 1024 * 1024
"""Lambda's limit is 6 MB for the whole event, headers and JSON escapes included."""


class InvocationContext(Protocol):
    """What the gateway uses of Lambda's context object; `after_response` is the streaming runtime's own."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Give the milliseconds until Lambda ends the invocation."""


class Request(NamedTuple):
    """A request. Header names are lower-case; of a header that came twice, `headers` has the last value."""

    id: str
    method: str
    path: str
    resource: str
    path_parameters: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    authorizer: Mapping[str, Any]
    source_ip: str


def read_request(event: Mapping[str, Any]) -> Request:
    """Read a proxy event (AWS: "Input format of a Lambda function for proxy integration"). Raises `InternalError`."""
    try:
        context = event["requestContext"]
        if event.get("isBase64Encoded"):
            raise InternalError("The gateway isn't set up for binary bodies.")
        return Request(
            id=str(context["requestId"]),
            method=event["httpMethod"],
            path=event["path"],
            resource=event["resource"],
            path_parameters=event.get("pathParameters") or {},
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            body=event.get("body") or "",
            authorizer=context.get("authorizer") or {},
            source_ip=str((context.get("identity") or {}).get("sourceIp", "")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InternalError("The event isn't one of API Gateway's.") from error


def read_principal(request: Request) -> Principal:
    """Give who is calling, as the authorizer said; nothing that the client sent counts.

    Raises `InternalError`: without a sound context the authorizer isn't in front of this function.
    """
    try:
        return from_context(request.authorizer)
    except ContextRefusedError as error:
        raise InternalError("The caller's identity is missing.") from error


def check_json_body(request: Request) -> None:
    """Raise `UnsupportedMediaTypeError` or `RequestTooLargeError` unless the body may be parsed as JSON."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "application/json":
        raise UnsupportedMediaTypeError("The request's Content-Type must be application/json.")
    charset = parameters.strip().lower().replace('"', "").replace(" ", "")
    if charset and charset != "charset=utf-8":
        raise UnsupportedMediaTypeError("The request's charset must be UTF-8.")
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaTypeError("A compressed request body isn't supported.")
    if len(request.body) > MAX_BODY_BYTES or len(request.body.encode(errors="replace")) > MAX_BODY_BYTES:
        raise RequestTooLargeError(f"The request body is over the limit of {MAX_BODY_BYTES} bytes.")
