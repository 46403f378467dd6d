"""Bodies of providers' APIs, tried as the routes try them: the same checks, in the same order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from sallyport.errors import InvalidJsonError, RequestError, SallyportError, UpstreamInvalidResponseError
from sallyport.gateway.answer_guard import AnswerGuard
from sallyport.gateway.record import RequestRecord
from sallyport.gateway.request import Request, check_json_body
from sallyport.gateway.verifying import Checks, CurrentChecks
from sallyport.observability.log import Logger
from sallyport.policy.limit_rules import RouterRules
from sallyport.providers.http_answers import EVENT_STREAM, JSON, check_answer, check_first_bytes
from sallyport.verification.schema import RequestSchema
from sallyport.verification.strict_json import check_names, parse_strict
from sallyport.verification.violations import SIZE
from sallyport_cli.verify.outcome import FAULT, TOO_LARGE, Outcome, Refusal

NO_JSON: Final = "an answer is a 2xx of application/json, and begins with {; of a stream say --stream"
NO_STREAM: Final = "with --stream an answer is a 2xx of text/event-stream, and begins with a field such as data:"
_FIRST_REFUSAL: Final = 400


class GivenAnswer(NamedTuple):
    """An upstream's answer that is there already."""

    status: int
    content_type: str
    body: bytes

    @property
    def headers(self) -> Mapping[str, str]:
        """Give the one header that is looked at."""
        return {"content-type": self.content_type} if self.content_type else {}

    def chunks(self) -> Iterator[bytes]:
        """Give the body."""
        return iter((self.body,) if self.body else ())

    def close(self) -> None:
        """Nothing is held."""


def checks_of(rules: RouterRules, route: str, tenant: str) -> Checks:
    """Give what a tenant's bodies on a route are held to. Raises `ServiceUnavailableError` for what can't be used."""
    return CurrentChecks(route, RequestSchema.built_in(route)).get(rules.verification, tenant)


def try_request(checks: Checks, raw: bytes, content_type: str) -> Outcome:
    """Say what would become of a request."""
    notes = tuple(f"the guard {guard.name!r} would be asked too; here it isn't" for guard in checks.guards)
    try:
        request = _request(raw, content_type)
        check_json_body(request)
        body = parse_strict(request.body)
        checks.schema.check(body)
        check_names(body)
        passed, findings = checks.passed(body)
    except RequestError as error:
        return Outcome(raw, Refusal.of(error), None, findings=error.findings)
    going = raw if passed is body else _serialised(passed)
    return Outcome(raw, None, going, findings=tuple(map(str, findings)), notes=notes)


def try_answer(checks: Checks, answer: GivenAnswer, *, stream: bool) -> Outcome:
    """Say what would become of an upstream's answer; `stream`: of one to a request for a stream."""
    record = RequestRecord(silent(), "", checks.route)
    guard = AnswerGuard(checks.route, checks.answers, record, silent())
    passed: list[bytes] = []
    refusal = None
    is_of_form = False
    try:
        media_type = EVENT_STREAM if stream else JSON
        check_answer(answer, media_type)
        check_first_bytes(answer.body.lstrip(), answer, media_type)
        is_of_form = True
        for chunk in _guarded(guard, answer, stream=stream):
            passed.append(chunk)  # noqa: PERF402 - what went before an error is told too
    except SallyportError as error:
        refusal = Refusal.of(error, is_midway=bool(passed))
    guard.finish(in_time=True)
    return Outcome(
        answer.body,
        refusal,
        b"".join(passed) if passed or refusal is None else None,
        checks.answers.mode,
        noted(record, "response_findings"),
        noted(record, "response_violations"),
        unchecked(record) if is_of_form else _form(refusal, stream=stream),
    )


def _form(refusal: Refusal | None, *, stream: bool) -> tuple[str, ...]:
    """Give a note of what an answer must be, where it is none of this API's at all."""
    is_none = refusal is not None and refusal.code == UpstreamInvalidResponseError.code
    return ((NO_STREAM if stream else NO_JSON),) if is_none else ()


def _guarded(guard: AnswerGuard, answer: GivenAnswer, *, stream: bool) -> Iterator[bytes]:
    """As `sallyport.gateway` chooses: a refusal of the upstream's is held to no schema."""
    if guard.is_idle:
        return answer.chunks()
    if answer.status >= _FIRST_REFUSAL:
        return guard.refusal(answer.chunks())
    return guard.stream(answer.chunks()) if stream else guard.whole(answer.chunks())


def noted(record: RequestRecord, name: str) -> tuple[str, ...]:
    """Give what the log line would say under a name."""
    told = record.fields.get(name)
    return tuple(told) if isinstance(told, list) else ()


def unchecked(record: RequestRecord) -> tuple[str, ...]:
    """Give a note where an answer would pass without a look at it."""
    why = record.fields.get("response_unchecked")
    return () if why is None else (TOO_LARGE if why == SIZE else FAULT,)


def _request(raw: bytes, content_type: str) -> Request:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidJsonError("The request body isn't valid UTF-8.") from None
    headers = {"content-type": content_type} if content_type else {}
    return Request("", "POST", "", "", {}, headers, text, {}, "")


def silent() -> Logger:
    """Give a log that nobody reads."""
    return Logger("verify", "", write=lambda _: None)


def _serialised(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
