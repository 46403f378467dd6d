"""Requests to an application and its answers, tried against the policy's OpenAPI document for it and the leak guard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from sallyport.errors import InvalidJsonError, LeakBlockedError, SallyportError
from sallyport.gateway.app_answer import check_answer
from sallyport.gateway.app_documents import AppDocuments, Described
from sallyport.gateway.app_guard import AppAnswerChecks, AppAnswerGuard, AppScanners, search
from sallyport.gateway.record import RequestRecord
from sallyport.gateway.request import Request
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.verification_rules import ANSWERS, REQUESTS
from sallyport.verification.openapi.checks import OpenApiChecks
from sallyport.verification.openapi.media_types import essence
from sallyport_cli.verify.outcome import Outcome, Refusal
from sallyport_cli.verify.provider_bodies import GivenAnswer, noted, silent, unchecked

NO_DOCUMENT: Final = "the app has no OpenAPI document, so every operation passes"


class Call(NamedTuple):
    """How an app is called: `path` is below the app, with its query. Header names are in small letters."""

    name: str
    method: str
    path: str
    headers: Mapping[str, str]


def try_request(rules: RouterRules, tenant: str, call: Call, raw: bytes) -> Outcome:
    """Say what would become of a request."""
    findings: tuple[str, ...] = ()
    try:
        request = _request(call, raw)
        scanner = AppScanners().get(rules.verification, REQUESTS, tenant, call.name)
        changed = None
        if scanner is not None and request.body:
            changed, found, is_blocked = search(scanner, essence(call.headers.get("content-type", "")), request.body)
            findings = tuple(map(str, found))
            if is_blocked:
                raise LeakBlockedError("The request holds what may not go on, such as a key.")
        going = request if changed is None else request._replace(body=changed)
        AppDocuments().check(call.name, rules.apps, going, _query(call))
    except SallyportError as error:
        return Outcome(raw, Refusal.of(error), None, findings=findings)
    notes = () if rules.apps[call.name].openapi else (NO_DOCUMENT,)
    return Outcome(raw, None, raw if changed is None else changed.encode(), findings=findings, notes=notes)


def try_answer(rules: RouterRules, tenant: str, call: Call, answer: GivenAnswer) -> Outcome:
    """Say what would become of an answer to such a call."""
    app = rules.apps[call.name]
    record = RequestRecord(silent(), "", "apps")
    guard, refusal = None, None
    passed: list[bytes] = []
    try:
        leaks = AppScanners().get(rules.verification, ANSWERS, tenant, call.name)
        checks = AppAnswerChecks(_described(app.openapi, call), app.answers.mode, leaks)
        check_answer(answer)
        guard = AppAnswerGuard(checks, answer, has_body=call.method != "HEAD")
        guard.begin()
        for chunk in guard.chunks():
            passed.append(chunk)  # noqa: PERF402 - what went before an error is told too
    except SallyportError as error:
        refusal = Refusal.of(error, is_midway=bool(passed))
    if guard is not None:
        guard.finish(record, silent())
    notes = (*(() if app.openapi else (NO_DOCUMENT,)), *unchecked(record))
    return Outcome(
        answer.body,
        refusal,
        b"".join(passed) if passed or refusal is None else None,
        app.answers.mode,
        noted(record, "response_findings"),
        noted(record, "response_violations"),
        notes,
    )


def _described(compiled: Mapping[str, object] | None, call: Call) -> Described | None:
    """Give the operation that is answered; what its request was isn't known here."""
    if compiled is None:
        return None
    checks = OpenApiChecks(compiled)
    return Described(checks, checks.find(call.method, call.path.partition("?")[0]))


def _request(call: Call, raw: bytes) -> Request:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidJsonError("The request's body isn't UTF-8.") from None
    below = call.path.partition("?")[0].removeprefix("/")
    parameters = {"name": call.name, **({"proxy": below} if below else {})}
    return Request("", call.method, f"/apps/{call.name}/{below}", "", parameters, call.headers, text, {}, "")


def _query(call: Call) -> Mapping[str, list[str]]:
    return parse_qs(call.path.partition("?")[2], keep_blank_values=True)
