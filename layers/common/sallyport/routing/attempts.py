"""In which order a request's targets are tried, and when it is worth trying again.

Everything here picks among the targets that it was given, which are those that the caller's data may go to.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sallyport.errors import NoTargetAvailableError
from sallyport.policy.upstream_rules import Target
from sallyport.routing.breaker import Breakers
from sallyport.routing.http_date import http_date_s

MAX_WAIT_S = 5.0
"""A client does better to hear of a longer wait than to sit it out: it is paid for by the second."""

FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.1, 2.0
LEAST_ATTEMPT_S = 1.0
"""Must be left after a wait, or the attempt would only spend the request's last second."""

UNTOLD_REST_S = 1.0
"""How long a target rests that refuses for its rate and doesn't say until when."""

NOT_CONNECTED = "not_connected"
RATE_LIMITED = "rate_limited"
SERVER_ERROR = "server_error"
UNFIT = "unfit"
SILENT = "silent"
OTHER = "other"

_OF_TARGET = frozenset({NOT_CONNECTED, SERVER_ERROR, SILENT})
"""What a target is to blame for."""
_GOES_ON = frozenset({NOT_CONNECTED, RATE_LIMITED, SERVER_ERROR, UNFIT})
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


class Failure(NamedTuple):
    """How an attempt failed. `kind`: one of the six above.

    After `SILENT` and `OTHER` nothing is tried. `UNFIT`: the request can't be put to this target, and nothing was sent
    there. `retry_after_s`: what the upstream said. `may_retry` false: it said not to try it again.
    """

    kind: str
    retry_after_s: float | None = None
    may_retry: bool = True


class Step(NamedTuple):
    """Try this target, after so long a wait."""

    target: Target
    wait_s: float


class Attempts:
    """The attempts of one request: at most `retries` after the first, but every target may have its turn.

    `targets` are those inside the caller's regions, the most wanted first. `uniform` draws between two numbers. `model`
    is the client's name for the model, which tells apart the targets that have no other. `arm`: that of a canary, whose
    failures at a target aren't to keep anyone else from it.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        breakers: Breakers,
        retries: int,
        uniform: Callable[[float, float], float],
        model: str = "",
        arm: str = "",
    ) -> None:
        self._targets = targets
        self._breakers = breakers
        self._uniform = uniform
        self._model = model
        self._arm = f" {arm}" if arm else ""
        self._most = max(retries + 1, len(targets))
        self._tries = [0] * len(targets)
        self._unfit: set[int] = set()
        self._made = 0

    def first(self) -> Target:
        """Give the target to begin with: the first that isn't resting, else the first that is.

        Raises `NoTargetAvailableError` if all are open.
        """
        places = self._closed_places()
        if not places:
            raise _none_available(self._breakers.retry_in_s(map(self._id, self._targets)))
        return self._take(min(places, key=self._is_resting))

    def next(self, target: Target, failure: Failure, left_s: float) -> Step | None:
        """Note that an attempt at `target` failed, and give what to do next; None: tell the client of the failure.

        `left_s` is what is left of the request's time. Untried targets come first.
        """
        self._note(target, failure)
        if failure.kind not in _GOES_ON or self._made >= self._most:
            return None
        for place in sorted(self._closed_places(), key=self._turn):
            wait_s = self._wait_s(place)
            if wait_s <= min(MAX_WAIT_S, left_s - LEAST_ATTEMPT_S):
                return Step(self._take(place), wait_s)
        return None

    def succeeded(self, target: Target) -> None:
        """Note that an attempt at `target` was answered."""
        self._breakers.succeeded(self._id(target))

    def _note(self, target: Target, failure: Failure) -> None:
        target_id = self._id(target)
        if failure.kind == UNFIT or not failure.may_retry:
            self._unfit |= {place for place, each in enumerate(self._targets) if each == target}
        if failure.kind == UNFIT:
            self._made -= 1
        if failure.kind in _OF_TARGET:
            self._breakers.failed(target_id)
        if failure.kind == RATE_LIMITED or (failure.kind == SERVER_ERROR and failure.retry_after_s is not None):
            rest_s = UNTOLD_REST_S if failure.retry_after_s is None else failure.retry_after_s
            self._breakers.rest(target_id, rest_s)

    def _closed_places(self) -> list[int]:
        return [
            place
            for place, target in enumerate(self._targets)
            if place not in self._unfit and not self._breakers.is_open(self._id(target))
        ]

    def _is_resting(self, place: int) -> bool:
        return self._breakers.is_resting(self._id(self._targets[place]))

    def _turn(self, place: int) -> tuple[bool, bool, int]:
        tries = self._tries[place]
        return tries > 0, self._is_resting(place), tries

    def _wait_s(self, place: int) -> float:
        """Give the wait before a target: until its rest is over, and where it was tried already a jittered while."""
        rest_s = self._breakers.rests_for_s(self._id(self._targets[place]))
        tries = self._tries[place]
        if not tries:
            return rest_s
        return max(rest_s, self._uniform(0.0, min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (tries - 1))))

    def _take(self, place: int) -> Target:
        self._tries[place] += 1
        self._made += 1
        return self._targets[place]

    def _id(self, target: Target) -> str:
        return f"{target.id}{'' if target.model else self._model}{self._arm}"


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Give how long an upstream asks to be left alone, None if it doesn't say so in a form that can be read.

    `headers` by lower-case name: OpenAI's `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, section
    10.2.3). `now_s` is the wall clock.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    text = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    date_s = http_date_s(text, now_s)
    return None if date_s is None else max(date_s - now_s, 0.0)


def _none_available(retry_in_s: float) -> NoTargetAvailableError:
    retry_ms = max(math.ceil(retry_in_s * 1000), 1)
    headers = {"retry-after": str(-(-retry_ms // 1000)), "retry-after-ms": str(retry_ms)}
    return NoTargetAvailableError("No upstream that your data may go to can be reached at the moment.", headers=headers)
