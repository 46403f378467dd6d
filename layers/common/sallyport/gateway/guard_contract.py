"""What an external guard is told of a prompt, and how its answer is read.

The contract is small and is only ever added to, so that a guard outlives many versions of the gateway: what a guard
doesn't know it passes over, and so does the gateway.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sallyport.errors import InvalidJsonError
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.policy.urls import parse_url
from sallyport.providers.transport import UpstreamRequest, UpstreamResponse
from sallyport.verification.strict_json import parse_strict

ALLOW, BLOCK = "allow", "block"
MAX_ANSWER_BYTES = 65_536
JSON = "application/json"

_REASON_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_OK = 200
_CREDENTIAL_REFUSED = (401, 403)


class Prompt(NamedTuple):
    """What a guard is asked about. `model` is what the client calls it; `texts` are roles and texts, in their order."""

    request_id: str
    route: str
    model: str
    tenant: str
    texts: Iterable[tuple[str, str]]


class Verdict(NamedTuple):
    """What a guard has said. `reason`: its code for why, empty where it gave none that may stand in a log."""

    is_blocked: bool
    reason: str


class GuardFailedError(Exception):
    """A guard gave no verdict. `kind` says why, in a word for the log."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class GuardCredentialError(GuardFailedError):
    """It refused the gateway's credential."""


def prompt_json(prompt: Prompt) -> bytes:
    """Give the body that a guard gets, in ASCII: nothing that a client wrote can't be written so."""
    body = bytearray(_ascii({**prompt._asdict(), "texts": []}).removesuffix(b"]}"))
    between = b""
    for role, text in prompt.texts:  # one by one, for there may be 400,000
        body += between + _ascii({"role": role, "text": text})
        between = b","
    return bytes(body + b"]}")


def _ascii(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def guard_request(rules: UpstreamRules, secret: str, body: bytes) -> UpstreamRequest:
    """Give the request to a guard. Its secret, if it has one, is a Bearer token, or as it is in a header of its own."""
    url = parse_url(rules.base_url)
    headers = {
        "host": url.authority,
        "user-agent": "sallyport",
        "content-type": JSON,
        "accept": JSON,
        "accept-encoding": "identity",
    }
    header = rules.credential_header or "authorization"
    if secret:
        headers[header] = f"Bearer {secret}" if header == "authorization" else secret
    return UpstreamRequest("POST", url.path or "/", headers, body)


def read_verdict(response: UpstreamResponse) -> Verdict:
    """Read a guard's answer. Raises `GuardFailedError`, and what reading the body raises.

    Only a 200 in JSON is one; a redirect isn't followed. What says `block` blocks, whatever else it says.
    """
    _check_head(response.status, response.headers)
    fields = _fields(_body(response))
    action = fields.get("action")
    if action not in (ALLOW, BLOCK):
        raise GuardFailedError("invalid_answer")
    return Verdict(action == BLOCK, _reason(fields.get("reason_code")))


def _check_head(status: int, headers: Mapping[str, str]) -> None:
    if status in _CREDENTIAL_REFUSED:
        raise GuardCredentialError("credential_refused")
    if status != _OK:
        raise GuardFailedError(f"status_{status}")
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON or headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise GuardFailedError("invalid_answer")


def _body(response: UpstreamResponse) -> bytes:
    parts, size = [], 0
    for chunk in response.chunks():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise GuardFailedError("answer_too_large")
        parts.append(chunk)
    return b"".join(parts)


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = parse_strict(body.decode())
    except (UnicodeDecodeError, InvalidJsonError):
        raise GuardFailedError("invalid_answer") from None
    if not isinstance(fields, dict):
        raise GuardFailedError("invalid_answer")
    return fields


def _reason(code: object) -> str:
    """Give a reason's code if it is one: the log and the client are told no other text of a guard's."""
    return code if isinstance(code, str) and _REASON_CODE.fullmatch(code) is not None else ""
