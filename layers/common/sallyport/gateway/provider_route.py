"""A route to an upstream: permissions, parse, verify, residency, limits, then forward and stream."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sallyport.errors import (
    DeadlineExceededError,
    InsufficientScopeError,
    InternalError,
    ModelNotAllowedError,
    ModelNotFoundError,
    SallyportError,
    ServiceUnavailableError,
    UpstreamCredentialsError,
    UpstreamUnreachableError,
)
from sallyport.gateway.answers import streamed_error
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.error_shapes import error_event, openai_shape
from sallyport.gateway.metering import Asked, Meter, Metering
from sallyport.gateway.passage import Form, Passage
from sallyport.gateway.record import RequestRecord
from sallyport.gateway.request import Request, check_json_body, read_principal, read_request
from sallyport.identity.principal import Principal
from sallyport.observability.log import Logger
from sallyport.policy.current import PolicyUnavailableError
from sallyport.policy.limit_rules import RouterRules
from sallyport.providers.openai import OpenAiProvider
from sallyport.providers.stream_usage import asks_for_usage, with_usage
from sallyport.providers.transport import Transport, UpstreamRequest, UpstreamResponse
from sallyport.providers.usage import BodyUsage, StreamUsage
from sallyport.routing.residency import Target, choose_target
from sallyport.runtime.context import AFTER_RESPONSE_RESERVE_S
from sallyport.runtime.streaming import StreamedResponse
from sallyport.verification.schema import RequestSchema
from sallyport.verification.strict_json import parse_strict

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")

SETTLING_RESERVE_S = 0.2
"""Kept back of the time after a response: the runtime asks for its next event before Lambda ends it."""

REFRESH_S = 3.0
"""With less time left the policy isn't looked at after a response: it would seem unreadable."""


class StreamedContext(Protocol):
    """The streaming runtime's context, as far as a route uses it."""

    def get_remaining_time_in_millis(self) -> int:
        """Give the milliseconds until Lambda ends the invocation."""

    def after_response(self, task: Callable[[], None]) -> None:
        """Have a task run once the response has been sent."""


class Operation(NamedTuple):
    """One of the upstream's operations: its path there, the scope it takes, its request schema's name."""

    name: str
    path: str
    scope: str


CHAT_COMPLETIONS = Operation("chat_completions", "/chat/completions", "chat")
EMBEDDINGS = Operation("embeddings", "/embeddings", "embeddings")


class Secret(Protocol):
    """The upstream's credential."""

    def read(self) -> str:
        """Give it, empty if the upstream needs none. Raises `SecretUnavailableError`."""

    def expire(self) -> None:
        """Have it read anew: the upstream has refused it."""


class Policy(Protocol):
    """The policy in force; `policy.current.CurrentPolicy` is one."""

    def get(self) -> RouterRules:
        """Give what a route goes by. Raises `PolicyUnavailableError`."""

    def refresh_early(self) -> None:
        """Look for a newer one while nobody waits."""


class NoSecret:
    """The `Secret` of an upstream that needs none."""

    def read(self) -> str:
        """Give the empty credential."""
        return ""

    def expire(self) -> None:
        """Do nothing: there is nothing to be read."""


class Rooms(NamedTuple):
    """What a route asks, made once per process. `stream_usage`: every stream is asked for its usage."""

    schema: RequestSchema
    policy: Policy
    metering: Metering
    provider: OpenAiProvider
    transport: Transport
    secret: Secret
    targets: Sequence[Target]
    home_region: str
    stream_usage: bool
    logger: Logger
    deadline: Deadline


class _Checked(NamedTuple):
    """A request that may be forwarded. `strip_usage`: its usage is asked for, and its client didn't."""

    upstream_request: UpstreamRequest
    stream: bool
    strip_usage: bool


class ProviderRoute:
    """Serves one operation. Every answer is streamed, also when it isn't SSE: a buffered one ends at 6 MB."""

    def __init__(self, operation: Operation, rooms: Rooms) -> None:
        self._operation = operation
        self._rooms = rooms

    def __call__(self, event: Mapping[str, Any], context: StreamedContext) -> StreamedResponse:
        """Answer one proxy event."""
        request_id = str((event.get("requestContext") or {}).get("requestId", ""))
        exchange = _Exchange(self._operation, self._rooms, request_id, context)
        return exchange.answer(event)


class _Exchange:
    """One request and its answer. It lives until the answer is over, so it keeps nothing of the request's body."""

    def __init__(self, operation: Operation, rooms: Rooms, request_id: str, context: StreamedContext) -> None:
        self._operation = operation
        self._rooms = rooms
        self._context = context
        self._headers = {"x-request-id": request_id, "x-sallyport-region": rooms.home_region}
        self._record = RequestRecord(rooms.logger, request_id, operation.name)
        self._meter: Meter | None = None
        rooms.deadline.begin(self._whole_s(), AFTER_RESPONSE_RESERVE_S)
        context.after_response(self._finish)

    def answer(self, event: Mapping[str, Any]) -> StreamedResponse:
        try:
            request = read_request(event)
            checked, meter = self._check(request)
            self._headers |= meter.admit()
            return self._forward(checked, meter)
        except SallyportError as error:
            return self._refuse(error)
        except Exception as error:  # noqa: BLE001 - the last resort: an answer in the route's shape, the log knows more
            self._record.note_failure(error)
            return self._refuse(InternalError("The gateway failed; the request id finds the reason in its log."))

    def _finish(self) -> None:
        """Settle what the request used, however it ended, and look for a newer policy; the log line comes first."""
        self._rooms.deadline.begin(self._whole_s(), SETTLING_RESERVE_S)
        try:
            if self._meter is not None:
                self._record.note(**self._meter.close())
        except Exception as error:  # noqa: BLE001 - what went wrong in reckoning must not leave the charge unsettled
            self._record.note_failure(error)
        self._record.emit()
        if self._meter is not None:
            self._meter.settle()
        if self._rooms.deadline.left_s() > REFRESH_S:
            self._rooms.policy.refresh_early()

    def _refuse(self, error: SallyportError) -> StreamedResponse:
        self._record.note_error(error)
        refusal = streamed_error(error, openai_shape, self._headers)
        self._record.bytes_out = sum(map(len, refusal.body))
        return refusal

    def _check(self, request: Request) -> tuple[_Checked, Meter]:
        """All that may refuse without a charge."""
        principal = read_principal(request)
        self._record.note_principal(principal)
        if self._operation.scope not in principal.scopes:
            raise InsufficientScopeError(f"This credential lacks the scope {self._operation.scope!r}.")
        check_json_body(request)
        body = parse_strict(request.body)
        self._rooms.schema.check(body)
        self._check_time()
        rules = self._rules()
        _check_model(body["model"], rules, principal)
        target = choose_target(self._rooms.targets, principal.residency)
        self._headers["x-sallyport-region"] = target.region
        self._record.note(model=_loggable(body["model"]), stream=body.get("stream") is True)
        self._record.note(upstream=target.upstream, region=target.region)
        meter = self._rooms.metering.meter(rules, self._asked(request, principal, body))
        self._meter = meter
        return self._prepare(request, body, meter.cap), meter

    def _asked(self, request: Request, principal: Principal, body: Mapping[str, Any]) -> Asked:
        return Asked(
            request.id, self._operation.name, request.path, principal, request.source_ip, body, self._whole_s()
        )

    def _rules(self) -> RouterRules:
        try:
            return self._rooms.policy.get()
        except PolicyUnavailableError:
            raise ServiceUnavailableError("The gateway's policy can't be read at the moment.") from None

    def _prepare(self, request: Request, body: dict[str, Any], cap: int | None) -> _Checked:
        """Make the upstream's request. A body that nothing is added to keeps its bytes."""
        stream = body.get("stream") is True
        add_usage = self._rooms.stream_usage and stream and not asks_for_usage(body)
        if cap is not None:
            body = {**body, "max_completion_tokens": cap}
        if add_usage:
            body = with_usage(body)
        raw = request.body.encode() if cap is None and not add_usage else _serialised(body)
        upstream_request = self._rooms.provider.request(
            self._operation.path, request.headers, raw, self._rooms.secret.read(), stream=stream
        )
        return _Checked(upstream_request, stream, add_usage)

    def _forward(self, checked: _Checked, meter: Meter) -> StreamedResponse:
        self._check_time()
        meter.forward()
        response = self._send(checked.upstream_request, meter)
        is_success = 200 <= response.status < 300  # noqa: PLR2004 - HTTP
        meter.free = not is_success
        try:
            passage = self._receive(response, checked, meter)
        except BaseException as error:
            response.close()
            if isinstance(error, UpstreamCredentialsError):
                self._rooms.secret.expire()
            raise
        self._record.note(status=response.status, complete=False)
        return StreamedResponse(
            status=response.status,
            headers={**self._rooms.provider.returned_headers(response), **self._headers},
            body=passage,
            error_event=error_event if checked.stream and is_success else None,
        )

    def _send(self, request: UpstreamRequest, meter: Meter) -> UpstreamResponse:
        try:
            response = self._rooms.transport.send(request, self._remaining_s)
        except UpstreamUnreachableError:
            meter.free = True
            raise
        self._record.note(upstream_status=response.status)
        return response

    def _receive(self, response: UpstreamResponse, checked: _Checked, meter: Meter) -> Passage:
        """Wait for the body's first bytes, and give it once it is known to be an answer of this API."""
        provider, stream = self._rooms.provider, checked.stream
        provider.check(response, stream=stream)
        streamed = stream and response.status < 400  # noqa: PLR2004 - HTTP
        usage = StreamUsage() if streamed else BodyUsage()
        passage = Passage(response, self._record, usage, Form(streamed, streamed and checked.strip_usage))
        provider.check_start(passage.start(), response, stream=stream)
        meter.answer = usage
        return passage

    def _check_time(self) -> None:
        if self._remaining_s() <= 0:
            raise DeadlineExceededError("The gateway's time for this request is used up.")

    def _remaining_s(self) -> float:
        return self._whole_s() - AFTER_RESPONSE_RESERVE_S

    def _whole_s(self) -> float:
        return self._context.get_remaining_time_in_millis() / 1000


def _check_model(model: str, rules: RouterRules, principal: Principal) -> None:
    if rules.models is not None and model not in rules.models:
        raise ModelNotFoundError("This model does not exist, or you do not have access to it.", param="model")
    if principal.models is not None and model not in principal.models:
        raise ModelNotAllowedError("This credential may not use this model.", param="model")


def _serialised(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _loggable(model: str) -> str | None:
    """Give a model's name for the log; a text that no model could have for a name might be anything."""
    return model if _MODEL_NAME.fullmatch(model) else None
