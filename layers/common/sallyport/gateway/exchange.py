"""One request on a streamed route and its answer: what is the same whoever answers it.

An answer is always one of the route's shape, and after it, however it ended: the log line, the audit record of the
outcome, the settlement, the anchor, a look for a newer policy, the count of a canary's outcome.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from sallyport.errors import DeadlineExceededError, InternalError, SallyportError, ServiceUnavailableError
from sallyport.gateway.answers import streamed_error
from sallyport.gateway.canarying import Canaries, CanaryPart
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.decisions import Decisions, Trail
from sallyport.gateway.error_shapes import Shape
from sallyport.gateway.metering import Meter
from sallyport.gateway.record import RequestRecord
from sallyport.gateway.request import Request, read_principal
from sallyport.identity.principal import Principal
from sallyport.observability.log import Logger
from sallyport.policy.current import PolicyUnavailableError
from sallyport.policy.limit_rules import RouterRules
from sallyport.routing.residency import Caller, Considered, check_home
from sallyport.runtime.context import AFTER_RESPONSE_RESERVE_S
from sallyport.runtime.streaming import StreamedResponse

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


class Policy(Protocol):
    """The policy in force; `policy.current.CurrentPolicy` is one."""

    def get(self) -> RouterRules:
        """Give what a route goes by. Raises `PolicyUnavailableError`."""

    def refresh_early(self) -> None:
        """Look for a newer one while nobody waits."""


class Rooms(Protocol):
    """What every exchange asks."""

    @property
    def policy(self) -> Policy:
        """Give the policy."""

    @property
    def canaries(self) -> Canaries:
        """Give the canaries."""

    @property
    def trail(self) -> Trail:
        """Give the audit trail."""

    @property
    def home_region(self) -> str:
        """Give the region that the function runs in."""

    @property
    def logger(self) -> Logger:
        """Give the log."""

    @property
    def deadline(self) -> Deadline:
        """Give what bounds all waiting."""


class Exchange:
    """One request and its answer. It lives until the answer is over, so it keeps nothing of the request's body.

    A route's own exchange says in `_serve` how it is answered, and sets `_meter` once there is something to charge.
    """

    def __init__(
        self, route: str, shape: Shape, rooms: Rooms, event: Mapping[str, Any], context: StreamedContext
    ) -> None:
        request_id = str((event.get("requestContext") or {}).get("requestId", ""))
        self._shape = shape
        self._life = rooms
        self._event = event
        self._context = context
        self._headers = {"x-request-id": request_id, "x-sallyport-region": rooms.home_region}
        self._record = RequestRecord(rooms.logger, request_id, route)
        self._decisions = Decisions(rooms.trail, request_id, route, rooms.home_region)
        self._meter: Meter | None = None
        self._part: CanaryPart | None = None
        self._findings: list[str] = []
        rooms.deadline.begin(self._whole_s(), AFTER_RESPONSE_RESERVE_S)
        context.after_response(self._finish)

    def answer(self) -> StreamedResponse:
        """Answer the event, whatever happens."""
        event, self._event = self._event, {}
        try:
            return self._serve(event)
        except SallyportError as error:
            return self._refuse(error)
        except Exception as error:  # noqa: BLE001 - the last resort: an answer in the route's shape, the log knows more
            self._record.note_failure(error)
            return self._refuse(InternalError("The gateway failed; the request id finds the reason in its log."))

    def _serve(self, event: Mapping[str, Any]) -> StreamedResponse:
        """Give the answer. What it raises becomes one."""
        raise NotImplementedError

    def _enter(self, request: Request) -> tuple[Principal, RouterRules, Caller]:
        """Give who is calling and by which rules, once it is known that this region may handle it.

        Nothing of the request is looked at, or noted, before that.
        """
        principal, rules = read_principal(request), self._rules()
        caller = Caller(principal.tenant, principal.residency)
        check_home(caller, self._life.home_region, rules.endpoints)
        self._record.note_principal(principal)
        return principal, rules, caller

    def _rules(self) -> RouterRules:
        try:
            return self._life.policy.get()
        except PolicyUnavailableError:
            raise ServiceUnavailableError("The gateway's policy can't be read at the moment.") from None

    def _refuse(self, error: SallyportError) -> StreamedResponse:
        self._record.note_error(error)
        self._note_findings(error.findings)
        refusal = streamed_error(error, self._shape, self._headers)
        self._record.bytes_out = sum(map(len, refusal.body))
        return refusal

    def _finish(self) -> None:
        """Settle what the request used, however it ended, and look for a newer policy; the log line comes first."""
        life = self._life
        life.deadline.begin(self._whole_s(), SETTLING_RESERVE_S)
        try:
            if self._meter is not None:
                self._record.note(**self._meter.close())
        except Exception as error:  # noqa: BLE001 - what went wrong in reckoning must not leave the charge unsettled
            self._record.note_failure(error)
        try:
            self._record.emit()
            self._decisions.end(**self._record.outcome())
        finally:
            if self._meter is not None:
                self._meter.settle()
        life.trail.anchor_if_due()
        if life.deadline.left_s() > REFRESH_S:
            life.policy.refresh_early()
            life.canaries.refresh_early()
        if self._part is not None:  # the last, so that nothing else depends on it
            life.canaries.finish(self._part, self._record.fields)

    def _note_findings(self, findings: Iterable[object]) -> None:
        """Tell the log of what rules found in the request, each as its rule, its kind and how often."""
        found = list(map(str, findings))
        if found and not self._findings:
            self._life.logger.metric("RequestFinding", 1)
        self._findings += found
        if self._findings:
            self._record.note(request_findings=list(self._findings))

    def _note_part(self, considered: Iterable[Considered] = ()) -> None:
        """Tell the log, the audit trail and the client of the request's part in a canary."""
        if self._part is not None:
            self._headers |= self._part.headers
            self._record.note(**self._part.fields)
            self._decisions.note_canary(self._part.fields, considered)

    def _check_time(self) -> None:
        if self._remaining_s() <= 0:
            raise DeadlineExceededError("The gateway's time for this request is used up.")

    def _remaining_s(self) -> float:
        return self._whole_s() - AFTER_RESPONSE_RESERVE_S

    def _whole_s(self) -> float:
        return self._context.get_remaining_time_in_millis() / 1000
