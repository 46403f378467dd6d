"""Every refusal and failure a client can be told of, as one tree.

SallyportError
├── RequestError                    400  the request itself is at fault
│   ├── InvalidJsonError            400  invalid_json
│   ├── SchemaViolationError        400  invalid_request
│   ├── UnsupportedFieldError       400  unsupported_field
│   ├── UnsupportedOperationError   400  unsupported_operation
│   ├── PromptRefusedError          400  prompt_refused
│   ├── LeakBlockedError            400  leak_blocked
│   ├── RequestTooLargeError        413  request_too_large
│   ├── RequestOverLimitError       413  request_over_limit
│   └── UnsupportedMediaTypeError   415  unsupported_media_type
├── PermissionRefusedError          403  the caller may not do this
│   ├── InsufficientScopeError      403  insufficient_scope
│   ├── ModelNotAllowedError        403  model_not_allowed
│   └── ResidencyViolationError     403  residency_violation
├── MisdirectedRegionError          421  misdirected_region
├── NotFoundError                   404  not_found
│   ├── ModelNotFoundError          404  model_not_found
│   └── OperationNotFoundError      404  operation_not_found
├── MethodNotAllowedError           405  method_not_allowed
├── RateLimitExceededError          429  rate_limit_exceeded
│   └── QuotaExceededError          429  insufficient_quota
├── UpstreamError                   502  upstream_error
│   ├── UpstreamUnreachableError    502  upstream_unreachable
│   │   └── UpstreamNotConnectedError 502 upstream_unreachable
│   ├── UpstreamInvalidResponseError 502 upstream_invalid_response
│   ├── ResponseBlockedError        502  response_blocked
│   ├── UpstreamInterruptedError    502  upstream_interrupted
│   ├── UpstreamRefusedError        4xx  upstream_refused
│   ├── UpstreamCredentialsError    502  upstream_credentials_rejected
│   ├── UpstreamUnavailableError    503  upstream_unavailable
│   └── UpstreamTimeoutError        504  upstream_timeout
├── ServiceUnavailableError         503  service_unavailable
│   ├── SecretUnavailableError      503  upstream_secret_unavailable
│   ├── LimitsUnavailableError      503  limits_unavailable
│   ├── NoTargetAvailableError      503  no_target_available
│   └── GuardUnavailableError       503  guard_unavailable
├── DeadlineExceededError           504  gateway_timeout
└── InternalError                   500  internal_error

They live at the root because the rooms raise them and only the gateway gives them a shape. A message is written for
clients: it never repeats a value of the request, a credential or another exception's text.
"""

from collections.abc import Mapping

NO_RETRY = {"x-should-retry": "false"}
"""Where repeating can't help: OpenAI's and Anthropic's SDKs heed it."""


class SallyportError(Exception):
    """A failure with a stable `code`, an HTTP `status`, and a message that is safe to show to the client.

    `kind` is the error type in OpenAI's vocabulary. `param` names the field at fault, `headers` go on the answer,
    after `own_headers`, which all of its class have. `findings` are for the log: what rules found, without a value.
    """

    code: str = "internal_error"
    status: int = 500
    kind: str = "api_error"
    own_headers: Mapping[str, str] = {}
    findings: tuple[str, ...] = ()

    def __init__(self, message: str, *, param: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = {**self.own_headers, **(headers or {})}


class InternalError(SallyportError):
    """Ours to mend; the client learns the request id only."""


class RequestError(SallyportError):
    """The request itself is at fault."""

    code = "invalid_request"
    status = 400
    kind = "invalid_request_error"


class InvalidJsonError(RequestError):
    """The body isn't one strict JSON value."""

    code = "invalid_json"


class SchemaViolationError(RequestError):
    """A field is missing, of the wrong type, or out of range; `param` names it."""


class UnsupportedFieldError(RequestError):
    """A field has no counterpart at the upstream, or asks for what this gateway doesn't permit; `param` names it."""

    code = "unsupported_field"


class UnsupportedOperationError(RequestError):
    """No target of the model serves this route."""

    code = "unsupported_operation"


class PromptRefusedError(RequestError):
    """A rule of the operator's, or a guard, doesn't let this prompt pass; `param` names the text's place."""

    code = "prompt_refused"
    own_headers = NO_RETRY


class LeakBlockedError(RequestError):
    """The request holds what may not leave, such as a key; `param` names its place."""

    code = "leak_blocked"
    own_headers = NO_RETRY


class RequestTooLargeError(RequestError):
    """The body is over the limit."""

    code = "request_too_large"
    status = 413


class RequestOverLimitError(RequestError):
    """The request alone costs more than a limit allows in a whole window: it can't be admitted as it is."""

    code = "request_over_limit"
    status = 413
    own_headers = NO_RETRY


class UnsupportedMediaTypeError(RequestError):
    """Not JSON, not UTF-8, or compressed."""

    code = "unsupported_media_type"
    status = 415


class PermissionRefusedError(SallyportError):
    """Who is asking may not do this; repeating can't help."""

    code = "permission_denied"
    status = 403
    kind = "permission_error"


class InsufficientScopeError(PermissionRefusedError):
    """The credential lacks the route's scope."""

    code = "insufficient_scope"


class ModelNotAllowedError(PermissionRefusedError):
    """The credential may not use this model."""

    code = "model_not_allowed"


class ResidencyViolationError(PermissionRefusedError):
    """No upstream inside the regions that the tenant's data may go to."""

    code = "residency_violation"


class MisdirectedRegionError(SallyportError):
    """The caller's data may not be handled in this gateway's region; the message names where to go instead."""

    code = "misdirected_region"
    status = 421
    kind = "invalid_request_error"
    own_headers = NO_RETRY


class NotFoundError(SallyportError):
    """No such route."""

    code = "not_found"
    status = 404
    kind = "invalid_request_error"


class ModelNotFoundError(NotFoundError):
    """No such model here, or none that this caller may use."""

    code = "model_not_found"


class OperationNotFoundError(NotFoundError):
    """The application's OpenAPI document has no such operation."""

    code = "operation_not_found"


class MethodNotAllowedError(SallyportError):
    """The route exists, the method doesn't; `Allow` says which do."""

    code = "method_not_allowed"
    status = 405
    kind = "invalid_request_error"


class RateLimitExceededError(SallyportError):
    """A rate limit refused; `Retry-After` says when to come back."""

    code = "rate_limit_exceeded"
    status = 429
    kind = "rate_limit_error"


class QuotaExceededError(RateLimitExceededError):
    """A budget is used up; that takes longer than an SDK would wait."""

    code = "insufficient_quota"
    kind = "insufficient_quota"
    own_headers = NO_RETRY


class UpstreamError(SallyportError):
    """The upstream answered with a failure of its own."""

    code = "upstream_error"
    status = 502


class UpstreamUnreachableError(UpstreamError):
    """No connection, or it broke before an answer."""

    code = "upstream_unreachable"


class UpstreamNotConnectedError(UpstreamUnreachableError):
    """No connection could be made, so nothing of the request went there."""


class UpstreamInvalidResponseError(UpstreamError):
    """What came back isn't an answer of this API."""

    code = "upstream_invalid_response"


class ResponseBlockedError(UpstreamError):
    """The answer holds what may not go out, such as a key."""

    code = "response_blocked"
    own_headers = NO_RETRY


class UpstreamInterruptedError(UpstreamError):
    """The answer broke off before its end."""

    code = "upstream_interrupted"


class UpstreamRefusedError(UpstreamError):
    """The upstream refused the request with a 4xx and no JSON; its status is kept, its page isn't shown."""

    code = "upstream_refused"
    kind = "invalid_request_error"

    def __init__(self, message: str, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, headers=headers)
        self.status = status


class UpstreamCredentialsError(UpstreamError):
    """The upstream refused the gateway's own credential; the client's is fine."""

    code = "upstream_credentials_rejected"


class UpstreamUnavailableError(UpstreamError):
    """The upstream says that it is overloaded or down."""

    code = "upstream_unavailable"
    status = 503


class UpstreamTimeoutError(UpstreamError):
    """The upstream stayed silent for longer than the idle timeout."""

    code = "upstream_timeout"
    status = 504
    kind = "timeout_error"


class ServiceUnavailableError(SallyportError):
    """The gateway can't judge or serve the request now; it fails closed."""

    code = "service_unavailable"
    status = 503


class SecretUnavailableError(ServiceUnavailableError):
    """The upstream's credential can't be read. `detail` is for the log."""

    code = "upstream_secret_unavailable"

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class LimitsUnavailableError(ServiceUnavailableError):
    """The counters of a limit that must hold can't be asked."""

    code = "limits_unavailable"


class NoTargetAvailableError(ServiceUnavailableError):
    """Every target inside the caller's regions is down; `Retry-After` says when one is tried again."""

    code = "no_target_available"


class GuardUnavailableError(ServiceUnavailableError):
    """A guard that has to be asked about each prompt doesn't answer."""

    code = "guard_unavailable"


class DeadlineExceededError(SallyportError):
    """The function's own time is used up."""

    code = "gateway_timeout"
    status = 504
    kind = "timeout_error"
