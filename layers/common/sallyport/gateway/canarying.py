"""A request's part in a canary: which arm it takes, what the log and the client are told, what is counted of it.

An arm is only offered where the caller may use it anyway: residency, permissions and limits come first.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from sallyport.gateway.canary_outcomes import UNSENT, outcome_of
from sallyport.gateway.request import Request
from sallyport.identity.principal import Principal
from sallyport.observability.log import Field, Logger
from sallyport.policy.canary_counts import Outcomes, Place
from sallyport.policy.canary_rules import CANARY, CanaryStates
from sallyport.policy.limit_rules import RouterRules
from sallyport.routing.canary import CANARY_HEADER, CANARY_SCOPE, Assignment, CanaryCaller, assign, override_note

MODEL_NOT_ALLOWED = "model_not_allowed"
INVALID_PARAMETERS = "invalid_parameters"
KEPT_RESPONSE = "goes_on_from_a_kept_response"
NOT_KEPT = "would_not_be_kept"
"""Why an arm isn't offered, beside the verdicts of `routing.residency` and the codes of errors."""

UNSUPPORTED_ON_STABLE = "unsupported_on_stable"
"""The note of a request on the canary that the stable arm couldn't have taken: there is nothing to compare it with."""


class States(Protocol):
    """The canaries' states; `policy.canary_states.CurrentCanaries` is one."""

    @property
    def is_known(self) -> bool:
        """Say whether they could ever be read."""

    def get(self) -> CanaryStates:
        """Give them."""

    def refresh_early(self) -> None:
        """Look for newer ones while nobody waits."""


class Counter(Protocol):
    """Counts outcomes; `gateway.canary_outcomes.OutcomeCounter` is one."""

    def count(self, place: Place, outcome: Outcomes) -> None:
        """Count what became of a request."""


class Canaries:
    """The canaries of one route; made once per process."""

    def __init__(
        self,
        states: States,
        counter: Counter,
        logger: Logger,
        home_region: str,
        stack: str,
        now_s: Callable[[], float],
    ) -> None:
        """`stack` is the stack's name; `now_s` the wall clock."""
        self._states = states
        self._counter = counter
        self._logger = logger
        self._home_region = home_region
        self._stack = stack
        self._now_s = now_s

    def part(
        self,
        rules: RouterRules,
        request: Request,
        principal: Principal,
        operation: str,
        *,
        model: str = "",
        app: str = "",
    ) -> "CanaryPart | None":
        """Give a request's part in the first canary that is for it, None where none is."""
        if not rules.canaries:
            return None
        caller = CanaryCaller(
            operation=operation,
            tenant=principal.tenant,
            subject=principal.subject,
            model=model,
            app=app,
            key=principal.key_family or principal.key_id,
            country=principal.country,
            region=self._home_region,
            claims=principal.claims,
            headers=request.headers,
            may_override=CANARY_SCOPE in principal.scopes,
        )
        states = self._states.get()
        known = states if self._states.is_known else None
        assignment = assign(rules.canaries, known, caller, self._now_s(), self._stack)
        return None if assignment is None else CanaryPart(assignment, override_note(caller, assignment))

    def finish(self, part: "CanaryPart", fields: Mapping[str, Field]) -> None:
        """Count what became of a request, by the fields of its log line. Never raises for a store that is away."""
        place = part.place
        outcome = UNSENT if part.is_blamed else outcome_of(fields, part.assignment.rules.guard)
        if place is None or outcome is None:
            return
        self._counter.count(place, outcome)
        self._logger.metric("CanaryRequests", 1, Canary=place.canary, Arm=place.arm)

    def refresh_early(self) -> None:
        """Look for newer states while nobody waits."""
        self._states.refresh_early()


class CanaryPart:
    """One request's arm, which may still turn out not to be one for its caller. `is_blamed`: the canary failed it."""

    def __init__(self, assignment: Assignment, override: str | None) -> None:
        self.assignment = assignment
        self.is_blamed = False
        self._override = override

    def withdraw(self, note: str) -> None:
        """Have it on the stable arm, uncounted, and say why: the canary isn't for this request."""
        self.assignment = self.assignment.not_offered(note)

    def give_up(self, note: str) -> None:
        """Have it on the stable arm, because the canary is down: its client sees none of that, the canary's count does.

        Else a canary that is wholly dead would have few failures and then no requests, and never be taken out.
        """
        self.is_blamed = self.assignment.is_counted and self.assignment.arm == CANARY
        self.withdraw(note)

    def stay(self, note: str) -> None:
        """Have it on the canary's arm whatever its unit, uncounted, and say why."""
        self.assignment = self.assignment._replace(arm=CANARY, note=note)

    def leave_out(self, note: str) -> None:
        """Have it uncounted on the arm that it has, and say why."""
        self.assignment = self.assignment._replace(note=note)

    @property
    def place(self) -> Place | None:
        """Give where its outcome is counted, None for nowhere: on the arm that chance has put it on."""
        assignment = self.assignment
        if not (assignment.is_counted or self.is_blamed):
            return None
        arm = CANARY if self.is_blamed else assignment.arm
        return Place(assignment.rules.name, assignment.run, arm, assignment.bucket)

    @property
    def headers(self) -> dict[str, str]:
        """Give the answer's header."""
        return {CANARY_HEADER: self.assignment.header}

    @property
    def fields(self) -> dict[str, Field]:
        """Give the fields of the log line and of the audit record."""
        return {
            "canary": self.assignment.rules.name,
            "arm": self.assignment.arm,
            "canary_note": self.assignment.note or None,
            "canary_override": self._override,
        }
