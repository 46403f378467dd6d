"""What the policy in force holds a route's requests and answers to, compiled once per policy version.

Tenants that no rule names share what is compiled; the others have their own, made when the first of their requests
comes. What few policies ask for is imported where one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sallyport.errors import LeakBlockedError, SchemaViolationError, ServiceUnavailableError
from sallyport.policy.verification_rules import (
    ANSWERS,
    REQUESTS,
    AnswerRules,
    GuardHookRules,
    RequestRules,
    Scope,
    VerificationRules,
)
from sallyport.verification.requests import RequestChecks
from sallyport.verification.strip import StripPaths

if TYPE_CHECKING:
    from sallyport.verification.findings import Finding
    from sallyport.verification.leaks.scanner import Scanner
    from sallyport.verification.prompts import PromptChecker
    from sallyport.verification.schema import RequestSchema


class AnswerChecks(NamedTuple):
    """What an answer is held to. `mode`: one of `verification_rules.MODES`."""

    mode: str
    strip: StripPaths | None
    leaks: Scanner | None


class Checks(NamedTuple):
    """What one tenant's requests on one route, and their answers, are held to. `guards`: whom prompts are shown to."""

    route: str
    schema: RequestSchema
    requests: RequestChecks
    prompts: PromptChecker | None
    incoming: Scanner | None
    guards: tuple[GuardHookRules, ...]
    answers: AnswerChecks

    def passed(self, body: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[Finding, ...]]:
        """Give a body, which its schema has let pass, as it may go on, and what was found in it.

        The body is the same object if nothing of it was changed. Raises `RequestError`s.
        """
        body = self.requests.apply(body)
        findings = tuple(self.prompts.check(self.route, body)) if self.prompts is not None else ()
        if self.incoming is None:
            return body, findings
        return self._without_leaks(self.incoming, body, findings)

    def check(self, body: Mapping[str, Any]) -> None:
        """Raise a `RequestError` for a body that couldn't go on as it is: an operator's own for a canary."""
        self.schema.check(body)
        if self.requests.apply(body) is not body:
            raise SchemaViolationError("The body isn't one that the policy's rules leave as it is.")

    def _without_leaks(
        self, scanner: Scanner, body: Mapping[str, Any], findings: tuple[Finding, ...]
    ) -> tuple[Mapping[str, Any], tuple[Finding, ...]]:
        from sallyport.verification.leaks.walk import scan_json  # noqa: PLC0415 - where a rule asks for it

        scanned = scan_json(scanner, body)
        findings = (*findings, *scanned.findings)
        if scanned.is_blocked:
            error = LeakBlockedError("The request holds what may not go on, such as a key.")
            error.findings = tuple(map(str, findings))
            raise error
        if scanned.value is not body:
            self.schema.check(scanned.value)
        return scanned.value, findings


class CurrentChecks:
    """Gives a route's checks by the rules in force; make it once per process."""

    def __init__(self, route: str, schema: RequestSchema) -> None:
        self._route = route
        self._schema = schema
        self._rules: VerificationRules | None = None
        self._named: frozenset[str] = frozenset()
        self._checks: dict[str, Checks] = {}

    def get(self, rules: VerificationRules, tenant: str) -> Checks:
        """Give what a tenant's requests are held to.

        Raises `ServiceUnavailableError` for rules that can't be compiled, which nobody may be judged by.
        """
        if rules is not self._rules:
            self._rules, self._named, self._checks = rules, frozenset(_tenants_of(rules)), {}
        key = tenant if tenant in self._named else ""
        if key not in self._checks:
            self._checks[key] = self._compiled(rules, key)
        return self._checks[key]

    def _compiled(self, rules: VerificationRules, tenant: str) -> Checks:
        try:
            return _checks(self._route, self._schema, rules, tenant)
        except ValueError:
            raise ServiceUnavailableError("The gateway's rules for requests can't be used at the moment.") from None


def covers(scope: Scope, route: str, tenant: str, app: str = "") -> bool:
    """Say whether a rule of this scope is for a request; what is empty is all. One for apps is for the route `apps`."""
    here = (not scope.routes or route in scope.routes) and (not scope.apps or app in scope.apps)
    return here and (not scope.tenants or tenant in scope.tenants)


def scanner_for(rules: VerificationRules, direction: str, route: str, tenant: str, app: str = "") -> Scanner | None:
    """Give the leak guard for one direction, None where no rule is for it. Raises `ValueError`."""
    leaks = [rule for rule in rules.leaks if direction in rule.directions and covers(rule.scope, route, tenant, app)]
    if not leaks:
        return None
    from sallyport.verification.leaks.scanner import Scanner  # noqa: PLC0415 - where a rule asks for it

    return Scanner(leaks)


def _checks(route: str, schema: RequestSchema, rules: VerificationRules, tenant: str) -> Checks:
    answers = rules.answers.get(route, AnswerRules())
    return Checks(
        route=route,
        schema=schema,
        requests=RequestChecks(route, schema, list(_request_rules(rules, route, tenant))),
        prompts=_prompts(rules, route, tenant),
        incoming=scanner_for(rules, REQUESTS, route, tenant),
        guards=tuple(rule for rule in rules.guards if covers(rule.scope, route, tenant)),
        answers=AnswerChecks(
            answers.mode,
            StripPaths(answers.strip) if answers.strip else None,
            scanner_for(rules, ANSWERS, route, tenant),
        ),
    )


def _request_rules(rules: VerificationRules, route: str, tenant: str) -> Iterator[RequestRules]:
    if route in rules.requests:
        yield rules.requests[route]
    of_tenant = rules.tenant_requests.get(tenant, {})
    yield from (of_tenant[key] for key in ("", route) if key in of_tenant)


def _prompts(rules: VerificationRules, route: str, tenant: str) -> PromptChecker | None:
    prompts = [rule for rule in rules.prompts if covers(rule.scope, route, tenant)]
    if not prompts:
        return None
    from sallyport.verification.prompts import PromptChecker  # noqa: PLC0415 - where a rule asks for it

    return PromptChecker(prompts)


def _tenants_of(rules: VerificationRules) -> Iterator[str]:
    yield from rules.tenant_requests
    scopes = (rule.scope for section in (rules.leaks, rules.prompts, rules.guards) for rule in section)
    for scope in scopes:
        yield from scope.tenants
