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
    LeakRules,
    PromptRules,
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

    def passed(
        self, body: Mapping[str, Any], longest: int | None = None
    ) -> tuple[Mapping[str, Any], tuple[Finding, ...]]:
        """Give a body, which its schema has let pass, as it may go on, and what was found in it.

        The body is the same object if nothing of it was changed. `longest`: the tokens that the model can write, if
        known. Raises `RequestError`s.
        """
        body = self.requests.apply(body, longest)
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
        self._compiling = _Compiling(route, schema, VerificationRules())
        self._named: frozenset[str] = frozenset()
        self._checks: dict[str, Checks] = {}

    def get(self, rules: VerificationRules, tenant: str) -> Checks:
        """Give what a tenant's requests are held to.

        Raises `ServiceUnavailableError` for rules that can't be compiled, which nobody may be judged by.
        """
        if rules is not self._compiling.rules:
            self._compiling = _Compiling(self._route, self._schema, rules)
            self._named, self._checks = frozenset(_tenants_of(rules)), {}
        key = tenant if tenant in self._named else ""
        if key not in self._checks:
            self._checks[key] = self._compiled(key)
        return self._checks[key]

    def _compiled(self, tenant: str) -> Checks:
        try:
            return self._compiling.checks(tenant)
        except (KeyError, TypeError, ValueError):  # a detector, say, that only a newer version has
            raise ServiceUnavailableError("The gateway's rules for requests can't be used at the moment.") from None


class _Compiling:
    """One version of the rules: what tenants have in common is compiled once."""

    def __init__(self, route: str, schema: RequestSchema, rules: VerificationRules) -> None:
        self.rules = rules
        self._route = route
        self._schema = schema
        self._schemas: dict[int, RequestSchema] = {}
        self._prompts: dict[tuple[PromptRules, ...], PromptChecker] = {}
        self._scanners: dict[tuple[LeakRules, ...], Scanner | None] = {}

    def checks(self, tenant: str) -> Checks:
        route, rules, answers = self._route, self.rules, self.rules.answers.get(self._route, AnswerRules())
        requests = list(_request_rules(rules, route, tenant))
        strip = StripPaths(answers.strip) if answers.strip else None
        return Checks(
            route=route,
            schema=self._schema,
            requests=RequestChecks(route, self._schema, requests, self._schemas),
            prompts=self._prompts_for(tenant),
            incoming=self._scanner(REQUESTS, tenant),
            guards=tuple(rule for rule in rules.guards if covers(rule.scope, route, tenant)),
            answers=AnswerChecks(answers.mode, strip, self._scanner(ANSWERS, tenant)),
        )

    def _prompts_for(self, tenant: str) -> PromptChecker | None:
        rules = tuple(rule for rule in self.rules.prompts if covers(rule.scope, self._route, tenant))
        if rules and rules not in self._prompts:
            from sallyport.verification.prompts import PromptChecker  # noqa: PLC0415 - where a rule asks for it

            self._prompts[rules] = PromptChecker(rules)
        return self._prompts.get(rules)

    def _scanner(self, direction: str, tenant: str) -> Scanner | None:
        rules = leak_rules(self.rules, direction, self._route, tenant)
        if rules not in self._scanners:
            self._scanners[rules] = scanner_for(self.rules, direction, self._route, tenant)
        return self._scanners[rules]


def covers(scope: Scope, route: str, tenant: str, app: str = "") -> bool:
    """Say whether a rule of this scope is for a request; what is empty is all. One for apps is for the route `apps`."""
    here = (not scope.routes or route in scope.routes) and (not scope.apps or app in scope.apps)
    return here and (not scope.tenants or tenant in scope.tenants)


def leak_rules(
    rules: VerificationRules, direction: str, route: str, tenant: str, app: str = ""
) -> tuple[LeakRules, ...]:
    """Give the rules of the leak guard that are for one direction of a request."""
    return tuple(
        rule for rule in rules.leaks if direction in rule.directions and covers(rule.scope, route, tenant, app)
    )


def scanner_for(rules: VerificationRules, direction: str, route: str, tenant: str, app: str = "") -> Scanner | None:
    """Give the leak guard for one direction, None where no rule is for it. Raises `ValueError`."""
    leaks = leak_rules(rules, direction, route, tenant, app)
    if not leaks:
        return None
    from sallyport.verification.leaks.scanner import Scanner  # noqa: PLC0415 - where a rule asks for it

    return Scanner(leaks)


def _request_rules(rules: VerificationRules, route: str, tenant: str) -> Iterator[RequestRules]:
    if route in rules.requests:
        yield rules.requests[route]
    of_tenant = rules.tenant_requests.get(tenant, {})
    yield from (of_tenant[key] for key in ("", route) if key in of_tenant)


def _tenants_of(rules: VerificationRules) -> Iterator[str]:
    yield from rules.tenant_requests
    scopes = (rule.scope for section in (rules.leaks, rules.prompts, rules.guards) for rule in section)
    for scope in scopes:
        yield from scope.tenants
