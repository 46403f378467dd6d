"""A route to an upstream: permissions, parse, verify, residency, limits, then forward and stream."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol

from sallyport.errors import (
    InsufficientScopeError,
    InternalError,
    ModelNotAllowedError,
    ModelNotFoundError,
    RateLimitExceededError,
    SallyportError,
    UpstreamCredentialsError,
)
from sallyport.gateway.answers import streamed_error
from sallyport.gateway.error_shapes import error_event, openai_shape
from sallyport.gateway.event_stream import whole_events
from sallyport.gateway.record import RequestRecord
from sallyport.gateway.request import Request, check_json_body, read_principal, read_request
from sallyport.identity.principal import Principal
from sallyport.limits.admission import Admission
from sallyport.limits.headers import limit_headers
from sallyport.observability.log import Logger
from sallyport.providers.openai import OpenAiProvider
from sallyport.providers.transport import Transport, UpstreamRequest, UpstreamResponse
from sallyport.routing.residency import Target, choose_target
from sallyport.runtime.context import AFTER_RESPONSE_RESERVE_S
from sallyport.runtime.streaming import StreamedResponse
from sallyport.verification.schema import RequestSchema
from sallyport.verification.strict_json import parse_strict

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")

MAX_BLANK_CHUNKS = 16
"""A body that is blank for longer than this isn't waited for."""


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


class NoSecret:
    """The `Secret` of an upstream that needs none."""

    def read(self) -> str:
        """Give the empty credential."""
        return ""

    def expire(self) -> None:
        """Do nothing: there is nothing to be read."""


class Rooms(NamedTuple):
    """What a route asks, made once per process."""

    schema: RequestSchema
    admission: Admission
    provider: OpenAiProvider
    transport: Transport
    secret: Secret
    targets: Sequence[Target]
    models: Sequence[str]
    home_region: str
    logger: Logger


class _Checked(NamedTuple):
    """A request that may be forwarded."""

    upstream_request: UpstreamRequest
    stream: bool
    principal: Principal


class ProviderRoute:
    """Serves one operation. Every answer is streamed, also when it isn't SSE: a buffered one ends at 6 MB."""

    def __init__(self, operation: Operation, rooms: Rooms) -> None:
        self._operation = operation
        self._rooms = rooms

    def __call__(self, event: Mapping[str, Any], context: StreamedContext) -> StreamedResponse:
        """Answer one proxy event."""
        exchange = _Exchange(self._operation, self._rooms, event, context)
        return exchange.answer()


class _Exchange:
    """One request and its answer."""

    def __init__(self, operation: Operation, rooms: Rooms, event: Mapping[str, Any], context: StreamedContext) -> None:
        self._operation = operation
        self._rooms = rooms
        self._event = event
        self._context = context
        request_id = str((event.get("requestContext") or {}).get("requestId", ""))
        self._headers = {"x-request-id": request_id, "x-sallyport-region": rooms.home_region}
        self._record = RequestRecord(rooms.logger, request_id, operation.name)
        context.after_response(self._record.emit)

    def answer(self) -> StreamedResponse:
        try:
            request = read_request(self._event)
            checked = self._check(request)
            self._admit(checked.principal)
            return self._forward(checked)
        except SallyportError as error:
            return self._refuse(error)
        except Exception as error:  # noqa: BLE001 - the last resort: an answer in the route's shape, the log knows more
            self._record.note_failure(error)
            return self._refuse(InternalError("The gateway failed; the request id finds the reason in its log."))

    def _refuse(self, error: SallyportError) -> StreamedResponse:
        self._record.note_error(error)
        refusal = streamed_error(error, openai_shape, self._headers)
        self._record.bytes_out = sum(map(len, refusal.body))
        return refusal

    def _check(self, request: Request) -> _Checked:
        """All that may refuse without a charge."""
        principal = read_principal(request)
        self._record.note_principal(principal)
        if self._operation.scope not in principal.scopes:
            raise InsufficientScopeError(f"This credential lacks the scope {self._operation.scope!r}.")
        check_json_body(request)
        body = parse_strict(request.body)
        self._rooms.schema.check(body)
        self._check_model(body["model"], principal)
        target = choose_target(self._rooms.targets, principal.residency)
        self._headers["x-sallyport-region"] = target.region
        stream = body.get("stream") is True
        self._record.note(model=_loggable(body["model"]), stream=stream)
        self._record.note(upstream=target.upstream, region=target.region)
        upstream_request = self._rooms.provider.request(
            self._operation.path, request.headers, request.body.encode(), self._rooms.secret.read(), stream=stream
        )
        return _Checked(upstream_request, stream, principal)

    def _check_model(self, model: str, principal: Principal) -> None:
        if self._rooms.models and model not in self._rooms.models:
            raise ModelNotFoundError("This model does not exist, or you do not have access to it.", param="model")
        if principal.models is not None and model not in principal.models:
            raise ModelNotAllowedError("This credential may not use this model.", param="model")

    def _admit(self, principal: Principal) -> None:
        decision = self._rooms.admission.admit(limited_member(principal), principal.requests_per_minute)
        self._headers.update(limit_headers(decision))
        if decision.refused_by is not None:
            rule = decision.refused_by.rule
            raise RateLimitExceededError(
                f"Rate limit reached: {rule.limit} {rule.unit} per {rule.window_s} seconds for this credential. "
                f"Try again in {decision.refused_by.retry_ms / 1000:g} seconds."
            )

    def _forward(self, checked: _Checked) -> StreamedResponse:
        provider = self._rooms.provider
        response = self._rooms.transport.send(checked.upstream_request, self._remaining_s)
        self._record.note(upstream_status=response.status)
        try:
            provider.check(response, stream=checked.stream)
            streamed = checked.stream and response.status < 400  # noqa: PLR2004 - HTTP
            passage = _Passage(response, self._record, by_event=streamed)
            provider.check_start(passage.start(), response, stream=checked.stream)
        except BaseException as error:
            response.close()
            if isinstance(error, UpstreamCredentialsError):
                self._rooms.secret.expire()
            raise
        self._record.note(status=response.status, complete=False)
        return StreamedResponse(
            status=response.status,
            headers={**provider.returned_headers(response), **self._headers},
            body=passage,
            error_event=error_event if streamed else None,
        )

    def _remaining_s(self) -> float:
        return self._context.get_remaining_time_in_millis() / 1000 - AFTER_RESPONSE_RESERVE_S


class _Passage:
    """An upstream's body on its way to the client, byte for byte; what happens to it is noted.

    Of an event stream whole events are passed on, so that one which breaks off ends with an event that can be read.
    """

    def __init__(self, response: UpstreamResponse, record: RequestRecord, *, by_event: bool) -> None:
        self._response = response
        self._chunks = response.chunks()
        self._by_event = by_event
        self._record = record
        self._begun: list[bytes] = []

    def start(self) -> bytes:
        """Wait for the first bytes, and give them without the white space before them; they still go to the client."""
        for chunk in self._chunks:
            self._begun.append(chunk)
            if (visible := chunk.lstrip()) or len(self._begun) == MAX_BLANK_CHUNKS:
                return visible
        return b""

    def __iter__(self) -> Iterator[bytes]:
        try:
            chunks = chain(self._begun, self._chunks)
            for chunk in whole_events(chunks) if self._by_event else chunks:
                self._record.note_first_byte()
                self._record.bytes_out += len(chunk)
                yield chunk
            self._record.note(complete=True)
        except SallyportError as error:
            self._record.note(code=error.code)
            raise

    def close(self) -> None:
        self._response.close()


def _loggable(model: str) -> str | None:
    """Give a model's name for the log; a text that no model could have for a name might be anything."""
    return model if _MODEL_NAME.fullmatch(model) else None


def limited_member(principal: Principal) -> str:
    """Name whom a per-key limit counts: the key and those it was rotated into, or for a JWT its tenant and subject."""
    if principal.key_id:
        return f"key#{principal.key_family or principal.key_id}"
    return f"subject#{principal.tenant}#{principal.subject}"
