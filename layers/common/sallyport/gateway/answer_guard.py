"""Answers on their way to the client, held to what the policy says: their API's schema and order, fields, leaks.

Where nothing may be changed or held up, the bytes pass as they came, are looked at once they have gone, and what is
wrong is told to the log: neither the time that the look takes nor a fault of it is the client's. Else an answer in one
piece is held until it was looked at, and a stream goes on event by event: each is looked at first.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from sallyport.errors import InvalidJsonError, ResponseBlockedError, SallyportError, UpstreamInvalidResponseError
from sallyport.observability.log import Failure
from sallyport.policy.verification_rules import ENFORCE, OFF
from sallyport.verification.answers import STREAMED_ROUTES, AnswerSchema, parse_answer
from sallyport.verification.event_stream import Event, EventReader, InvalidEventStreamError
from sallyport.verification.findings import Finding, added_up
from sallyport.verification.stream_rules import DONE, StreamChecker
from sallyport.verification.strict_json import parse_strict
from sallyport.verification.violations import ENCODING, SIZE, Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from sallyport.gateway.record import RequestRecord
    from sallyport.gateway.verifying import AnswerChecks
    from sallyport.observability.log import Logger
    from sallyport.verification.leaks.stream import LeakStream

MAX_HELD_BYTES = 6_291_456
"""An answer in one piece that is longer isn't checked: it passes where nothing is enforced, and is refused else."""

MAX_TOLD = 20
"""Kinds of violations that one log line names."""

TIME, FAULT = "time", "fault"
"""Why, but for its size, an answer passed without a look at it, or at all of it."""


class AnswerGuard:
    """What is done with one answer. `record` and `logger` are told of it, without its content."""

    def __init__(self, route: str, checks: AnswerChecks, record: RequestRecord, logger: Logger) -> None:
        self._route = route
        self._checks = checks
        self._record = record
        self._logger = logger
        self._violations: dict[Violation, int] = {}
        self._findings: list[Finding] = []
        self._watching: LeakStream | None = None
        self._late: Callable[[], object] | None = None
        self._is_faulty = False

    @property
    def is_idle(self) -> bool:
        """Say that nothing is to be looked at."""
        return self._checks.mode == OFF and self._checks.strip is None and self._checks.leaks is None

    @property
    def acts(self) -> bool:
        """Say that something of the answer may be changed or held up, so that its status has to wait for it."""
        checks = self._checks
        return checks.mode == ENFORCE or checks.strip is not None or self._redacts

    def stream(self, chunks: Iterable[bytes]) -> Generator[bytes]:
        """Pass an event stream on. Raises `UpstreamInvalidResponseError` and `ResponseBlockedError`."""
        return _Stream(self).acting(chunks) if self.acts else _Stream(self).observing(chunks)

    def whole(self, chunks: Iterable[bytes]) -> Generator[bytes]:
        """Pass an answer in one piece on. Raises as `stream` does."""
        return self._held(chunks, self._look_at) if self.acts else self._observed(chunks, self._look_at)

    def refusal(self, chunks: Iterable[bytes]) -> Generator[bytes]:
        """Pass an upstream's refusal on, a 4xx: it has no schema, but may repeat what may not go out."""
        return self._held(chunks, self._refusal) if self._redacts else self._observed(chunks, self._refusal)

    def finish(self, *, in_time: bool) -> None:
        """Look at what nothing waited for, if there is time for it, and tell what was found. Never raises.

        Call it once the answer is over, however it ended, when nobody waits.
        """
        look, self._late = self._late, None
        if look is not None and not in_time:
            self._record.note(response_unchecked=TIME)
            look = None
        for step in filter(None, (look, self._tell)):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the log line and the settlement must follow
                self.failed(error)

    def failed(self, error: Exception) -> None:
        """Tell the log that a look at what passes anyway has failed, by a fault of the gateway's own."""
        self._is_faulty = True
        failure = Failure.of(error)
        self._record.note(response_unchecked=FAULT)
        self._logger.error("an answer could not be checked", failure=failure.type, failure_at=failure.location)

    @property
    def strips(self) -> bool:
        """Say that fields are taken out."""
        return self._checks.strip is not None

    @property
    def _redacts(self) -> bool:
        return self._checks.leaks is not None and self._checks.leaks.acting is not None

    def checker(self) -> StreamChecker | None:
        """Give what checks this stream, None where nothing does."""
        return None if self._checks.mode == OFF else StreamChecker(self._route, _event_schema(self._route))

    def leaks(self) -> LeakStream | None:
        """Give what looks for leaks in this stream, None where nothing does."""
        if self._checks.leaks is None:
            return None
        from sallyport.verification.leaks.stream import LeakStream  # noqa: PLC0415 - where a rule asks for it

        self._watching = LeakStream(self._route, self._checks.leaks)
        return self._watching

    def violated(self, violation: Violation, *, is_fatal: bool = False) -> None:
        """Take a violation in. Raises `UpstreamInvalidResponseError` where that is enforced, or nothing else can be."""
        if len(self._violations) < MAX_TOLD or violation in self._violations:
            self._violations[violation] = self._violations.get(violation, 0) + 1
        if is_fatal or self._checks.mode == ENFORCE:
            raise UpstreamInvalidResponseError("The upstream's answer isn't one that may be passed on.")

    def judge(self, check: Callable[[], Violation | None]) -> bool:
        """Take in what a check finds, and say whether it was made. Raises as `violated` does.

        Where what it finds is only told of, a fault of it is, too, and is the last.
        """
        if self._checks.mode == OFF or self._is_faulty:
            return False
        try:
            violation = check()
        except Exception as error:
            if self._checks.mode == ENFORCE:
                raise
            self.failed(error)
            return False
        if violation is not None:
            self.violated(violation)
        return True

    def stripped(self, data: Any) -> tuple[Any, bool]:
        """Give data without the fields that the policy takes out, and whether it had any."""
        return (data, False) if self._checks.strip is None else self._checks.strip.apply(data)

    def _tell(self) -> None:
        if self._violations:
            told = [" ".join(filter(None, (*one, str(times)))) for one, times in self._violations.items()]
            self._record.note(response_violations=told)
            self._logger.metric("ResponseViolation", 1)
        streamed = () if self._watching is None else self._watching.findings
        if findings := added_up([*self._findings, *streamed]):
            self._record.note(response_findings=list(map(str, findings)))
            self._logger.metric("LeakFound", sum(finding.times for finding in findings))

    def _observed(self, chunks: Iterable[bytes], look: Callable[[bytes], bytes]) -> Generator[bytes]:
        copy = bytearray()
        for chunk in chunks:
            if len(copy) <= MAX_HELD_BYTES:
                copy += chunk
            yield chunk
        if len(copy) > MAX_HELD_BYTES:
            self._record.note(response_unchecked=SIZE)
        else:
            self._late = lambda: look(bytes(copy))

    def _held(self, chunks: Iterable[bytes], look: Callable[[bytes], bytes]) -> Generator[bytes]:
        held = bytearray()
        for chunk in chunks:
            held += chunk
            if len(held) > MAX_HELD_BYTES:
                self.violated(Violation(SIZE, ""), is_fatal=True)
        yield look(bytes(held))

    def _look_at(self, raw: bytes) -> bytes:
        """Check a whole answer, and give it as it may go on."""
        try:
            value = parse_answer(raw)
        except InvalidJsonError:
            if self.acts or self._checks.mode != OFF:
                self.violated(Violation(ENCODING, ""), is_fatal=self.acts)
            return raw
        self.judge(lambda: _answer_schema(self._route).check(value))
        stripped, is_changed = self.stripped(value)
        scanned = self._scanned(stripped)
        is_changed |= scanned is not stripped
        return json.dumps(scanned).encode() if is_changed else raw

    def _scanned(self, value: Any) -> Any:
        if self._checks.leaks is None:
            return value
        from sallyport.verification.leaks.walk import scan_json  # noqa: PLC0415 - where a rule asks for it

        scanned = scan_json(self._checks.leaks, value)
        self._findings += scanned.findings
        if scanned.is_blocked:
            raise ResponseBlockedError("The answer holds what may not go out.")
        return scanned.value

    def _refusal(self, raw: bytes) -> bytes:
        try:
            value = parse_answer(raw)
        except InvalidJsonError:
            if self._redacts and _is_lenient_json(raw):
                self.violated(Violation(ENCODING, ""), is_fatal=True)
            value = raw.decode(errors="replace")
        scanned = self._scanned(value)
        if scanned is value:
            return raw
        return scanned.encode() if isinstance(scanned, str) else json.dumps(scanned).encode()


class _Stream:
    """One stream's events, looked at one by one."""

    def __init__(self, guard: AnswerGuard) -> None:
        self._guard = guard
        self._reader = EventReader()
        self._checker = guard.checker()
        self._leaks = guard.leaks()
        self._is_readable = True

    def observing(self, chunks: Iterable[bytes]) -> Generator[bytes]:
        """Pass each chunk as it is, and look at it then, as long as it can be read."""
        for chunk in chunks:
            try:
                yield chunk
            finally:
                self._look_at(self._reader.feed(chunk), None)
        self._look_at(self._reader.end(), self._end)

    def acting(self, chunks: Iterable[bytes]) -> Generator[bytes]:
        """Pass on what each chunk makes whole, but what may not go; what came before it still does."""
        for chunk in chunks:
            yield from self._going(self._reader.feed(chunk), self._reader.between)
        yield from self._going(self._reader.end(), self._end)

    def _look_at(self, events: Iterator[Event], then: Callable[[], bytes] | None) -> None:
        if not self._is_readable:
            return
        try:
            for event in events:
                self._pass(event)
            if then is not None:
                then()
        except InvalidEventStreamError as error:
            self._is_readable = False
            self._guard.violated(error.violation)
        except Exception as error:  # noqa: BLE001 - the gateway's own fault, and the answer may be sound
            self._is_readable = False
            self._guard.failed(error)

    def _going(self, events: Iterator[Event], then: Callable[[], bytes]) -> Iterator[bytes]:
        going: list[bytes] = []
        try:
            for event in events:
                going.append(self._pass(event))  # noqa: PERF401 - what was passed before an error still goes
            going.append(then())
        except InvalidEventStreamError as error:
            yield from _joined(going)
            self._guard.violated(error.violation, is_fatal=True)
        except SallyportError:
            yield from _joined(going)
            raise
        yield from _joined(going)

    def _pass(self, event: Event) -> bytes:
        data = self._checked(event)
        if data is None and self._guard.acts:
            data = self._parsed(event)
        if self._guard.strips:
            data, is_changed = self._guard.stripped(data)
            event = event.with_data(json.dumps(data)) if is_changed else event
        return event.raw if self._leaks is None else self._leaks.feed(event, data)

    def _checked(self, event: Event) -> Any:
        """Hold an event to its API; give its JSON, None where it has none or nothing is checked."""
        checker = self._checker
        if checker is None or not self._guard.judge(partial(checker.feed, event)):
            return None
        return checker.data

    def _parsed(self, event: Event) -> Any:
        """Give an event's JSON. Raises where it can't be read: a client may find in it what isn't seen here."""
        if not (data := event.data.strip()) or data == DONE:
            return None
        try:
            return parse_strict(event.data)
        except InvalidJsonError:
            self._guard.violated(Violation(ENCODING, "data"), is_fatal=True)

    def _end(self) -> bytes:
        """Look for what is missing at the end, and give what still waits; bytes of no whole event are none."""
        if self._checker is not None:
            self._guard.judge(self._checker.end)
        return b"" if self._leaks is None else self._leaks.end()


def load_schemas(route: str) -> None:
    """Compile a route's schemas of answers before the first one comes."""
    _answer_schema(route)
    if route in STREAMED_ROUTES:
        _event_schema(route)


@lru_cache
def _answer_schema(route: str) -> AnswerSchema:
    return AnswerSchema.built_in(route)


@lru_cache
def _event_schema(route: str) -> AnswerSchema:
    return AnswerSchema.of_events(route)


def _is_lenient_json(raw: bytes) -> bool:
    """Say whether clients may read as JSON what isn't strict JSON: they find more in it than its letters show."""
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _joined(pieces: list[bytes]) -> Iterator[bytes]:
    if going := b"".join(pieces):
        yield going
