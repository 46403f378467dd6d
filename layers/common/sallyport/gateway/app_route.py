"""The route to an operator's own apps: permissions, residency, limits, then forward with the caller's signed identity.

An app is one target, so there is no failover: it is asked once more only where no connection could be made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sallyport.errors import (
    DeadlineExceededError,
    InsufficientScopeError,
    InternalError,
    NotFoundError,
    SallyportError,
    ServiceUnavailableError,
    UpstreamNotConnectedError,
    UpstreamUnreachableError,
)
from sallyport.gateway.answers import streamed_error
from sallyport.gateway.app_answer import AppAnswer, answer_headers, check_answer, is_event_stream, problem_event
from sallyport.gateway.app_requests import Query, app_request, read_query
from sallyport.gateway.decisions import Decisions, Subject, Trail
from sallyport.gateway.error_shapes import problem_shape
from sallyport.gateway.metering import Asked, Meter, Metering
from sallyport.gateway.record import RequestRecord
from sallyport.gateway.request import Request, read_principal, read_request
from sallyport.gateway.signed_identity import Signing, signed
from sallyport.policy.current import PolicyUnavailableError
from sallyport.policy.upstream_rules import AppRules, Target, UpstreamRules
from sallyport.providers.usage import NoUsage, ReportedUsage
from sallyport.routing.residency import Caller, check_home, consider, eligible
from sallyport.runtime.context import AFTER_RESPONSE_RESERVE_S
from sallyport.runtime.streaming import StreamedResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sallyport.gateway.deadline import Deadline
    from sallyport.gateway.provider_route import Policy, StreamedContext
    from sallyport.gateway.upstreams import Upstream, Upstreams
    from sallyport.identity.principal import Principal
    from sallyport.observability.log import Logger
    from sallyport.policy.limit_rules import RouterRules
    from sallyport.providers.transport import UpstreamRequest, UpstreamResponse

ROUTE = "apps"
SCOPE = "apps"
PROVIDER = "app"

SETTLING_RESERVE_S = 0.2
"""Kept back of the time after a response: the runtime asks for its next event before Lambda ends it."""

REFRESH_S = 3.0
"""With less time left the policy isn't looked at after a response: it would seem unreadable."""


class Rooms(NamedTuple):
    """What the route asks, made once per process. `now_s` is the wall clock."""

    policy: Policy
    metering: Metering
    upstreams: Upstreams
    trail: Trail
    home_region: str
    now_s: Callable[[], float]
    logger: Logger
    deadline: Deadline


class _Sending(NamedTuple):
    """A request that may be sent, signed. `model` is what limits, totals and the audit trail know the app by."""

    model: str
    app: AppRules
    target: Target
    upstream: Upstream
    request: UpstreamRequest
    meter: Meter


class _NothingUsed(NoUsage):
    """The usage of an answer that no model has made, as far as the gateway knows."""

    reported = ReportedUsage(0, 0)


class AppRoute:
    """Serves `/apps/{name}` and all below it, by any method. Every answer is streamed."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def __call__(self, event: Mapping[str, Any], context: StreamedContext) -> StreamedResponse:
        """Answer one proxy event."""
        request_id = str((event.get("requestContext") or {}).get("requestId", ""))
        return _Exchange(self._rooms, request_id, context).answer(event)


class _Exchange:
    """One request and its answer. It lives until the answer is over, so it keeps nothing of the request's body."""

    def __init__(self, rooms: Rooms, request_id: str, context: StreamedContext) -> None:
        self._rooms = rooms
        self._context = context
        self._headers = {"x-request-id": request_id, "x-sallyport-region": rooms.home_region}
        self._record = RequestRecord(rooms.logger, request_id, ROUTE)
        self._decisions = Decisions(rooms.trail, request_id, ROUTE, rooms.home_region)
        self._meter: Meter | None = None
        rooms.deadline.begin(self._whole_s(), AFTER_RESPONSE_RESERVE_S)
        context.after_response(self._finish)

    def answer(self, event: Mapping[str, Any]) -> StreamedResponse:
        try:
            sending = self._check(read_request(event), read_query(event))
            self._headers |= sending.meter.admit()
            return self._forward(sending)
        except SallyportError as error:
            return self._refuse(error)
        except Exception as error:  # noqa: BLE001 - the last resort: an answer in the route's shape, the log knows more
            self._record.note_failure(error)
            return self._refuse(InternalError("The gateway failed; the request id finds the reason in its log."))

    def _finish(self) -> None:
        """Settle, write the outcome, and look for a newer policy; the log line comes first."""
        rooms = self._rooms
        rooms.deadline.begin(self._whole_s(), SETTLING_RESERVE_S)
        try:
            if self._meter is not None:
                self._record.note(**self._meter.close())
        except Exception as error:  # noqa: BLE001 - what went wrong in reckoning must not leave the charge unsettled
            self._record.note_failure(error)
        self._record.emit()
        self._decisions.end(**self._record.outcome())
        if self._meter is not None:
            self._meter.settle()
        rooms.trail.anchor_if_due()
        if rooms.deadline.left_s() > REFRESH_S:
            rooms.policy.refresh_early()

    def _refuse(self, error: SallyportError) -> StreamedResponse:
        self._record.note_error(error)
        refusal = streamed_error(error, problem_shape, self._headers)
        self._record.bytes_out = sum(map(len, refusal.body))
        return refusal

    def _check(self, request: Request, query: Query) -> _Sending:
        """All that may refuse without a charge."""
        principal = read_principal(request)
        rules = self._rules()
        caller = Caller(principal.tenant, principal.residency)
        check_home(caller, self._rooms.home_region, rules.endpoints)  # before anything of it is looked at, or noted
        self._record.note_principal(principal)
        if SCOPE not in principal.scopes:
            raise InsufficientScopeError(f"This credential lacks the scope {SCOPE!r}.")
        name, app = _app(request, rules, principal)
        self._record.note(app=name, method=request.method)
        target = self._target(f"app:{name}", app, rules, caller)
        upstream = self._rooms.upstreams.get(rules.upstreams[target.upstream])
        prepared = app_request(request, query, app, upstream.rules)
        self._check_time()
        self._meter = meter = self._rooms.metering.meter(rules, self._asked(request, principal, name), (target,))
        signing = Signing(principal, request.id, int(self._rooms.now_s()))
        return _Sending(f"app:{name}", app, target, upstream, signed(prepared, signing, upstream.secret.read()), meter)

    def _target(self, model: str, app: AppRules, rules: RouterRules, caller: Caller) -> Target:
        """Give where the app is, if the caller's data may go there. Where it may not, that is on record."""
        upstream = rules.upstreams.get(app.upstream)
        target = Target(app.upstream, "", (upstream.region,) if upstream is not None else ())
        considered = consider((target,), rules, caller, _serves)
        self._decisions.begin(Subject(caller.tenant, caller.residency, rules.version, model), considered)
        try:
            return eligible(considered)[0]
        except SallyportError as error:
            self._decisions.refuse(error.code)
            raise

    def _asked(self, request: Request, principal: Principal, name: str) -> Asked:
        body = {"model": f"app:{name}"}
        return Asked(request.id, ROUTE, request.path, principal, request.source_ip, body, self._whole_s())

    def _rules(self) -> RouterRules:
        try:
            return self._rooms.policy.get()
        except PolicyUnavailableError:
            raise ServiceUnavailableError("The gateway's policy can't be read at the moment.") from None

    def _forward(self, sending: _Sending) -> StreamedResponse:
        sending.meter.forward()
        response = self._send(sending)
        try:
            check_answer(response)
        except BaseException:
            response.close()
            raise
        self._record.note(status=response.status, complete=False)
        return StreamedResponse(
            status=response.status,
            headers={**answer_headers(response, sending.app.answer_headers), **self._headers},
            body=AppAnswer(response, self._record, has_body=sending.request.method != "HEAD"),
            error_event=problem_event if is_event_stream(response) else None,
        )

    def _send(self, sending: _Sending) -> UpstreamResponse:
        try:
            return self._send_once(sending)
        except UpstreamNotConnectedError:
            return self._send_once(sending)  # nothing of the request has gone anywhere

    def _send_once(self, sending: _Sending) -> UpstreamResponse:
        self._check_time()
        target, meter = sending.target, sending.meter
        self._decisions.forward(sending.upstream, target, sending.model)
        meter.go_to(target)
        meter.answer = _NothingUsed()
        self._headers["x-sallyport-region"] = ", ".join(target.regions)
        self._record.note(upstream=target.upstream, region=", ".join(target.regions))
        try:
            response = sending.upstream.transport.send(sending.request, self._remaining_s)
        except UpstreamUnreachableError:
            meter.free = True
            raise
        self._record.note(upstream_status=response.status)
        return response

    def _check_time(self) -> None:
        if self._remaining_s() <= 0:
            raise DeadlineExceededError("The gateway's time for this request is used up.")

    def _remaining_s(self) -> float:
        return self._whole_s() - AFTER_RESPONSE_RESERVE_S

    def _whole_s(self) -> float:
        return self._context.get_remaining_time_in_millis() / 1000


def _app(request: Request, rules: RouterRules, principal: Principal) -> tuple[str, AppRules]:
    """Give the app that a request names. One that the tenant may not call is as if it weren't there."""
    name = request.path_parameters.get("name", "")
    app = rules.apps.get(name)
    if app is None or (app.tenants is not None and principal.tenant not in app.tenants):
        raise NotFoundError("This app does not exist, or you do not have access to it.")
    return name, app


def _serves(upstream: UpstreamRules) -> bool:
    return upstream.provider == PROVIDER
