"""Sends one request to its targets in turn, until one answers.

Another target is tried only before the first byte has gone to the client, only where the one before did nothing for it
(no connection, 429, 5xx), and only among those that the caller's data may go to: no others are known here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sallyport.errors import (
    DeadlineExceededError,
    RequestError,
    SallyportError,
    SecretUnavailableError,
    UnsupportedOperationError,
    UpstreamCredentialsError,
    UpstreamError,
    UpstreamNotConnectedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
    UpstreamUnreachableError,
)
from sallyport.gateway.decisions import Decisions
from sallyport.gateway.metering import Meter
from sallyport.gateway.passage import Form, Passage
from sallyport.gateway.record import RequestRecord, loggable_model
from sallyport.gateway.upstreams import Upstream
from sallyport.policy.upstream_rules import Target
from sallyport.providers.provider import Call, Provider
from sallyport.providers.transport import UpstreamRequest, UpstreamResponse
from sallyport.providers.usage import NoUsage
from sallyport.routing.attempts import (
    NOT_CONNECTED,
    OTHER,
    RATE_LIMITED,
    SERVER_ERROR,
    SILENT,
    UNFIT,
    Attempts,
    Failure,
    retry_after_s,
)

_NOTHING_DONE = frozenset({NOT_CONNECTED, RATE_LIMITED, SERVER_ERROR})
_TOO_MANY = 429
_SERVER_ERROR = 500


class Sending(NamedTuple):
    """A request made ready for one target. `secret` is the upstream's credential, empty for none."""

    target: Target
    upstream: Upstream
    provider: Provider
    call: Call
    request: UpstreamRequest
    secret: str

    def __repr__(self) -> str:
        return f"Sending({self.target.id})"


class Answer(NamedTuple):
    """What came back, its first bytes already there."""

    status: int
    headers: Mapping[str, str]
    passage: Passage
    sending: Sending

    @property
    def is_success(self) -> bool:
        """Say whether this is what was asked for, and not the upstream's refusal."""
        return self.status < 300  # noqa: PLR2004 - HTTP


class Journey(NamedTuple):
    """What one request's forwarding is told to and asks: `now_s` is the wall clock, `remaining_s` the time left."""

    meter: Meter
    record: RequestRecord
    decisions: Decisions
    remaining_s: Callable[[], float]
    now_s: Callable[[], float]
    sleep: Callable[[float], None]
    headers: dict[str, str]


type Prepare = Callable[[Target], Sending]
"""Makes a request ready for a target. Raises `RequestError` where that target can't take it."""


def first_sending(
    targets: Sequence[Target], prepare: Prepare, attempts_for: Callable[[Sequence[Target]], Attempts]
) -> tuple[Sending, Attempts]:
    """Give the request for the first target that is up and can take it, and the others in turn.

    Raises the `RequestError` or `SecretUnavailableError` of the most wanted target where none can, and
    `NoTargetAvailableError`.
    """
    left: list[Target] = list(targets)
    refusal: SallyportError | None = None
    while left:
        attempts = attempts_for(left)
        target = attempts.first()
        try:
            return prepare(target), attempts
        except (RequestError, SecretUnavailableError) as error:
            refusal = refusal or error
            left.remove(target)
    assert refusal is not None  # a request has at least one target
    raise refusal


class Forwarding:
    """The tries of one request."""

    def __init__(self, sending: Sending, attempts: Attempts, prepare: Prepare, journey: Journey) -> None:
        self._sending = sending
        self._attempts = attempts
        self._prepare = prepare
        self._journey = journey
        self._refreshed: set[str] = set()

    def forward(self) -> Answer:
        """Give the first answer that may be passed on. Raises `UpstreamError`s and `DeadlineExceededError`."""
        while True:
            answer = self._try_once()
            if answer is not None:
                return answer

    def _try_once(self) -> Answer | None:
        """Send, and give the answer, or None if there is something else to try; `_sending` is that then."""
        sending, journey = self._sending, self._journey
        self._check_time()
        self._announce(sending)
        response: UpstreamResponse | None = None
        try:
            response = self._send(sending)
            journey.meter.free = response.status == _TOO_MANY
            if response.status == _TOO_MANY and self._goes_on(_failure(response, None, journey.now_s())):
                response.close()
                return None
            answer = self._receive(sending, response)
        except BaseException as error:
            if response is not None:
                response.close()
            if isinstance(error, UpstreamError) and self._recovers(error, response):
                return None
            raise
        if response.status < _SERVER_ERROR and response.status != _TOO_MANY:
            self._attempts.succeeded(sending.target)
        return answer

    def _announce(self, sending: Sending) -> None:
        journey, rules = self._journey, sending.upstream.rules
        journey.decisions.forward(sending.upstream, sending.target, loggable_model(sending.call.model))
        journey.meter.go_to(sending.target)
        region = ", ".join(sending.target.regions)
        journey.headers["x-sallyport-region"] = region
        sendings = journey.decisions.sendings
        journey.record.note(upstream=rules.name, region=region, attempts=sendings if sendings > 1 else None)

    def _send(self, sending: Sending) -> UpstreamResponse:
        journey = self._journey
        request = sending.provider.authorize(sending.request, sending.secret)
        response = sending.upstream.transport.send(request, journey.remaining_s)
        journey.record.note(upstream_status=response.status)
        return response

    def _receive(self, sending: Sending, response: UpstreamResponse) -> Answer:
        """Wait for the body's first bytes, and give it once it is known to be an answer of this API."""
        meter, provider, call = self._journey.meter, sending.provider, sending.call
        is_success = 200 <= response.status < 300  # noqa: PLR2004 - HTTP
        meter.free = not is_success
        provider.check(response, call)
        usage = provider.usage(call) if is_success else NoUsage()
        streamed = call.stream and is_success
        chunks = provider.chunks(response, call)
        passage = Passage(response, chunks, self._journey.record, usage, Form(streamed, streamed and call.ask_usage))
        provider.check_start(passage.start(), response, call)
        meter.answer = usage
        return Answer(response.status, provider.returned_headers(response, call), passage, sending)

    def _recovers(self, error: UpstreamError, response: UpstreamResponse | None) -> bool:
        """Say whether there is something else to try after this failure."""
        if isinstance(error, UpstreamCredentialsError):
            return self._has_newer_secret()
        failure = _failure(response, error, self._journey.now_s())
        if failure.kind in _NOTHING_DONE or isinstance(error, UpstreamUnreachableError):
            self._journey.meter.free = True
        return self._goes_on(failure)

    def _has_newer_secret(self) -> bool:
        """Read a refused credential anew, once for each upstream; without another one there is nothing to try."""
        upstream, old = self._sending.upstream, self._sending.secret
        upstream.secret.expire()
        if upstream.rules.name in self._refreshed:
            return False
        self._refreshed.add(upstream.rules.name)
        self._sending = self._sending._replace(secret=upstream.secret.read())
        return self._sending.secret != old

    def _goes_on(self, failure: Failure) -> bool:
        """Wait, if need be, and have the next target's request ready; one that can't take it is passed over."""
        journey, target = self._journey, self._sending.target
        while (step := self._attempts.next(target, failure, journey.remaining_s())) is not None:
            target = step.target
            try:
                self._sending = self._prepare(target)
            except (RequestError, SecretUnavailableError):
                failure = Failure(UNFIT)
                continue
            if step.wait_s > 0:
                journey.sleep(step.wait_s)
            return True
        return False

    def _check_time(self) -> None:
        if self._journey.remaining_s() <= 0:
            raise DeadlineExceededError("The gateway's time for this request is used up.")


def prepared(target: Target, upstream: Upstream, call: Call) -> Sending:
    """Make a request ready for a target. Raises `RequestError`, and `SecretUnavailableError`."""
    provider = upstream.provider
    if provider is None:
        raise UnsupportedOperationError("An app's upstream serves no model.")
    return Sending(target, upstream, provider, call, provider.request(call), upstream.secret.read())


def _failure(response: UpstreamResponse | None, error: UpstreamError | None, now_s: float) -> Failure:
    """Classify what went wrong; what may have been worked on already is never repeated."""
    if isinstance(error, UpstreamTimeoutError):
        return Failure(SILENT)
    if response is None:
        return Failure(NOT_CONNECTED if isinstance(error, UpstreamNotConnectedError) else OTHER)
    headers: Mapping[str, Any] = response.headers
    may_retry = headers.get("x-should-retry", "").strip().lower() != "false"
    return Failure(_kind(response.status, error), retry_after_s(headers, now_s), may_retry=may_retry)


def _kind(status: int, error: UpstreamError | None) -> str:
    if status == _TOO_MANY:
        return RATE_LIMITED
    told_in_stream = type(error) in (UpstreamError, UpstreamUnavailableError) and status < 300  # noqa: PLR2004 - HTTP
    return SERVER_ERROR if status >= _SERVER_ERROR or told_in_stream else OTHER
