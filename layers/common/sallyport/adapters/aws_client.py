"""A slim client of AWS's JSON protocols (1.0 and 1.1), for the two services that the doors call.

It exists because boto3 costs 190 ms of every cold start and six times the CPU of a call (ADR 0002). It retries once, on
a lost connection, a timeout, a throttle or a 5xx, so a write may be made twice. What may be made at most once is
retried only where it surely wasn't made.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from sallyport.adapters.connection import KeptConnection, NotConnectedError, within
from sallyport.adapters.sigv4 import Credentials, Signer
from sallyport.adapters.socket_reader import Wait
from sallyport.http1 import ResponseError
from sallyport.policy.urls import parse_url

CONNECT_TIMEOUT_S = 1.0
TIMEOUT_S = 2.0
"""For one try of a call, from connecting to the answer's end."""
TOTAL_S = 4.0
"""For both tries."""
MAX_ANSWER_BYTES = 1_048_576
_SERVER_ERROR = 500
_NOT_MADE = frozenset({
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionConflictException",
    "Unreachable",
})  # fmt: skip
"""Passing faults of calls that were surely not carried out."""
_MAYBE_MADE = frozenset({
    "InternalServerError",
    "InternalServiceError",
    "Lost",
    "ServiceUnavailable",
    "Timeout",
})  # fmt: skip
"""Passing faults of calls that may have been carried out."""


class AwsError(Exception):
    """A call failed; `answer` is the answer's JSON.

    `code` is AWS's error code, or `Timeout`, `TimeoutUnsent` (no time was left to send it), `Unreachable` (no
    connection), `Lost` (none any more) or `InvalidAnswer`.
    """

    def __init__(self, code: str, answer: Mapping[str, Any] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.answer = answer or {}

    @property
    def is_uncertain(self) -> bool:
        """Say whether the call may have been carried out all the same."""
        return self.code in _MAYBE_MADE or self.code == "InvalidAnswer"


class AwsCall(Protocol):
    """One operation of one service's JSON API; `AwsClient` implements it, and boto3 in the tests."""

    def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation and give its answer. Raises `AwsError`."""


class AwsWrite(Protocol):
    """An `AwsCall` for writes of which some may be made at most once."""

    def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
        """Call an operation; unless `repeatable`, not again where it may have been carried out. Raises `AwsError`."""


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
        left_s: Callable[[], float] = lambda: TOTAL_S,
        timeout_s: float = TIMEOUT_S,
        total_s: float = TOTAL_S,
    ) -> None:
        """Read region, credentials and endpoint from Lambda's environment. Raises `ValueError` if one is missing.

        A try may take `timeout_s`, a call with its second try `total_s`, and neither more than `left_s`: how long the
        caller can wait. A call that isn't answered in time fails with `Timeout`.
        """
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION", "")
        if not region:
            raise ValueError("AWS_REGION must be set")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        endpoint = environ.get(service.endpoint_variable) or environ.get("AWS_ENDPOINT_URL")
        origin = parse_url((endpoint or f"https://{service.name}.{region}.{suffix}").rstrip("/"))
        self._service = service
        self._signer = Signer(Credentials.from_environ(environ), region, service.name, origin.authority)
        self._connection = KeptConnection(origin, min(CONNECT_TIMEOUT_S, timeout_s))
        self._now = now
        self._left_s = left_s
        self._timeout_s = timeout_s
        self._total_s = total_s

    def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
        """Call an operation and give its answer, at the second try if need be. Raises `AwsError`.

        Unless `repeatable`, there is no second try where the first may have been carried out.
        """
        body = json.dumps(payload, separators=(",", ":")).encode()
        whole = within(min(self._total_s, self._left_s()))
        try:
            return self._call_once(operation, body, whole, repeatable=repeatable)
        except AwsError as error:
            if error.code not in _NOT_MADE and not (repeatable and error.code in _MAYBE_MADE):
                raise
            if not _has_time(whole):
                raise
        return self._call_once(operation, body, whole, repeatable=repeatable)

    def _call_once(self, operation: str, body: bytes, whole: Wait, *, repeatable: bool) -> dict[str, Any]:
        wait = self._one_try(whole)
        headers = self._signer.sign(
            {
                "Content-Type": self._service.content_type,
                "X-Amz-Target": f"{self._service.target_prefix}.{operation}",
            },
            body,
            self._now(),
        )
        try:
            response = self._connection.request("POST", "/", headers, body, wait, resend=repeatable)
            raw = response.read_all(MAX_ANSWER_BYTES)
        except TimeoutError as error:
            self._connection.close()
            raise AwsError("Timeout") from error
        except (OSError, ResponseError) as error:
            self._connection.close()
            raise AwsError("Unreachable" if isinstance(error, NotConnectedError) else "Lost") from error
        self._connection.release(response)
        return _read_answer(response.status, raw)

    def _one_try(self, whole: Wait) -> Wait:
        try:
            return within(min(self._timeout_s, whole()))
        except TimeoutError as error:
            raise AwsError("TimeoutUnsent") from error


def _has_time(wait: Wait) -> bool:
    try:
        return wait() > 0
    except TimeoutError:
        return False


def _read_answer(status: int, raw: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(raw)
    except ValueError:
        raise AwsError("ServiceUnavailable" if status >= _SERVER_ERROR else "InvalidAnswer") from None
    if not isinstance(answer, dict):
        raise AwsError("InvalidAnswer")
    if status != 200:  # noqa: PLR2004 - HTTP
        raise AwsError(_error_code(status, answer), answer)
    return answer


def _error_code(status: int, answer: Mapping[str, Any]) -> str:
    """Give AWS's error code; what a broken server says in a way of its own counts as its being unavailable."""
    code = str(answer.get("__type", "")).rpartition("#")[2] or f"Status{status}"
    return code if status < _SERVER_ERROR or code in _NOT_MADE | _MAYBE_MADE else "ServiceUnavailable"
