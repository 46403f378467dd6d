"""Places of a concurrency limit: taken for a request, given back after it, or expired if its function died."""

from collections.abc import Mapping

from sallyport.limits.rules import RuleState
from sallyport.limits.store import LeaseCharge
from sallyport.policy.limit_rules import LimitRule

GRACE_MS = 5_000
"""A lease counts for this much longer than it says: the clocks of two instances differ."""
RETRY_MS = 1_000
"""When a place is given back can't be known; a request may well be over in a second."""
ID_BYTES = 4
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 4
_CLEARED = 16
"""How many expired leases one write clears away, if it needs no more: DynamoDB bounds a condition's length."""


def lease_id(random: bytes) -> str:
    """Make an id of four letters and digits: 14.8 million of them, for at most 50 at a time."""
    number, letters = int.from_bytes(random), ""
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[digit]
    return letters


def lease_charge(
    rule: LimitRule, taken: Mapping[str, int] | None, now_ms: int, lease_s: float, new: str
) -> LeaseCharge:
    """Ask for a place, given those that are `taken` (None: there never were any), and have the expired ones go."""
    expires_at_s = int(now_ms / 1000 + lease_s) + 1
    if taken is None:
        return LeaseCharge(rule.counter, new, expires_at_s)
    most = max(len(taken) - rule.limit + 1, _CLEARED)
    expired = tuple((known, until_s) for known, until_s in taken.items() if _is_expired(until_s, now_ms))[:most]
    return LeaseCharge(rule.counter, new, expires_at_s, rule.limit + len(expired), expired)


def lease_state(rule: LimitRule, taken: Mapping[str, int], now_ms: int) -> RuleState:
    """Say how many places are left, and when the last of those taken expires if none is given back."""
    live = [until_s * 1000 + GRACE_MS - now_ms for until_s in taken.values() if not _is_expired(until_s, now_ms)]
    remaining = max(rule.limit - len(live), 0)
    if rule.limit < 1:
        return RuleState(rule, 0, 0, None)
    retry_ms = 0 if remaining else min(RETRY_MS, *(left_ms + 1 for left_ms in live))
    return RuleState(rule, remaining, max(live, default=-1) + 1, retry_ms)


def _is_expired(until_s: int, now_ms: int) -> bool:
    return until_s * 1000 + GRACE_MS < now_ms
