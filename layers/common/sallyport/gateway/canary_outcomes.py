"""What became of one request, for the comparison of a canary with what it may replace.

It is counted after the response, with one write, when nobody waits. What the gateway refuses says nothing about either
arm and isn't counted; what it couldn't send, because an arm's targets are down or can't be asked, is that arm's fault.
"""

from collections.abc import Callable, Mapping

from sallyport.errors import (
    DeadlineExceededError,
    InternalError,
    NoTargetAvailableError,
    SecretUnavailableError,
    UpstreamCredentialsError,
    UpstreamError,
    UpstreamInterruptedError,
    UpstreamInvalidResponseError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
    UpstreamUnreachableError,
)
from sallyport.observability.log import Field
from sallyport.policy.canary_counts import BOUNDS_MS, KEPT_S, CanaryCounts, CountsError, Outcomes, Place
from sallyport.policy.canary_rules import GuardRules

FAILURES = frozenset(
    error.code
    for error in (
        UpstreamError,
        UpstreamUnreachableError,
        UpstreamInvalidResponseError,
        UpstreamInterruptedError,
        UpstreamCredentialsError,
        UpstreamUnavailableError,
        UpstreamTimeoutError,
        DeadlineExceededError,
        SecretUnavailableError,
        InternalError,
    )
)
"""Codes of what an arm is to blame for, once a request was sent. An upstream's 4xx isn't one: that is a refusal."""

UNSENT_FAILURES = frozenset(error.code for error in (NoTargetAvailableError, SecretUnavailableError, InternalError))
"""Codes of what an arm is to blame for, though nothing was sent: all its targets are down, or none could be asked."""

UNSENT = Outcomes(requests=1, failed=1)
"""A request that its arm couldn't send. It took no time, so it says nothing about how long requests take."""
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


class OutcomeCounter:
    """Counts outcomes. `tell` is told the error code of what couldn't be counted."""

    def __init__(self, counts: CanaryCounts, now: Callable[[], float], tell: Callable[[str], None]) -> None:
        self._counts = counts
        self._now = now
        self._tell = tell

    def count(self, place: Place, outcome: Outcomes) -> None:
        """Count what became of a request. Never raises `CountsError`."""
        try:
            self._counts.add(place, outcome, int(self._now()) + KEPT_S)
        except CountsError as error:
            self._tell(str(error))


def outcome_of(fields: Mapping[str, Field], guard: GuardRules | None) -> Outcomes | None:
    """Give what became of a request, by its log line's fields; None for one that was refused before it was sent.

    Slow is what the guard says; without one nothing is. A client that hangs up isn't seen and changes nothing: whatever
    broke off was cut by its upstream, by the gateway's own time, or by a fault.
    """
    if fields.get("upstream") is None:
        return UNSENT if fields.get("code") in UNSENT_FAILURES else None
    duration_ms = _number(fields, "duration_ms")
    first_byte_ms = _number(fields, "first_byte_ms", duration_ms)
    guard = guard or GuardRules()
    return Outcomes(
        requests=1,
        failed=int(_has_failed(fields)),
        slow=int(_is_over(duration_ms, guard.slow_ms)),
        slow_first_byte=int(_is_over(first_byte_ms, guard.slow_first_token_ms)),
        input_tokens=int(_number(fields, "input_tokens")),
        output_tokens=int(_number(fields, "output_tokens")),
        duration_ms=round(duration_ms),
        first_byte_ms=round(first_byte_ms),
        histogram=tuple(int(place == _bin(duration_ms)) for place in range(len(BOUNDS_MS) + 1)),
        refused=int(_is_refused(fields)),
    )


def _has_failed(fields: Mapping[str, Field]) -> bool:
    """Say whether it failed by no fault of its client's, or broke off before its end."""
    status = _number(fields, "status", _SERVER_ERROR)
    if fields.get("failure") is not None or fields.get("code") in FAILURES or status >= _SERVER_ERROR:
        return True
    return status < _CLIENT_ERROR and fields.get("complete") is False


def _is_refused(fields: Mapping[str, Field]) -> bool:
    """Say whether the upstream would not do it. Clients err, too, but on both arms alike."""
    return not _has_failed(fields) and _CLIENT_ERROR <= _number(fields, "status") < _SERVER_ERROR


def _bin(duration_ms: float) -> int:
    return sum(duration_ms > bound_ms for bound_ms in BOUNDS_MS)


def _is_over(measured_ms: float, limit_ms: int | None) -> bool:
    return limit_ms is not None and measured_ms > limit_ms


def _number(fields: Mapping[str, Field], name: str, otherwise: float = 0.0) -> float:
    value = fields.get(name)
    return float(value) if isinstance(value, int | float) else otherwise
