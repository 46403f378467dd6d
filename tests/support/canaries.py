"""Canaries for routes whose tests are about something else, or have their states at hand."""

import time
from collections.abc import Callable

from sallyport.gateway.canarying import Canaries
from sallyport.observability.log import Logger
from sallyport.policy.canary_counts import Outcomes, Place
from sallyport.policy.canary_rules import CanaryStates


class HeldStates:
    """States that a test sets; None: they were never read."""

    def __init__(self, states: CanaryStates | None) -> None:
        self.states = states or CanaryStates()
        self.is_known = states is not None

    def get(self) -> CanaryStates:
        return self.states

    def refresh_early(self) -> None:
        pass


class Counted:
    """Remembers what it was to count."""

    def __init__(self) -> None:
        self.counted: list[tuple[Place, Outcomes]] = []

    def count(self, place: Place, outcome: Outcomes) -> None:
        self.counted.append((place, outcome))


def canaries(
    states: HeldStates | None = None,
    counter: Counted | None = None,
    logger: Logger | None = None,
    home_region: str = "us-east-1",
    now_s: Callable[[], float] = time.time,
) -> Canaries:
    """Give the canaries of a route."""
    return Canaries(
        states or HeldStates(CanaryStates()),
        counter or Counted(),
        logger or Logger("test", "test"),
        home_region,
        "test",
        now_s,
    )
