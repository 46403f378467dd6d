"""A slim client of AWS's JSON protocols (1.0 and 1.1), for the two services that the doors call.

It exists because boto3 costs 190 ms of every cold start and six times the CPU of a call (ADR 0002). It retries once, on
a lost connection, a throttle or a 5xx, so a write may be made twice: callers count on at-least-once.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from sallyport.adapters.connection import KeptConnection, NotConnectedError, within
from sallyport.adapters.sigv4 import Credentials, Signer
from sallyport.http1 import ResponseError
from sallyport.policy.urls import parse_url

CONNECT_TIMEOUT_S = 1.0
TIMEOUT_S = 2.0
"""For one try of a call, from connecting to the answer's end."""
MAX_ANSWER_BYTES = 1_048_576
_RETRIED = frozenset({
    "InternalServerError",
    "InternalServiceError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
})  # fmt: skip


class AwsError(Exception):
    """A call failed. `code` is AWS's error code, or `Timeout`, `Unreachable`, `InvalidAnswer`; `answer` its JSON."""

    def __init__(self, code: str, answer: Mapping[str, Any] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.answer = answer or {}


class AwsCall(Protocol):
    """One operation of one service's JSON API; `AwsClient` implements it, and boto3 in the tests."""

    def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation and give its answer. Raises `AwsError`."""


class Service(NamedTuple):
    """A service of AWS as its JSON protocol names it."""

    name: str
    endpoint_variable: str
    target_prefix: str
    content_type: str


DYNAMODB = Service("dynamodb", "AWS_ENDPOINT_URL_DYNAMODB", "DynamoDB_20120810", "application/x-amz-json-1.0")
SECRETS_MANAGER = Service(
    "secretsmanager", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "secretsmanager", "application/x-amz-json-1.1"
)


class AwsClient:
    """Calls one service in the function's own region."""

    def __init__(
        self,
        service: Service,
        environ: Mapping[str, str],
        now: Callable[[], float] = time.time,
        left_s: Callable[[], float] = lambda: TIMEOUT_S,
    ) -> None:
        """Read region, credentials and endpoint from Lambda's environment. Raises `ValueError` if one is missing.

        `left_s` says how long the caller can wait; a call that can't be made in time fails with `Timeout`.
        """
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION", "")
        if not region:
            raise ValueError("AWS_REGION must be set")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        endpoint = environ.get(service.endpoint_variable) or environ.get("AWS_ENDPOINT_URL")
        origin = parse_url((endpoint or f"https://{service.name}.{region}.{suffix}").rstrip("/"))
        self._service = service
        self._signer = Signer(Credentials.from_environ(environ), region, service.name, origin.authority)
        self._connection = KeptConnection(origin, CONNECT_TIMEOUT_S)
        self._now = now
        self._left_s = left_s

    def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation and give its answer. Raises `AwsError`."""
        body = json.dumps(payload, separators=(",", ":")).encode()
        try:
            return self._call_once(operation, body)
        except AwsError as error:
            if error.code not in _RETRIED and error.code != "Unreachable":
                raise
        return self._call_once(operation, body)

    def _call_once(self, operation: str, body: bytes) -> dict[str, Any]:
        headers = self._signer.sign(
            {
                "Content-Type": self._service.content_type,
                "X-Amz-Target": f"{self._service.target_prefix}.{operation}",
            },
            body,
            self._now(),
        )
        try:
            wait = within(min(TIMEOUT_S, self._left_s()))
            response = self._connection.request("POST", "/", headers, body, wait)
            raw = response.read_all(MAX_ANSWER_BYTES)
        except TimeoutError as error:
            self._connection.close()
            raise AwsError("Timeout") from error
        except (NotConnectedError, OSError, ResponseError) as error:
            self._connection.close()
            raise AwsError("Unreachable") from error
        self._connection.release(response)
        return _read_answer(response.status, raw)


def _read_answer(status: int, raw: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(raw)
    except ValueError:
        raise AwsError("ServiceUnavailable" if status >= 500 else "InvalidAnswer") from None  # noqa: PLR2004 - HTTP
    if not isinstance(answer, dict):
        raise AwsError("InvalidAnswer")
    if status != 200:  # noqa: PLR2004 - HTTP
        raise AwsError(str(answer.get("__type", "")).rpartition("#")[2] or f"Status{status}", answer)
    return answer
