"""Asks the limiter, and says what becomes of a request when the counters can't be asked."""

from collections.abc import Callable, Sequence

from sallyport.limits.rules import Decision, LimitRule
from sallyport.limits.sliding import Limiter, StoreError

REQUESTS_WINDOW_S = 60


class Admission:
    """Request limits of one key or subject, kept in the store, or in memory while the store is down."""

    def __init__(
        self, limiter: Limiter, fallback: Limiter, default_per_minute: int, on_fallback: Callable[[], None]
    ) -> None:
        self._limiter = limiter
        self._fallback = fallback
        self._default_per_minute = default_per_minute
        self._on_fallback = on_fallback

    def admit(self, member: str, per_minute: int | None) -> Decision:
        """Charge one request to `member`, under its own rate or the default one; a refusal charges nothing.

        While the store can't be asked the same rule holds per process, and `on_fallback` is told each time.
        """
        rules = _rules(per_minute if per_minute is not None else self._default_per_minute)
        try:
            return self._limiter.admit(member, rules)
        except StoreError:
            self._on_fallback()
            return self._fallback.admit(member, rules)


def _rules(per_minute: int) -> Sequence[LimitRule]:
    return (LimitRule("key", "requests", per_minute, REQUESTS_WINDOW_S),)
