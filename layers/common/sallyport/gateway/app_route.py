"""The route to an operator's own apps: permissions, residency, limits, then forward with the caller's signed identity.

An app is one target, so there is no failover: it is asked once more only where no connection could be made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sallyport.errors import (
    InsufficientScopeError,
    LeakBlockedError,
    NotFoundError,
    SallyportError,
    SecretUnavailableError,
    UpstreamNotConnectedError,
    UpstreamUnreachableError,
)
from sallyport.gateway.app_answer import AppAnswer, answer_headers, check_answer, is_event_stream
from sallyport.gateway.app_documents import AppDocuments
from sallyport.gateway.app_guard import AppAnswerChecks, AppAnswerGuard, AppScanners, search
from sallyport.gateway.app_requests import Query, app_request, read_query
from sallyport.gateway.decisions import Subject, Trail
from sallyport.gateway.error_shapes import problem_event, problem_shape
from sallyport.gateway.exchange import Exchange
from sallyport.gateway.metering import Asked, Meter, Metering
from sallyport.gateway.request import Request, read_request
from sallyport.gateway.signed_identity import Signing, signed
from sallyport.policy.canary_rules import CANARY
from sallyport.policy.upstream_rules import AppRules, Target, UpstreamRules
from sallyport.policy.verification_rules import ANSWERS, REQUESTS
from sallyport.providers.usage import NoUsage, ReportedUsage
from sallyport.routing.residency import ELIGIBLE, Caller, consider, eligible
from sallyport.runtime.streaming import StreamedResponse
from sallyport.verification.openapi.media_types import essence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sallyport.gateway.canarying import Canaries
    from sallyport.gateway.deadline import Deadline
    from sallyport.gateway.exchange import Policy, StreamedContext
    from sallyport.gateway.upstreams import Upstream, Upstreams
    from sallyport.identity.principal import Principal
    from sallyport.observability.log import Logger
    from sallyport.policy.limit_rules import RouterRules
    from sallyport.providers.transport import UpstreamRequest, UpstreamResponse

ROUTE = "apps"
SCOPE = "apps"
PROVIDER = "app"


class Rooms(NamedTuple):
    """What the route asks, made once per process. `now_s` is the wall clock."""

    policy: Policy
    metering: Metering
    canaries: Canaries
    upstreams: Upstreams
    trail: Trail
    home_region: str
    now_s: Callable[[], float]
    logger: Logger
    deadline: Deadline


class _Case(NamedTuple):
    """A request to an app that its caller may ask, whichever arm it takes."""

    request: Request
    query: Query
    name: str
    app: AppRules
    principal: Principal
    rules: RouterRules
    checks: AppAnswerChecks


class _Sending(NamedTuple):
    """A request that may be sent, signed. `model` is what limits, totals and the audit trail know the app by."""

    model: str
    app: AppRules
    target: Target
    upstream: Upstream
    request: UpstreamRequest
    meter: Meter
    checks: AppAnswerChecks


class _NothingUsed(NoUsage):
    """The usage of an answer that no model has made, as far as the gateway knows."""

    reported = ReportedUsage(0, 0)


class AppRoute:
    """Serves `/apps/{name}` and all below it, by any method. Every answer is streamed."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._documents = AppDocuments()
        self._scanners = AppScanners()

    def __call__(self, event: Mapping[str, Any], context: StreamedContext) -> StreamedResponse:
        """Answer one proxy event."""
        return _Exchange(self._rooms, self._documents, self._scanners, event, context).answer()


class _Exchange(Exchange):
    def __init__(
        self,
        rooms: Rooms,
        documents: AppDocuments,
        scanners: AppScanners,
        event: Mapping[str, Any],
        context: StreamedContext,
    ) -> None:
        super().__init__(ROUTE, problem_shape, rooms, event, context)
        self._rooms = rooms
        self._documents = documents
        self._scanners = scanners
        self._guard: AppAnswerGuard | None = None

    def _serve(self, event: Mapping[str, Any]) -> StreamedResponse:
        sending = self._check(read_request(event), read_query(event))
        self._headers |= sending.meter.admit()
        return self._forward(sending)

    def _check(self, request: Request, query: Query) -> _Sending:
        """All that may refuse without a charge."""
        principal, rules, caller = self._enter(request)
        if SCOPE not in principal.scopes:
            raise InsufficientScopeError(f"This credential lacks the scope {SCOPE!r}.")
        name, app = _app(request, rules, principal)
        self._record.note(app=name, method=request.method)
        request = self._without_leaks(request, rules, principal.tenant, name)
        described = self._documents.check(name, rules.apps, request, query)
        leaks = self._scanners.get(rules.verification, ANSWERS, principal.tenant, name)
        if leaks is not None and leaks.acting is not None:
            request = _unranged(request)
        stable = self._target(f"app:{name}", app, rules, caller)
        self._part = self._rooms.canaries.part(rules, request, principal, ROUTE, app=name)
        target = self._on_arm(stable, rules, caller)
        case = _Case(request, query, name, app, principal, rules, AppAnswerChecks(described, app.answers.mode, leaks))
        try:
            return self._ready(target, case)
        except SecretUnavailableError as error:
            if target is stable or self._part is None:
                raise
            self._part.give_up(error.code)
            self._note_part()
        return self._ready(stable, case)

    def _ready(self, target: Target, case: _Case) -> _Sending:
        upstream = self._rooms.upstreams.get(case.rules.upstreams[target.upstream])
        prepared = app_request(case.request, case.query, case.app, upstream.rules)
        self._check_time()
        asked = self._asked(case.request, case.principal, case.name)
        self._meter = meter = self._rooms.metering.meter(case.rules, asked, (target,))
        signing = Signing(case.principal, case.request.id, int(self._rooms.now_s()))
        request = signed(prepared, signing, upstream.secret.read())
        return _Sending(f"app:{case.name}", case.app, target, upstream, request, meter, case.checks)

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

    def _on_arm(self, stable: Target, rules: RouterRules, caller: Caller) -> Target:
        """Give the canary's target where the request is on its arm and the caller's data may go there."""
        part = self._part
        if part is None or part.assignment.rules.target is None:
            self._part = None
            return stable
        considered = consider((part.assignment.rules.target,), rules, caller, _serves)
        if considered[0].verdict != ELIGIBLE:
            part.withdraw(considered[0].verdict)
        self._note_part(considered)
        return considered[0].target if part.assignment.arm == CANARY else stable

    def _asked(self, request: Request, principal: Principal, name: str) -> Asked:
        body = {"model": f"app:{name}"}
        return Asked(request.id, ROUTE, request.path, principal, request.source_ip, body, self._whole_s())

    def _forward(self, sending: _Sending) -> StreamedResponse:
        sending.meter.forward()
        response = self._send(sending)
        has_body = sending.request.method != "HEAD"
        try:
            check_answer(response)
            self._guard = guard = AppAnswerGuard(sending.checks, response, has_body=has_body)
            guard.begin()
        except BaseException:
            response.close()
            raise
        self._record.note(status=response.status, complete=False)
        return StreamedResponse(
            status=response.status,
            headers={**answer_headers(response, sending.app.answer_headers), **self._headers},
            body=AppAnswer(response, self._record, guard),
            error_event=problem_event if is_event_stream(response) else None,
        )

    def _without_leaks(self, request: Request, rules: RouterRules, tenant: str, name: str) -> Request:
        """Give the request as the leak guard lets it go on. Raises `LeakBlockedError`."""
        scanner = self._scanners.get(rules.verification, REQUESTS, tenant, name)
        if scanner is None or not request.body:
            return request
        changed, findings, is_blocked = search(scanner, essence(request.headers.get("content-type", "")), request.body)
        if findings:
            self._record.note(request_findings=list(map(str, findings)))
        if is_blocked:
            raise LeakBlockedError("The request holds what may not go on, such as a key.")
        return request if changed is None else request._replace(body=changed)

    def _finish(self) -> None:
        try:
            if self._guard is not None:
                self._guard.finish(self._record, self._rooms.logger)
        except Exception as error:  # noqa: BLE001 - the log line and the settlement must follow
            self._record.note_failure(error)
        super()._finish()

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


def _app(request: Request, rules: RouterRules, principal: Principal) -> tuple[str, AppRules]:
    """Give the app that a request names. One that the tenant may not call is as if it weren't there."""
    name = request.path_parameters.get("name", "")
    app = rules.apps.get(name)
    if app is None or (app.tenants is not None and principal.tenant not in app.tenants):
        raise NotFoundError("This app does not exist, or you do not have access to it.")
    return name, app


def _unranged(request: Request) -> Request:
    """A leak that is asked for in pieces is in none of them."""
    return request._replace(headers={name: value for name, value in request.headers.items() if name != "range"})


def _serves(upstream: UpstreamRules) -> bool:
    return upstream.provider == PROVIDER
