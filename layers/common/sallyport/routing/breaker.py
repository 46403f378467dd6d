"""Which targets are better left alone for a while, as one process has seen them fail.

Five failures in a row open a target's breaker for 10 s; then it is tried once more, and each failure from there on
opens it again, for twice as long, up to a minute. A target that has said when to come back rests until then: that puts
it behind the others, but doesn't block it.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

FAILURES_TO_OPEN = 5
FIRST_OPEN_S = 10.0
MAX_OPEN_S = 60.0
MAX_REST_S = 300.0
MAX_TARGETS = 1024
"""Targets vanish with the policies that named them; the one heard of longest ago gives way."""


class _Health(NamedTuple):
    """`failures`: those in a row. `open_s`: for how long it was opened last, 0 for a closed one."""

    failures: int = 0
    open_s: float = 0.0
    opens_until_s: float = 0.0
    rests_until_s: float = 0.0


_SOUND = _Health()


class Breakers:
    """The breakers of one process, by target id. `now` is a clock that never goes back, in seconds.

    A process serves one request at a time, so the first to ask after an open breaker's time makes its one trial.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._known: dict[str, _Health] = {}

    def is_open(self, target_id: str) -> bool:
        """Say whether a target may not be tried now."""
        return self._now() < self._health(target_id).opens_until_s

    def is_resting(self, target_id: str) -> bool:
        """Say whether a target has asked to be left alone until later."""
        return self.rests_for_s(target_id) > 0

    def rests_for_s(self, target_id: str) -> float:
        """Give how much longer a target rests, 0 for one that doesn't."""
        return max(self._health(target_id).rests_until_s - self._now(), 0.0)

    def retry_in_s(self, target_ids: Iterable[str]) -> float:
        """Give how long it is until one of the targets may be tried, 0 if one may be now or there is none."""
        now_s = self._now()
        return max(min((self._health(each).opens_until_s - now_s for each in target_ids), default=0.0), 0.0)

    def failed(self, target_id: str) -> None:
        """Count a failure; the fifth in a row opens the breaker, and so does each one after it."""
        health = self._health(target_id)
        failures = min(health.failures + 1, FAILURES_TO_OPEN)
        health = health._replace(failures=failures)
        if failures == FAILURES_TO_OPEN:
            open_s = min(health.open_s * 2, MAX_OPEN_S) or FIRST_OPEN_S
            health = health._replace(open_s=open_s, opens_until_s=self._now() + open_s)
        self._keep(target_id, health)

    def succeeded(self, target_id: str) -> None:
        """Forget what was against a target."""
        self._known.pop(target_id, None)

    def rest(self, target_id: str, seconds: float) -> None:
        """Let a target rest for so long, five minutes at most; a longer rest that it has already is kept."""
        health = self._health(target_id)
        until_s = self._now() + min(max(seconds, 0.0), MAX_REST_S)
        self._keep(target_id, health._replace(rests_until_s=max(until_s, health.rests_until_s)))

    def _health(self, target_id: str) -> _Health:
        return self._known.get(target_id, _SOUND)

    def _keep(self, target_id: str, health: _Health) -> None:
        self._known.pop(target_id, None)
        self._known[target_id] = health
        if len(self._known) > MAX_TARGETS:
            del self._known[next(iter(self._known))]
