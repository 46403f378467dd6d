"""The upstreams that a process has been connected to: each is put together when it is first asked for.

Nothing else can be reached: an upstream's address comes from the policy, and never from a request.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.providers.provider import Provider
from sallyport.providers.transport import Transport

MAX_KEPT = 64
"""Of a larger number the one that was asked for the longest ago is let go."""


class Secret(Protocol):
    """An upstream's credential."""

    def read(self) -> str:
        """Give it, empty if the upstream needs none. Raises `SecretUnavailableError`."""

    def expire(self) -> None:
        """Have it read anew: the upstream has refused it."""


class NoSecret:
    """The `Secret` of an upstream that needs none."""

    def read(self) -> str:
        """Give the empty credential."""
        return ""

    def expire(self) -> None:
        """Do nothing: there is nothing to be read."""


class Upstream(NamedTuple):
    """One upstream, ready to be asked. `host` stands in the audit record; apps and guards have no `provider`."""

    rules: UpstreamRules
    host: str
    provider: Provider | None
    transport: Transport
    secret: Secret


class Upstreams:
    """Gives upstreams by their rules; rules that change make an upstream of their own."""

    def __init__(self, make: Callable[[UpstreamRules], Upstream]) -> None:
        self._make = make
        self._made: dict[UpstreamRules, Upstream] = {}

    def get(self, rules: UpstreamRules) -> Upstream:
        """Give the upstream that these rules are of."""
        upstream = self._made.pop(rules, None) or self._make(rules)
        self._made[rules] = upstream  # now the last one
        if len(self._made) > MAX_KEPT:
            del self._made[next(iter(self._made))]
        return upstream
