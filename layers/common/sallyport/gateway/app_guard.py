"""An app's answer on its way to the client, held to its OpenAPI document and searched for leaks.

report: the bytes pass as they come; a copy of at most `MAX_COPIED_BYTES` is looked at once the client has everything.
enforce, and rules that redact or block: a body is held, up to `MAX_HELD_BYTES`, and looked at before its first byte
goes out; an event stream goes on event by event. What can't be looked into passes by its status and content type.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sallyport.errors import (
    InvalidJsonError,
    ResponseBlockedError,
    ServiceUnavailableError,
    UpstreamInvalidResponseError,
)
from sallyport.gateway.event_stream import whole_events
from sallyport.observability.log import Failure
from sallyport.policy.verification_rules import ENFORCE, OFF
from sallyport.verification.event_stream import EventReader, InvalidEventStreamError
from sallyport.verification.findings import Finding, added_up
from sallyport.verification.openapi.media_types import essence, is_json
from sallyport.verification.strict_json import parse_strict
from sallyport.verification.violations import ENCODING, MEDIA_TYPE, SIZE, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sallyport.gateway.app_documents import Described
    from sallyport.gateway.record import RequestRecord
    from sallyport.observability.log import Logger
    from sallyport.policy.verification_rules import VerificationRules
    from sallyport.providers.transport import UpstreamResponse
    from sallyport.verification.event_stream import Event
    from sallyport.verification.leaks.scanner import Scanner
    from sallyport.verification.leaks.stream import LeakStream

ROUTE = "apps"
EVENT_STREAM = "text/event-stream"
MAX_COPIED_BYTES = 1_048_576
MAX_HELD_BYTES = 6 * 1_048_576

_BINARY = ("image/", "audio/", "video/", "font/", "application/pdf", "application/zip", "application/gzip")
"""What holds no text that the leak guard could read."""


class AppAnswerChecks(NamedTuple):
    """What an answer is held to. `described`: None where the app has no document. `mode`: of that."""

    described: Described | None
    mode: str
    leaks: Scanner | None


class AppScanners:
    """The leak guard's scanners, made once per policy version for each app and direction."""

    def __init__(self) -> None:
        self._rules: VerificationRules | None = None
        self._named: frozenset[str] = frozenset()
        self._kept: dict[tuple[str, str, str], Scanner | None] = {}

    def get(self, rules: VerificationRules, direction: str, tenant: str, app: str) -> Scanner | None:
        """Give who looks for leaks; None: no rule is for this. Raises `ServiceUnavailableError` for broken rules."""
        if not rules.leaks:
            return None
        if rules is not self._rules:
            named = frozenset(name for rule in rules.leaks for name in rule.scope.tenants)
            self._rules, self._named, self._kept = rules, named, {}
        key = (direction, tenant if tenant in self._named else "", app)
        if key not in self._kept:
            self._kept[key] = _scanner(rules, *key)
        return self._kept[key]


class AppAnswerGuard:
    """Looks at one answer. `has_body`: False for the answer to a HEAD."""

    def __init__(self, checks: AppAnswerChecks, response: UpstreamResponse, *, has_body: bool) -> None:
        self._checks = checks
        self._response = response
        self._media_type = essence(response.headers.get("content-type", ""))
        self._has_body = has_body
        self._is_stream = self._media_type == EVENT_STREAM
        self._is_judged = has_body and checks.mode != OFF and checks.described is not None
        self._violations: list[Violation] = []
        self._findings: list[Finding] = []
        self._stream: LeakStream | None = None
        self._held: bytes | None = None
        self._copy: bytearray | None = None
        self._is_unchecked = self._is_whole = False
        self._fault: Exception | None = None

    def begin(self) -> None:
        """Look at status and content type, and at a body that has to be held.

        Raises `UpstreamInvalidResponseError`, `ResponseBlockedError`, and what reading does.
        """
        if self._checks.mode != OFF and (found := self._look(None)) is not None:
            if self._has_body or found.kind != MEDIA_TYPE:
                self._violated(found)
            self._is_judged = False
        if not self._has_body or self._is_stream:
            return
        is_looked_into = self._is_looked_into
        if self._acts_on_leaks or (is_looked_into and self._checks.mode == ENFORCE):
            self._held = self._looked_at(self._read_whole())
        elif is_looked_into or self._is_searched:
            self._copy = bytearray()

    def chunks(self) -> Iterator[bytes]:
        """Give what goes to the client. Raises as `begin` does."""
        if not self._has_body:
            return iter(())
        if self._held is not None:
            return iter((self._held,) if self._held else ())
        if not self._is_stream:
            return self._copied(self._response.chunks())
        if not (self._is_judged or self._is_searched):
            return whole_events(self._response.chunks())
        self._watch_leaks()
        if self._acts_on_leaks or self._checks.mode == ENFORCE:
            return self._passed_events(self._response.chunks())
        return self._observed_events(whole_events(self._response.chunks()))

    def finish(self, record: RequestRecord, logger: Logger) -> None:
        """Look at the copy, while nobody waits, and tell the log and metrics what was found."""
        if self._copy is not None and self._is_whole:
            self._looked_at(bytes(self._copy))
        self._copy = None
        if self._is_unchecked:
            record.note(response_unchecked=SIZE)
        if self._fault is not None:
            failure = Failure.of(self._fault)
            record.note(response_unchecked="fault")
            logger.error("an answer could not be looked at", failure=failure.type, failure_at=failure.location)
        if self._violations:
            record.note(response_violations=[" ".join(filter(None, (*one, "1"))) for one in self._violations])
            logger.metric("ResponseViolation", 1)
        streamed = () if self._stream is None else self._stream.findings
        if findings := added_up([*self._findings, *streamed]):
            record.note(response_findings=list(map(str, findings)))
            logger.metric("LeakFound", sum(finding.times for finding in findings))

    @property
    def _is_searched(self) -> bool:
        return self._checks.leaks is not None and not self._media_type.startswith(_BINARY)

    @property
    def _acts_on_leaks(self) -> bool:
        return self._is_searched and self._checks.leaks is not None and self._checks.leaks.acting is not None

    @property
    def _is_looked_into(self) -> bool:
        described = self._checks.described
        if not self._is_judged or described is None:
            return False
        return described.checks.wants_body(described.operation, self._response.status, self._response.headers)

    def _look(self, body: bytes | None) -> Violation | None:
        if self._checks.described is None:
            return None
        checks, operation = self._checks.described
        return checks.check_answer(operation, self._response.status, self._response.headers, body)

    def _violated(self, violation: Violation, *, is_fatal: bool = False) -> None:
        self._violations.append(violation)
        if is_fatal or self._checks.mode == ENFORCE:
            raise UpstreamInvalidResponseError("The app's answer isn't one that may be passed on.")

    def _read_whole(self) -> bytes:
        held = bytearray()
        for chunk in self._response.chunks():
            held += chunk
            if len(held) > MAX_HELD_BYTES:
                self._violated(Violation(SIZE, ""), is_fatal=True)
        return bytes(held)

    def _looked_at(self, body: bytes) -> bytes:
        """Give the body as it may go on."""
        if self._is_judged and (found := self._look(body)) is not None:
            is_late = self._copy is not None
            self._violations.append(found) if is_late else self._violated(found)
        return body if self._checks.leaks is None or not self._is_searched else self._searched(body, self._checks.leaks)

    def _searched(self, body: bytes, scanner: Scanner) -> bytes:
        text = body.decode(errors="surrogateescape")
        if self._acts_on_leaks and is_json(self._media_type) and is_ambiguous(text):
            self._violated(Violation(ENCODING, ""), is_fatal=True)
        scanned, findings, is_blocked = search(scanner, self._media_type, text)
        self._findings += findings
        if is_blocked and self._copy is None:
            raise ResponseBlockedError("The answer holds what may not go out.")
        return body if scanned is None else scanned.encode(errors="surrogateescape")

    def _copied(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._copy is not None:
                self._copy += chunk
                if len(self._copy) > MAX_COPIED_BYTES:
                    self._copy, self._is_unchecked = None, True
            yield chunk
        self._is_whole = True

    def _watch_leaks(self) -> None:
        if self._checks.leaks is None:
            return
        from sallyport.verification.leaks.stream import LeakStream  # noqa: PLC0415 - where a rule asks for it

        self._stream = LeakStream(ROUTE, self._checks.leaks)

    def _passed_events(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Give whole events, each once it has been looked at; bytes after the last are no event, and don't go on."""
        reader = EventReader()
        try:
            for chunk in chunks:
                for event in reader.feed(chunk):
                    yield self._passed(event)
                if between := reader.between():
                    yield between
            for event in reader.end():
                yield self._passed(event)
        except InvalidEventStreamError as error:
            self._violated(error.violation, is_fatal=True)
        if self._stream is not None and (rest := self._stream.end()):
            yield rest

    def _observed_events(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass whole events as they are, and look at each once it has gone, as long as they can be read."""
        reader: EventReader | None = EventReader()
        for chunk in chunks:
            yield chunk
            if reader is not None and not self._can_look(reader, chunk):
                reader = None

    def _can_look(self, reader: EventReader, chunk: bytes) -> bool:
        try:
            for event in reader.feed(chunk):
                self._passed(event)
        except InvalidEventStreamError as error:
            if self._is_judged:
                self._violations.append(error.violation)
            return False
        except Exception as error:  # noqa: BLE001 - a fault of the look costs no answer that is only reported
            self._fault = error
            return False
        return True

    def _passed(self, event: Event) -> bytes:
        if self._stream is None:
            return event.raw
        if self._acts_on_leaks and is_ambiguous(event.data):
            self._violated(Violation(ENCODING, "data"), is_fatal=True)
        return self._stream.feed(event)


def is_ambiguous(text: str) -> bool:
    """Say whether a text is JSON that isn't strict: of a name that stands twice clients read the one or the other."""
    if not text.lstrip().startswith(("{", "[", '"')) or _json(text) is not None:
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def search(scanner: Scanner, media_type: str, text: str) -> tuple[str | None, tuple[Finding, ...], bool]:
    """Give a body's text as it may go on, None if that is as it came; what was found; and whether it may not go on.

    JSON that isn't strict is searched as any text.
    """
    from sallyport.verification.leaks.scanner import findings_of, is_blocked  # noqa: PLC0415 - where a rule asks for it
    from sallyport.verification.leaks.walk import scan_json  # noqa: PLC0415

    value = _json(text) if is_json(media_type) else None
    if value is not None:
        scanned = scan_json(scanner, value)
        changed = None if scanned.value is value else json.dumps(scanned.value)
        return changed, scanned.findings, scanned.is_blocked
    found = scanner.scan(text)
    redacted = scanner.redact(text, found) if found else text
    return None if redacted == text else redacted, findings_of(found), is_blocked(found)


def _json(text: str) -> Any:
    try:
        return parse_strict(text)
    except InvalidJsonError:
        return None


def _scanner(rules: VerificationRules, direction: str, tenant: str, app: str) -> Scanner | None:
    from sallyport.gateway.verifying import scanner_for  # noqa: PLC0415 - where a rule asks for it

    try:
        return scanner_for(rules, direction, ROUTE, tenant, app)
    except ValueError:
        raise ServiceUnavailableError("The gateway's rules for leaks can't be used at the moment.") from None
