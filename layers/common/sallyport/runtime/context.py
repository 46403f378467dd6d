"""The context object that a handler gets: the managed runtime's, and work to do after the response.

Source: AWS's "Using the Lambda context object to retrieve Python function information".
"""

import json
import sys
import time

from sallyport.runtime.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from sallyport.runtime.client import Invocation

AFTER_RESPONSE_RESERVE_S = 2.0
"""Seconds before the deadline that belong to after-response work: a stream doesn't go on into them."""
_W3C_FIELDS = ("traceparent", "tracestate", "baggage")


class CognitoIdentity:
    """The Cognito identity that authorised the call; both fields are None without one."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, fields: "Mapping[str, Any]") -> None:
        self.cognito_identity_id = fields.get("cognitoIdentityId")
        self.cognito_identity_pool_id = fields.get("cognitoIdentityPoolId")


class Client:
    """The mobile app that called, as its SDK described it."""

    __slots__ = ("app_package_name", "app_title", "app_version_code", "app_version_name", "installation_id")

    def __init__(self, fields: "Mapping[str, Any]") -> None:
        for name in self.__slots__:
            setattr(self, name, fields.get(name))


class ClientContext:
    """What a client SDK sent along: `client`, and the free-form `custom` and `env`."""

    __slots__ = ("client", "custom", "env")

    def __init__(self, fields: "Mapping[str, Any]") -> None:
        client = fields.get("client")
        self.client = None if client is None else Client(client)
        self.custom = fields.get("custom")
        self.env = fields.get("env")


class LambdaContext:
    """One invocation: whose, until when, and what to do after its response."""

    def __init__(
        self,
        invocation: "Invocation",
        environ: "Mapping[str, str]",
        tasks: "list[Callable[[], None]]",
        now: "Callable[[], float]" = time.time,
    ) -> None:
        """Read Lambda's headers and environment. Raises `Fault` for headers that can't be read."""
        headers = invocation.headers
        self.aws_request_id = invocation.request_id
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        client_context = _parse(headers.get("lambda-runtime-client-context"), "Client Context")
        self._w3c = _take_w3c(client_context)
        self.client_context = None if client_context is None else ClientContext(client_context)
        self.identity = CognitoIdentity(
            _parse(headers.get("lambda-runtime-cognito-identity"), "Cognito Identity") or {}
        )
        self._deadline_ms = invocation.deadline_ms
        self._tasks = tasks
        self._now = now

    def get_remaining_time_in_millis(self) -> int:
        """Give the milliseconds until Lambda ends the invocation, 0 when they are over."""
        return max(0, self._deadline_ms - int(self._now() * 1000))

    def after_response(self, task: "Callable[[], None]") -> None:
        """Register work for after the response and before the next event, in this order, while the deadline allows.

        It is the only place for such work: Lambda freezes a function that waits for its next event.
        """
        self._tasks.append(task)

    def w3c(self) -> dict[str, str]:
        """Give the W3C trace context that the caller sent along, if any."""
        return dict(self._w3c)

    def log(self, msg: object) -> None:
        """Write to the function's log, as it is."""
        sys.stdout.write(str(msg))


def _parse(header: str | None, name: str) -> "dict[str, Any] | None":
    if not header:
        return None
    try:
        value = json.loads(header)
    except ValueError:
        value = header
    if value is not None and not isinstance(value, dict):
        raise Fault("Runtime.LambdaContextUnmarshalError", f"Unable to parse {name} JSON")
    return value


def _take_w3c(client_context: "dict[str, Any] | None") -> dict[str, str]:
    """Take the trace context out of the client context, where Lambda carries it, leaving out what isn't text."""
    fields = client_context.pop("w3c", None) if client_context else None
    if not isinstance(fields, dict):
        return {}
    return {name: fields[name] for name in _W3C_FIELDS if isinstance(fields.get(name), str)}
