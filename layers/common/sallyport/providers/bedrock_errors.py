"""Bedrock's refusals: which are the gateway's own fault, and what of the others a client is told.

Source: Amazon Bedrock API Reference, "Common errors" and those of Converse and InvokeModel.
"""

import json
import re
from typing import Any

from sallyport.errors import UpstreamCredentialsError, UpstreamError, UpstreamTimeoutError, UpstreamUnavailableError
from sallyport.providers.bedrock_events import an_object
from sallyport.providers.chat_chunks import MAX_ERROR_MESSAGE_LENGTH, chat_error
from sallyport.providers.http_answers import check_answer
from sallyport.providers.provider import MESSAGES
from sallyport.providers.transport import UpstreamResponse

MAX_ERROR_BYTES = 65_536

_ROLE_FAULTS = frozenset({
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "UnrecognizedClientException",
})  # fmt: skip
_UNAVAILABLE = frozenset({"ServiceQuotaExceededException"})

_ARN = re.compile(r"arn:[a-z-]+:[^\s\"'<>(),;\]}]*", re.IGNORECASE)
_ACCOUNT = re.compile(r"(?<![0-9A-Za-z])[0-9]{12}(?![0-9A-Za-z])")
_UNNAMED = "The upstream refused the request."

_MESSAGES_KINDS = {404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"}


def check_bedrock_answer(response: UpstreamResponse, media_type: str) -> None:
    """Raise an `UpstreamError` unless the answer is a success of `media_type`, or a 4xx that may be shown."""
    status = response.status
    name = response.headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2].strip()
    if status == 403 or (status >= 400 and name in _ROLE_FAULTS):  # noqa: PLR2004 - HTTP
        raise UpstreamCredentialsError("The upstream refused the gateway's credential.")
    if status == 408:  # noqa: PLR2004 - HTTP; ModelTimeoutException
        raise UpstreamTimeoutError("The upstream's model took too long.")
    if status == 424:  # noqa: PLR2004 - HTTP; ModelErrorException
        raise UpstreamError("The upstream's model failed.")
    if status >= 400 and name in _UNAVAILABLE:  # noqa: PLR2004 - HTTP
        raise UpstreamUnavailableError("The upstream's quota is used up.")
    check_answer(response, media_type)


def error_body(status: int, raw: bytes, operation: str) -> bytes:
    """Give a refusal in the shape of the route's API, without the account's number and its resources' names."""
    message = _message(raw)
    if operation == MESSAGES:
        kind = _MESSAGES_KINDS.get(status, "invalid_request_error")
        error = {"type": "error", "error": {"type": kind, "message": message}}
        return json.dumps(error, separators=(",", ":")).encode()
    if status == 429:  # noqa: PLR2004 - HTTP
        return chat_error(message, "rate_limit_error", "rate_limit_exceeded")
    return chat_error(message, "invalid_request_error", "model_not_found" if status == 404 else None)  # noqa: PLR2004


def _message(raw: bytes) -> str:
    try:
        told: Any = an_object(json.loads(raw))
    except (ValueError, RecursionError):
        return _UNNAMED
    message = told.get("message") or told.get("Message")
    if not isinstance(message, str):
        return _UNNAMED
    return _ACCOUNT.sub("[account]", _ARN.sub("[resource]", message))[:MAX_ERROR_MESSAGE_LENGTH]
