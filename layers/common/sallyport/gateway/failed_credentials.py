"""Failed credentials, limited per address: whoever guesses keys can neither go on for long nor cost a write per guess.

The counters are shared by all instances of the authorizer. That an address is over its limit is then remembered here,
so that a flood from it costs neither writes nor verifications.
"""

from collections.abc import Callable

from sallyport.access.networks import format_address
from sallyport.limits.sliding import Limiter, StoreError
from sallyport.policy.limit_rules import LimitRule, Window

WINDOW_S = 60
MAX_MEMBERS = 10_000
_LONGEST_BLOCK_S = 2 * WINDOW_S
_NETWORK_BITS = 64
_ONE = {"requests": 1}

type _Member = tuple[int, int]


class FailedCredentials:
    """How many failures an address may have in a minute. An IPv6 address counts as its /64: a client has all of it."""

    def __init__(
        self,
        limiter: Limiter,
        fallback: Limiter,
        per_minute: int,
        now_s: Callable[[], float],
        on_fallback: Callable[[], None],
    ) -> None:
        """While the store can't be asked, `fallback` counts and `on_fallback` is told. `now_s` is the wall clock."""
        self._limiter = limiter
        self._fallback = fallback
        self._rules = (LimitRule("failed-credentials", ("ip",), "requests", per_minute, Window(WINDOW_S)),)
        self._now_s = now_s
        self._on_fallback = on_fallback
        self._blocked_until_s: dict[_Member, float] = {}

    def refuses(self, version: int, number: int) -> bool:
        """Say from memory alone whether the address has to wait, whatever credential it presents."""
        return self._is_blocked(_member(version, number))

    def count(self, version: int, number: int) -> None:
        """Count a failure: with one write, or none where the address is refused already. The store may be down."""
        member = _member(version, number)
        if self._is_blocked(member):
            return
        wait_s = self._charge(_name(member))
        if wait_s > 0:
            self._block(member, self._now_s() + wait_s)

    def _charge(self, name: str) -> float:
        """Give for how many seconds no failure more fits."""
        try:
            decision = self._limiter.admit(name, self._rules, _ONE)
        except StoreError:
            self._on_fallback()
            decision = self._fallback.admit(name, self._rules, _ONE)
        [state] = decision.states
        return _LONGEST_BLOCK_S if state.retry_ms is None else state.retry_ms / 1000

    def _is_blocked(self, member: _Member) -> bool:
        until_s = self._blocked_until_s.pop(member, 0.0)
        # One that lies too far ahead was noted before the clock went back, and would hold for as long as that.
        if not 0 < until_s - self._now_s() <= _LONGEST_BLOCK_S:
            return False
        self._blocked_until_s[member] = until_s  # now the last in line to give way
        return True

    def _block(self, member: _Member, until_s: float) -> None:
        self._blocked_until_s[member] = until_s
        if len(self._blocked_until_s) > MAX_MEMBERS:
            del self._blocked_until_s[next(iter(self._blocked_until_s))]


def _member(version: int, number: int) -> _Member:
    return (version, number) if version == 4 else (version, number >> _NETWORK_BITS)  # noqa: PLR2004 - IP version


def _name(member: _Member) -> str:
    version, number = member
    if version == 4:  # noqa: PLR2004 - IP version
        return format_address(version, number)
    return f"{format_address(version, number << _NETWORK_BITS)}/{_NETWORK_BITS}"
