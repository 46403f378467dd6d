"""How much of one item in the `counters` table a document's limits take: a write of more than 1 KB costs double.

The sizes are DynamoDB's ("Item sizes and formats"): a name has its bytes, a number one more than half its digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sallyport.policy.limit_rules import LimitRule

MAX_ITEM_BYTES: Final = 1024

_NAME_BYTES: Final = 6
_LEASE_BYTES: Final = 12
_MAP_BYTES: Final = 3
_LATEST_MS: Final = 10**13 - 1
_FIXED_BYTES: Final = len("pk") + len("limit#") + len("sk") + len("window") + len("expires_at") + 6
# The longest value of each part of a member, with the sign before it.
_VALUE_BYTES: Final = {"key": 34, "subject": 34, "ip": 34, "tenant": 65, "model": 65, "route": 20, "global": 0}


def item_bytes(scope: tuple[str, ...], rules: Iterable[LimitRule]) -> int:
    """Give the most bytes that the item of one member of a scope can have, with all of these rules in it."""
    member = len("+".join(scope)) + sum(_VALUE_BYTES[part] for part in scope)
    return _FIXED_BYTES + member + sum(map(rule_bytes, rules))


def rule_bytes(rule: LimitRule) -> int:
    """Give the most bytes that one rule takes: a window and two counts, or its leases."""
    if rule.unit == "concurrent":
        return _NAME_BYTES + _MAP_BYTES + _LEASE_BYTES * rule.limit
    window = _number_bytes(_LATEST_MS // (rule.window.length_s * 1000) if rule.window.length_s else 10**6)
    return 3 * _NAME_BYTES + window + 2 * _number_bytes(10 * rule.limit)


def _number_bytes(number: int) -> int:
    return (len(str(number)) + 1) // 2 + 1
