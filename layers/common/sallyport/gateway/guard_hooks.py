"""External guards: endpoints of the operator's choice that are asked about a prompt before it goes on.

A guard gets the words of a prompt, so it is a place like any other: it is asked only where the caller's data may go,
and that it is asked stands in the audit trail before anything is sent.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sallyport.errors import (
    DeadlineExceededError,
    GuardUnavailableError,
    PromptRefusedError,
    ResidencyViolationError,
    SallyportError,
    SecretUnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
)
from sallyport.gateway.decisions import Decisions
from sallyport.gateway.guard_contract import (
    GuardCredentialError,
    GuardFailedError,
    Prompt,
    Verdict,
    guard_request,
    prompt_json,
    read_verdict,
)
from sallyport.gateway.upstreams import Upstream, Upstreams
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.verification_rules import CLOSED, GuardHookRules
from sallyport.routing.residency import ELIGIBLE, Caller, consider_guard
from sallyport.verification.findings import Finding

UNAVAILABLE = "unavailable"
BLOCKED = "blocked"


class Asking(NamedTuple):
    """On whose behalf guards are asked, and how long the request can still wait, in seconds."""

    rules: RouterRules
    caller: Caller
    decisions: Decisions
    remaining_s: Callable[[], float]


class GuardHooks:
    """Asks guards; make it once per process. `tell_failure` is called for each that gives no verdict."""

    def __init__(
        self,
        upstreams: Upstreams,
        tell_failure: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstreams = upstreams
        self._tell_failure = tell_failure
        self._monotonic = monotonic

    def check(self, guards: Sequence[GuardHookRules], prompt: Prompt, asking: Asking) -> list[Finding]:
        """Ask each guard in turn, and give what is for the log. `asking.decisions` must have begun.

        The first that blocks ends it. One that lies where the caller's data may not go is never asked: it is passed
        over, or refuses the request where it must be asked. Raises `PromptRefusedError`, `GuardUnavailableError` and
        `ResidencyViolationError`, each on record as a refusal and with its `findings`; `DeadlineExceededError`, and
        what the audit trail raises.
        """
        if not guards:
            return []
        findings: list[Finding] = []
        try:
            within = self._within(guards, asking, findings)
            body = prompt_json(prompt) if within else b""
            for guard in within:
                self._ask(guard, body, asking, findings)
        except (PromptRefusedError, GuardUnavailableError, ResidencyViolationError) as error:
            error.findings = tuple(map(str, findings))
            asking.decisions.refuse(error.code)
            raise
        return findings

    def _within(
        self, guards: Sequence[GuardHookRules], asking: Asking, findings: list[Finding]
    ) -> list[GuardHookRules]:
        """Give the guards that may be asked. All are judged before the first gets the prompt."""
        considered = [consider_guard(guard.upstream, asking.rules, asking.caller) for guard in guards]
        asking.decisions.note_guards(considered)
        within = []
        for guard, (_, verdict) in zip(guards, considered, strict=True):
            if verdict == ELIGIBLE:
                within.append(guard)
                continue
            findings.append(_finding(guard, verdict))
            if guard.on_failure == CLOSED:
                raise ResidencyViolationError("A guard that must be asked lies in no region that your data may go to.")
        return within

    def _ask(self, guard: GuardHookRules, body: bytes, asking: Asking, findings: list[Finding]) -> None:
        try:
            verdict = self._verdict(guard, body, asking)
        except GuardFailedError as failure:
            self._tell_failure()
            findings += [_finding(guard, UNAVAILABLE), _finding(guard, failure.kind)]
            if guard.on_failure == CLOSED:
                raise GuardUnavailableError("A guard that must be asked about this prompt doesn't answer.") from None
            return
        if verdict.is_blocked:
            findings.append(_finding(guard, verdict.reason or BLOCKED))
            why = f" ({verdict.reason})" if verdict.reason else ""
            raise PromptRefusedError(f"The guard {guard.name!r} doesn't let this prompt pass{why}.")
        if verdict.reason:
            findings.append(_finding(guard, verdict.reason))

    def _verdict(self, guard: GuardHookRules, body: bytes, asking: Asking) -> Verdict:
        """Ask a guard, a second time if it refused a credential that has changed meanwhile."""
        upstream = self._upstreams.get(asking.rules.upstreams[guard.upstream])
        secret = _secret(upstream)
        left_s = self._within_s(guard.timeout_ms / 1000, asking.remaining_s)
        try:
            return _answered(guard, upstream, secret, body, asking, left_s)
        except GuardCredentialError:
            upstream.secret.expire()
            newer = _secret(upstream)
            if newer == secret:
                raise
        return _answered(guard, upstream, newer, body, asking, left_s)

    def _within_s(self, timeout_s: float, remaining_s: Callable[[], float]) -> Callable[[], float]:
        """Give how many seconds are left of a time that begins now, or of the request's, if that ends first."""
        ends_s = self._monotonic() + timeout_s
        return lambda: min(ends_s - self._monotonic(), remaining_s())


def _answered(
    guard: GuardHookRules, upstream: Upstream, secret: str, body: bytes, asking: Asking, left_s: Callable[[], float]
) -> Verdict:
    """Put on record that a guard is asked, and ask it."""
    _check_time(asking)
    if left_s() <= 0:
        raise GuardFailedError("timed_out")
    request = guard_request(upstream.rules, secret, body)
    asking.decisions.consult(upstream, guard.name)
    try:
        response = upstream.transport.send(request, left_s)
        try:
            return read_verdict(response)
        finally:
            response.close()
    except (UpstreamError, DeadlineExceededError) as error:
        _check_time(asking)
        raise GuardFailedError(_failure(error)) from error


def _secret(upstream: Upstream) -> str:
    try:
        return upstream.secret.read()
    except SecretUnavailableError:
        raise GuardFailedError("secret_unavailable") from None


def _failure(error: SallyportError) -> str:
    is_late = isinstance(error, DeadlineExceededError | UpstreamTimeoutError)
    return "timed_out" if is_late else error.code.removeprefix("upstream_")


def _check_time(asking: Asking) -> None:
    if asking.remaining_s() <= 0:
        raise DeadlineExceededError("The gateway's time for this request is used up.")


def _finding(guard: GuardHookRules, kind: str) -> Finding:
    return Finding(f"guards/{guard.name}", kind)
