"""A route to an upstream: permissions, parse, verify, residency, limits, then forward and stream."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sallyport.errors import (
    InsufficientScopeError,
    InternalError,
    ModelNotAllowedError,
    ModelNotFoundError,
    PermissionRefusedError,
    RequestError,
    SallyportError,
    SecretUnavailableError,
    ServiceUnavailableError,
    UpstreamCredentialsError,
)
from sallyport.gateway.answer_guard import AnswerGuard
from sallyport.gateway.arms import Arm, Asker, canary_arm, may_differ, refusal_of
from sallyport.gateway.calls import Ask, call_for
from sallyport.gateway.canarying import KEPT_RESPONSE, UNSUPPORTED_ON_STABLE, Canaries, CanaryPart
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.decisions import Subject, Trail
from sallyport.gateway.exchange import REFRESH_S, Exchange, Policy, StreamedContext
from sallyport.gateway.forwarding import Answer, Forwarding, Journey, Prepare, Sending, first_sending, prepared
from sallyport.gateway.guard_contract import Prompt
from sallyport.gateway.guard_hooks import Asking, GuardHooks
from sallyport.gateway.kept_responses import is_kept, keeping, kept_by, known, remember_owner
from sallyport.gateway.metering import Asked, Meter, Metering
from sallyport.gateway.operations import Operation
from sallyport.gateway.record import loggable_model
from sallyport.gateway.request import Request, check_json_body, read_request
from sallyport.gateway.upstreams import Upstreams
from sallyport.gateway.verifying import Checks, CurrentChecks
from sallyport.identity.principal import Principal
from sallyport.observability.log import Logger
from sallyport.policy.canary_rules import CANARY, STABLE
from sallyport.policy.limit_rules import ModelRules, RouterRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from sallyport.providers.provider import serves
from sallyport.routing.attempts import Attempts
from sallyport.routing.breaker import Breakers
from sallyport.routing.residency import consider, eligible, targets_of
from sallyport.routing.stored_responses import ResponseStore
from sallyport.runtime.streaming import StreamedResponse
from sallyport.verification.prompt_texts import PromptTexts
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
    checks: CurrentChecks
    policy: Policy
    metering: Metering
    canaries: Canaries
    upstreams: Upstreams
    guards: GuardHooks
    breakers: Breakers
    trail: Trail
    stored: ResponseStore | None
    home_region: str
    stream_usage: bool
    pace: Pace
    logger: Logger
    deadline: Deadline


class _Case(NamedTuple):
    """A checked request, whichever arm it takes. `model`: the rules of what the client calls it.

    `body`: as the checks let it pass, without a canary's parameters.
    """

    request: Request
    body: Mapping[str, Any]
    asker: Asker
    model: ModelRules
    checks: Checks


class _Way(NamedTuple):
    """How a request goes upstream: its first sending, and how the others are made."""

    sending: Sending
    attempts: Attempts
    prepare: Prepare


class _Checked(NamedTuple):
    """A request that may be forwarded. `otherwise`: on the stable arm, where the canary's upstream refuses the gateway.

    None where there is no other arm, or where that arm might cost more than what is reserved.
    """

    way: _Way
    otherwise: Callable[[], _Way] | None
    meter: Meter
    case: _Case


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
        self._answer_guard: AnswerGuard | None = None

    def _finish(self) -> None:
        if self._answer_guard is not None:
            self._answer_guard.finish(in_time=self._whole_s() > REFRESH_S)
        super()._finish()

    def _serve(self, event: Mapping[str, Any]) -> StreamedResponse:
        checked = self._check(read_request(event))
        self._headers |= checked.meter.admit()
        self._ask_guards(checked)
        return self._forward(checked)

    def _ask_guards(self, checked: _Checked) -> None:
        """Show the prompt to external guards. They come after the limits; what one refuses isn't charged.

        They see the client's words also where a canary's parameters stand for them: the stable arm may yet get those.
        """
        case = checked.case
        if not case.checks.guards:
            return
        asker, body = case.asker, case.body
        texts = ((text.role, text.text) for text in PromptTexts(self._operation.name, body))
        prompt = Prompt(case.request.id, self._operation.name, body["model"], asker.caller.tenant, texts)
        asking = Asking(asker.rules, asker.caller, self._decisions, self._remaining_s)
        self._note_findings(self._rooms.guards.check(case.checks.guards, prompt, asking))

    def _check(self, request: Request) -> _Checked:
        """All that may refuse without a charge."""
        principal, rules, caller = self._enter(request)
        if self._operation.scope not in principal.scopes:
            raise InsufficientScopeError(f"This credential lacks the scope {self._operation.scope!r}.")
        check_json_body(request)
        body = parse_strict(request.body)
        self._rooms.schema.check(body)
        check_names(body)
        checks = self._rooms.checks.get(rules.verification, caller.tenant)
        model = _check_model(body["model"], rules, principal)
        self._record.note(model=loggable_model(body["model"]), stream=body.get("stream") is True)
        passed = self._verified(body, checks, model.max_output_tokens)
        self._check_time()
        asker = Asker(rules, caller, principal, self._serves, self._operation.name)
        stable = Arm(passed, self._targets(body, asker), request.body if passed is body else None)
        name = self._operation.name
        asker = asker._replace(
            kept_by=kept_by(self._rooms.stored, name, body, caller.tenant), is_kept=is_kept(name, body)
        )
        try:
            return self._on_arm(stable, _Case(request, passed, asker, model, checks))
        except ServiceUnavailableError as error:
            self._decisions.refuse(error.code)
            raise

    def _verified(self, body: Mapping[str, Any], checks: Checks, longest: int | None) -> Mapping[str, Any]:
        """Give the body as it may go on: the same object if the policy's rules leave it as it is."""
        passed, findings = checks.passed(body, longest)
        self._note_findings(findings)
        return passed

    def _on_arm(self, stable: Arm, case: _Case) -> _Checked:
        """Make the request ready on its arm; on the stable one, if the canary can't take it or is down."""
        arm, otherwise = self._choose(stable, case)
        if otherwise is None:
            return self._ready(arm, case)
        try:
            return self._ready(arm, case, otherwise)
        except (RequestError, PermissionRefusedError) as error:
            self._withdraw(error.code)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the canary, its callers get stable
            self._give_up(error)
        return self._ready(otherwise, case)

    def _choose(self, stable: Arm, case: _Case) -> tuple[Arm, Arm | None]:
        """Give the arm that the request takes, and the stable one if it isn't that.

        An arm that its caller may not use isn't offered. Who goes on from a response has to go where it is kept.
        """
        asker, kept = case.asker, keeping(stable, case.asker.kept_by)
        part = self._rooms.canaries.part(
            asker.rules, case.request, asker.principal, self._operation.name, model=stable.body["model"]
        )
        self._part = part
        if part is None:
            return known(kept), None
        canary, note, considered = canary_arm(part.assignment.rules, kept or stable, asker, case.checks)
        if kept is None:
            arm = known(keeping(canary, asker.kept_by))
            part.stay(KEPT_RESPONSE)
            self._note_part(considered)
            return arm, None
        if canary is None:
            part.withdraw(note)
        else:
            self._compare(part, kept, canary, case)
        self._note_part(considered)
        return (canary, kept) if canary is not None and part.assignment.arm == CANARY else (kept, None)

    def _compare(self, part: CanaryPart, stable: Arm, canary: Arm, case: _Case) -> None:
        """Leave a request uncounted that the other arm could not have taken: there is nothing to compare it with."""
        if not part.assignment.is_counted or not may_differ(stable, canary, case.asker.rules, case.model):
            return
        is_stable = part.assignment.arm == STABLE
        if refusal := self._refusal(canary if is_stable else stable, case):
            part.leave_out(refusal if is_stable else UNSUPPORTED_ON_STABLE)

    def _refusal(self, arm: Arm, case: _Case) -> str:
        """Give the code of why an arm can't take a request, empty if it can. Nothing is read or charged for it."""

        def ask(target: Target) -> None:
            cap = self._meter_for(arm, case, arm.targets).cap
            upstream = self._rooms.upstreams.get(case.asker.rules.upstreams[target.upstream])
            if upstream.provider is not None:
                upstream.provider.request(call_for(self._ask(arm, case, cap), target, upstream.rules, case.model))

        return refusal_of(arm.targets, ask)

    def _withdraw(self, note: str) -> None:
        if self._part is not None:
            self._part.withdraw(note)
            self._note_part()

    def _give_up(self, error: Exception) -> None:
        """Leave the canary, which is to blame for it; what nobody expected is in the log."""
        code = error.code if isinstance(error, SallyportError) else InternalError.code
        if not isinstance(error, SallyportError):
            self._record.note_failure(error)
        if self._part is not None:
            self._part.give_up(code)
            self._note_part()

    def _ready(self, arm: Arm, case: _Case, otherwise: Arm | None = None) -> _Checked:
        """Make a request ready on an arm. What is reserved also covers the arm that it may have to go over to."""
        targets = arm.targets if otherwise is None else (*arm.targets, *otherwise.targets)
        self._meter = meter = self._meter_for(arm, case, targets)
        way = self._way(arm, case, meter.cap)
        other = None
        if otherwise is not None:
            own = meter if otherwise.body is arm.body else self._meter_for(otherwise, case, targets)
            other = partial(self._way, otherwise, case, own.cap) if meter.covers(own) else None
        return _Checked(way, other, meter, case)

    def _way(self, arm: Arm, case: _Case, cap: int | None) -> _Way:
        prepare = self._prepare_by(self._ask(arm, case, cap), case.asker.rules, case.model)
        return _Way(*self._first(arm, prepare), prepare)

    def _ask(self, arm: Arm, case: _Case, cap: int | None) -> Ask:
        return Ask(self._operation.name, arm.body, arm.text, case.request.headers, cap, self._rooms.stream_usage)

    def _meter_for(self, arm: Arm, case: _Case, targets: Sequence[Target]) -> Meter:
        request, principal = case.request, case.asker.principal
        asked = Asked(
            request.id, self._operation.name, request.path, principal, request.source_ip, arm.body, self._whole_s()
        )
        return self._rooms.metering.meter(case.asker.rules, asked, targets)

    def _targets(self, body: Mapping[str, Any], asker: Asker) -> Sequence[Target]:
        """Give the targets that the caller's data may go to. Where there is none, that is on record."""
        model, rules, caller = body["model"], asker.rules, asker.caller
        considered = consider(targets_of(model, rules), rules, caller, asker.serves)
        subject = Subject(caller.tenant, caller.residency, rules.version, loggable_model(model))
        self._decisions.begin(subject, considered)
        try:
            return eligible(considered)
        except SallyportError as error:
            self._decisions.refuse(error.code)
            raise

    def _serves(self, upstream: UpstreamRules) -> bool:
        return serves(upstream.provider, self._operation.name)

    def _prepare_by(self, ask: Ask, rules: RouterRules, model: ModelRules) -> Callable[[Target], Sending]:
        def prepare(target: Target) -> Sending:
            upstream = self._rooms.upstreams.get(rules.upstreams[target.upstream])
            return prepared(target, upstream, call_for(ask, target, upstream.rules, model))

        return prepare

    def _first(self, arm: Arm, prepare: Callable[[Target], Sending]) -> tuple[Sending, Attempts]:
        rooms, pace = self._rooms, self._rooms.pace

        def attempts_for(left: Sequence[Target]) -> Attempts:
            return Attempts(left, rooms.breakers, pace.retries, pace.uniform, arm.body["model"], arm.canary)

        return first_sending(arm.targets, prepare, attempts_for)

    def _forward(self, checked: _Checked) -> StreamedResponse:
        self._check_time()
        checked.meter.forward()
        answer = self._answer(checked)
        remember_owner(self._rooms.stored, answer, checked.case.asker.caller.tenant, self._rooms.logger)
        self._record.note(status=answer.status, complete=False)
        is_streamed = answer.sending.call.stream and answer.is_success
        self._guard(answer, checked.case.checks, is_streamed=is_streamed)
        return StreamedResponse(
            status=answer.status,
            headers={**answer.headers, **self._headers},
            body=answer.passage,
            error_event=self._operation.error_event if is_streamed else None,
        )

    def _guard(self, answer: Answer, checks: Checks, *, is_streamed: bool) -> None:
        """Have the answer held to the policy. Raises `UpstreamError`s for one of which nothing may go on."""
        guard = AnswerGuard(self._operation.name, checks.answers, self._record, self._rooms.logger)
        if guard.is_idle or (not answer.is_success and checks.answers.leaks is None):
            return
        self._answer_guard = guard
        look = guard.stream if is_streamed else guard.whole if answer.is_success else guard.refusal
        try:
            answer.passage.guard(look, wait=guard.acts)
        except BaseException:
            answer.passage.close()
            raise

    def _answer(self, checked: _Checked) -> Answer:
        """Give the answer; the stable arm's, where the canary's upstream does nothing for the gateway's credential."""
        pace = self._rooms.pace
        journey = Journey(
            checked.meter, self._record, self._decisions, self._remaining_s, pace.now_s, pace.sleep, self._headers
        )
        try:
            return Forwarding(*checked.way, journey).forward()
        except (UpstreamCredentialsError, SecretUnavailableError) as error:
            if checked.otherwise is None:
                raise
            self._give_up(error)
        return Forwarding(*checked.otherwise(), journey).forward()


def _check_model(model: str, rules: RouterRules, principal: Principal) -> ModelRules:
    if rules.models is not None and model not in rules.models:
        raise ModelNotFoundError("This model does not exist, or you do not have access to it.", param="model")
    if principal.models is not None and model not in principal.models:
        raise ModelNotAllowedError("This credential may not use this model.", param="model")
    return (rules.models or {}).get(model, ModelRules())
