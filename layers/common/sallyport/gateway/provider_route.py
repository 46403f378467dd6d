"""A route to an upstream: permissions, parse, verify, residency, limits, then forward and stream."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sallyport.errors import (
    InsufficientScopeError,
    ModelNotAllowedError,
    ModelNotFoundError,
    SallyportError,
    ServiceUnavailableError,
    UnsupportedFieldError,
)
from sallyport.gateway.calls import Ask, call_for
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.decisions import Subject, Trail
from sallyport.gateway.exchange import Exchange, Policy, StreamedContext
from sallyport.gateway.forwarding import Answer, Forwarding, Journey, Sending, first_sending, prepared
from sallyport.gateway.metering import Asked, Meter, Metering
from sallyport.gateway.operations import Operation
from sallyport.gateway.record import loggable_model
from sallyport.gateway.request import Request, check_json_body, read_request
from sallyport.gateway.upstreams import Upstreams
from sallyport.identity.principal import Principal
from sallyport.observability.log import Logger
from sallyport.policy.limit_rules import ModelRules, RouterRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from sallyport.providers.openai_responses import response_id
from sallyport.providers.provider import RESPONSES, serves
from sallyport.routing.attempts import Attempts
from sallyport.routing.breaker import Breakers
from sallyport.routing.residency import Caller, consider, eligible, targets_of
from sallyport.routing.stored_responses import Owner, ResponseStore, StoreUnavailableError, check_ownership
from sallyport.runtime.streaming import StreamedResponse
from sallyport.verification.schema import RequestSchema
from sallyport.verification.strict_json import check_names, parse_strict


class Pace(NamedTuple):
    """How tries follow each other. `now_s` is the wall clock; `uniform` gives a random number between two."""

    retries: int
    now_s: Callable[[], float]
    sleep: Callable[[float], None]
    uniform: Callable[[float, float], float]


class Rooms(NamedTuple):
    """What a route asks, made once per process. `stream_usage`: every stream is asked for its usage.

    `stored` is asked on the route of responses alone.
    """

    schema: RequestSchema
    policy: Policy
    metering: Metering
    upstreams: Upstreams
    breakers: Breakers
    trail: Trail
    stored: ResponseStore | None
    home_region: str
    stream_usage: bool
    pace: Pace
    logger: Logger
    deadline: Deadline


class _Checked(NamedTuple):
    """A request that may be forwarded: its first sending, and how the others are made."""

    sending: Sending
    attempts: Attempts
    prepare: Callable[[Target], Sending]
    meter: Meter
    principal: Principal


class ProviderRoute:
    """Serves one operation. Every answer is streamed, also when it isn't SSE: a buffered one ends at 6 MB."""

    def __init__(self, operation: Operation, rooms: Rooms) -> None:
        self._operation = operation
        self._rooms = rooms

    def __call__(self, event: Mapping[str, Any], context: StreamedContext) -> StreamedResponse:
        """Answer one proxy event."""
        return _Exchange(self._operation, self._rooms, event, context).answer()


class _Exchange(Exchange):
    def __init__(self, operation: Operation, rooms: Rooms, event: Mapping[str, Any], context: StreamedContext) -> None:
        super().__init__(operation.name, operation.shape, rooms, event, context)
        self._operation = operation
        self._rooms = rooms

    def _serve(self, event: Mapping[str, Any]) -> StreamedResponse:
        checked = self._check(read_request(event))
        self._headers |= checked.meter.admit()
        return self._forward(checked)

    def _check(self, request: Request) -> _Checked:
        """All that may refuse without a charge."""
        principal, rules, caller = self._enter(request)
        if self._operation.scope not in principal.scopes:
            raise InsufficientScopeError(f"This credential lacks the scope {self._operation.scope!r}.")
        check_json_body(request)
        body = parse_strict(request.body)
        self._rooms.schema.check(body)
        check_names(body)
        self._check_time()
        model = _check_model(body["model"], rules, principal)
        self._record.note(model=loggable_model(body["model"]), stream=body.get("stream") is True)
        targets = self._targets(body, rules, caller)
        self._meter = meter = self._rooms.metering.meter(rules, self._asked(request, principal, body), targets)
        ask = Ask(self._operation.name, body, request.body, request.headers, meter.cap, self._rooms.stream_usage)
        prepare = self._prepare_by(ask, rules, model)
        sending, attempts = self._first(targets, prepare, body["model"])
        return _Checked(sending, attempts, prepare, meter, principal)

    def _targets(self, body: Mapping[str, Any], rules: RouterRules, caller: Caller) -> Sequence[Target]:
        """Give the targets that the caller's data may go to. Where there is none, that is on record."""
        model = body["model"]
        considered = consider(targets_of(model, rules), rules, caller, self._serves)
        subject = Subject(caller.tenant, caller.residency, rules.version, loggable_model(model))
        self._decisions.begin(subject, considered)
        try:
            targets = eligible(considered)
        except SallyportError as error:
            self._decisions.refuse(error.code)
            raise
        return self._keeping(body, caller.tenant, targets)

    def _keeping(self, body: Mapping[str, Any], tenant: str, targets: Sequence[Target]) -> Sequence[Target]:
        """Give the one target that keeps the response which is gone on from, where the request names one."""
        previous = body.get("previous_response_id")
        if self._operation.name != RESPONSES or previous is None or self._rooms.stored is None:
            return targets
        kept_by = check_ownership(self._rooms.stored, previous, tenant)
        keeping = [target for target in targets if target.id == kept_by]
        if not keeping:
            raise UnsupportedFieldError(
                "The previous response isn't at this model's target.", param="previous_response_id"
            )
        return keeping

    def _serves(self, upstream: UpstreamRules) -> bool:
        return serves(upstream.provider, self._operation.name)

    def _prepare_by(self, ask: Ask, rules: RouterRules, model: ModelRules) -> Callable[[Target], Sending]:
        def prepare(target: Target) -> Sending:
            upstream = self._rooms.upstreams.get(rules.upstreams[target.upstream])
            return prepared(target, upstream, call_for(ask, target, upstream.rules, model))

        return prepare

    def _first(
        self, targets: Sequence[Target], prepare: Callable[[Target], Sending], model: str
    ) -> tuple[Sending, Attempts]:
        rooms = self._rooms

        def attempts_for(left: Sequence[Target]) -> Attempts:
            return Attempts(left, rooms.breakers, rooms.pace.retries, rooms.pace.uniform, model)

        try:
            return first_sending(targets, prepare, attempts_for)
        except ServiceUnavailableError as error:
            self._decisions.refuse(error.code)
            raise

    def _asked(self, request: Request, principal: Principal, body: Mapping[str, Any]) -> Asked:
        return Asked(
            request.id, self._operation.name, request.path, principal, request.source_ip, body, self._whole_s()
        )

    def _forward(self, checked: _Checked) -> StreamedResponse:
        self._check_time()
        checked.meter.forward()
        pace = self._rooms.pace
        journey = Journey(
            checked.meter, self._record, self._decisions, self._remaining_s, pace.now_s, pace.sleep, self._headers
        )
        answer = Forwarding(checked.sending, checked.attempts, checked.prepare, journey).forward()
        self._own(answer, checked.principal.tenant)
        self._record.note(status=answer.status, complete=False)
        is_streamed = answer.sending.call.stream and answer.status < 300  # noqa: PLR2004 - HTTP
        return StreamedResponse(
            status=answer.status,
            headers={**answer.headers, **self._headers},
            body=answer.passage,
            error_event=self._operation.error_event if is_streamed else None,
        )

    def _own(self, answer: Answer, tenant: str) -> None:
        """Have it remembered whose a response is that the upstream keeps, before its client can name it."""
        stored, sending, logger = self._rooms.stored, answer.sending, self._rooms.logger
        if stored is None or not sending.upstream.rules.store or sending.call.body.get("store") is False:
            return

        def look(chunk: bytes) -> bool:
            identifier = response_id(chunk)
            if identifier is None:
                return False
            try:
                stored.write(identifier, Owner(tenant, sending.target.id))
            except StoreUnavailableError as error:
                logger.warning("a stored response has no owner, so nobody can go on from it", reason=str(error))
            return True

        if answer.status < 300:  # noqa: PLR2004 - HTTP
            answer.passage.watch(look)


def _check_model(model: str, rules: RouterRules, principal: Principal) -> ModelRules:
    if rules.models is not None and model not in rules.models:
        raise ModelNotFoundError("This model does not exist, or you do not have access to it.", param="model")
    if principal.models is not None and model not in principal.models:
        raise ModelNotAllowedError("This credential may not use this model.", param="model")
    return (rules.models or {}).get(model, ModelRules())
