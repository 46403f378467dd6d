"""What would become of a request now, found out by the functions' own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sallyport.errors import ModelNotAllowedError, ModelNotFoundError, ResidencyViolationError, SallyportError
from sallyport.gateway.verifying import covers
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.rules import DoorRules, TenantRules
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.policy.verification_rules import CLOSED, GuardHookRules
from sallyport.providers.provider import CHAT_COMPLETIONS, COUNT_TOKENS, EMBEDDINGS, MESSAGES, RESPONSES, serves
from sallyport.routing.residency import (
    ELIGIBLE,
    Caller,
    Considered,
    check_home,
    consider,
    consider_guard,
    eligible,
    targets_of,
)
from sallyport_cli.residency.canary_prospects import Asking, CanaryProspect, canary_prospects

OPERATIONS: Final[Mapping[str, str]] = {
    "chat": CHAT_COMPLETIONS,
    "responses": RESPONSES,
    "embeddings": EMBEDDINGS,
    "messages": MESSAGES,
    "count-tokens": COUNT_TOKENS,
}
"""What a route asks of an upstream, as the option names it."""


@dataclass(frozen=True)
class Question:
    """Whose request, for which model, by which operation, at the stack of which region."""

    tenant: str
    model: str
    operation: str
    home_region: str


@dataclass(frozen=True)
class GuardProspect:
    """An external guard that is for such a request, and the verdict on its place."""

    guard: GuardHookRules
    considered: Considered

    @property
    def refuses(self) -> bool:
        """Whether it must be asked, and may not be."""
        return self.guard.on_failure == CLOSED and self.considered.verdict != ELIGIBLE


@dataclass(frozen=True)
class Prospect:
    """What would happen: `considered` in the order in which they are tried, or a refusal.

    `canaries` are those of the model or the route, in their order; none where the request is refused anyway. Those of
    `guards` whose place may be used are shown the prompt, before all targets.
    """

    residency: Sequence[str]
    considered: Sequence[Considered] = ()
    first: int | None = None
    status: int = 0
    code: str = ""
    reason: str = ""
    canaries: Sequence[CanaryProspect] = ()
    guards: Sequence[GuardProspect] = ()


def prospect(question: Question, door: DoorRules, rules: RouterRules) -> Prospect:
    """Judge a request of a tenant whose credential narrows nothing, by the rules in force."""
    own = door.tenants.get(question.tenant, TenantRules())
    caller = Caller(question.tenant, door.default_residency if own.residency is None else own.residency)
    serving = _serves(question.operation)
    considered = consider(targets_of(question.model, rules), rules, caller, serving)
    guards = _guards(question, rules, caller)
    found = Prospect(caller.residency, considered, guards=guards)
    if own.suspended:
        return _refused(found, 403, "tenant_suspended", "The tenant is suspended.")
    try:
        check_home(caller, question.home_region, rules.endpoints)
        if own.models is not None and question.model not in own.models:
            raise ModelNotAllowedError("The tenant may not use this model.")
        if not considered:
            raise ModelNotFoundError("The policy knows no place for this model.")
        first = eligible(considered)[0]
        if any(guard.refuses for guard in guards):
            raise ResidencyViolationError(
                "A guard that must be asked lies in no region that the tenant's data may go to."
            )
    except SallyportError as error:
        return _refused(found, error.status, error.code, error.message)
    asking = Asking(question.model, question.operation, question.home_region, caller, own.models, serving)
    return replace(
        found,
        first=[one.target for one in considered].index(first),
        canaries=tuple(canary_prospects(asking, rules)),
    )


def _guards(question: Question, rules: RouterRules, caller: Caller) -> tuple[GuardProspect, ...]:
    """Judge the external guards that are for such a request, in the order in which they are asked."""
    asked = [guard for guard in rules.verification.guards if covers(guard.scope, question.operation, question.tenant)]
    return tuple(GuardProspect(guard, consider_guard(guard.upstream, rules, caller)) for guard in asked)


def _refused(found: Prospect, status: int, code: str, reason: str) -> Prospect:
    return replace(found, status=status, code=code, reason=reason)


def _serves(operation: str) -> Callable[[UpstreamRules], bool]:
    return lambda upstream: serves(upstream.provider, operation)
