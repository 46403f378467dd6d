"""The authorizer's part of a request: called, believed or not, as API Gateway does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sallyport_cli.local.events import authorizer_event, method_arn
from sallyport_cli.local.integration_responses import collect
from sallyport_cli.local.invocation import FailedAnswer, StreamCutError, StreamedAnswer
from sallyport_cli.local.policy import UNAUTHORIZED_MESSAGE, AuthorizerAnswerError, decide
from sallyport_cli.local.pool import FunctionPool, ThrottledError
from sallyport_cli.local.request import GatewayRequest
from sallyport_cli.local.routes import Match
from sallyport_cli.local.stack import Stack

AUTHORIZER_TIMEOUT_S: Final = 29.0


@dataclass(frozen=True)
class Refusal:
    """API Gateway answers by itself: a gateway response's type, and the authorizer's context where there is one."""

    kind: str
    context: Mapping[str, Any] | None = None


async def ask_authorizer(
    stack: Stack, pool: FunctionPool, request: GatewayRequest, match: Match, complain: Callable[[str], None]
) -> Mapping[str, Any] | Refusal:
    """The context for `requestContext.authorizer`, or the refusal. `complain` hears of an answer that can't be used."""
    event = json.dumps(authorizer_event(stack, request, match)).encode()
    started_at_s = time.perf_counter()
    try:
        async with asyncio.timeout(AUTHORIZER_TIMEOUT_S):
            answer = await pool.invoke(event, request.trace_id)
            payload = await collect(answer.body) if isinstance(answer, StreamedAnswer) else answer.payload
    except (TimeoutError, ThrottledError, StreamCutError):
        return Refusal("AUTHORIZER_FAILURE")
    if isinstance(answer, FailedAnswer):
        return Refusal("UNAUTHORIZED" if answer.message == UNAUTHORIZED_MESSAGE else "AUTHORIZER_FAILURE")
    try:
        decision = decide(payload, method_arn(stack, request.method, request.path))
    except AuthorizerAnswerError as error:
        complain(f"the authorizer's answer can't be used: {error}")
        return Refusal("AUTHORIZER_CONFIGURATION_ERROR")
    context = {**decision.context, "integrationLatency": int((time.perf_counter() - started_at_s) * 1000)}
    return context if decision.allowed else Refusal("ACCESS_DENIED", context)
