"""What API Gateway makes of a Lambda authorizer's answer.

Source: "Output from an API Gateway Lambda authorizer" in the API Gateway developer guide.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MAX_ANSWER_BYTES: Final = 8 * 1024
INVOKE_ACTION: Final = "execute-api:Invoke"
UNAUTHORIZED_MESSAGE: Final = "Unauthorized"


class AuthorizerAnswerError(Exception):
    """The authorizer's answer isn't one that API Gateway takes: AUTHORIZER_CONFIGURATION_ERROR."""


@dataclass(frozen=True)
class Decision:
    """Whether the request may pass, and the context for the event and for gateway responses."""

    allowed: bool
    context: Mapping[str, Any] = field(default_factory=dict)


def decide(payload: bytes, method_arn: str) -> Decision:
    """Applies the policy in an authorizer's answer to `method_arn`; raises `AuthorizerAnswerError`."""
    answer = _read_answer(payload)
    statements = _statements(answer.get("policyDocument"))
    effects = {effect for effect, action, resource in statements if _covers(action, resource, method_arn)}
    context = {"principalId": answer["principalId"], **_context(answer.get("context"))}
    return Decision(allowed=effects == {"Allow"}, context=context)


def _read_answer(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_ANSWER_BYTES:
        raise AuthorizerAnswerError(f"the answer has {len(payload)} bytes, more than {MAX_ANSWER_BYTES}")
    try:
        answer = json.loads(payload)
    except ValueError:
        raise AuthorizerAnswerError("the answer isn't JSON") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("principalId"), str):
        raise AuthorizerAnswerError("the answer has no principalId")
    return answer


def _statements(document: Any) -> list[tuple[str, list[str], list[str]]]:
    statements = document.get("Statement") if isinstance(document, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise AuthorizerAnswerError("policyDocument has no Statement")
    return [_statement(statement) for statement in statements]


def _statement(statement: Any) -> tuple[str, list[str], list[str]]:
    if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
        raise AuthorizerAnswerError("a statement's Effect is neither Allow nor Deny")
    unknown = sorted(set(statement) - {"Sid", "Effect", "Action", "Resource"})
    if unknown:
        raise AuthorizerAnswerError(f"a statement has {', '.join(unknown)}, which isn't supported locally")
    return statement["Effect"], _strings(statement.get("Action")), _strings(statement.get("Resource"))


def _strings(value: Any) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(item, str) for item in values):
        raise AuthorizerAnswerError("a statement's Action or Resource isn't a string or a list of strings")
    return values


def _covers(actions: list[str], resources: list[str], method_arn: str) -> bool:
    return any(_matches(action.lower(), INVOKE_ACTION.lower()) for action in actions) and any(
        _matches(resource, method_arn) for resource in resources
    )


def _matches(pattern: str, value: str) -> bool:
    """IAM's wildcards: `*` any run of characters, `?` one; brackets mean themselves."""
    literal = pattern.replace("[", "[[]")
    return re.fullmatch(fnmatch.translate(literal), value) is not None


def _context(context: Any) -> dict[str, Any]:
    """The values as the proxy event carries them: strings all."""
    if context is None:
        return {}
    if not isinstance(context, dict):
        raise AuthorizerAnswerError("context isn't an object")
    return {name: _context_text(name, value) for name, value in context.items()}


def _context_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise AuthorizerAnswerError(f"context.{name} is neither a string, a number nor a boolean")
