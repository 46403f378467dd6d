"""A key's own limits as text, such as `tokens=50000/1m` or `usd=20/month`: in its stored item and in the context.

Amounts are read by hand: `decimal` would cost every cold start of the doors.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from sallyport.policy.limit_rules import (
    MAX_CONCURRENT,
    MAX_KEY_RULES,
    NANODOLLARS,
    NO_WINDOW,
    UNITS,
    LimitRule,
    Window,
    parse_window,
    rule_name,
)

MAX_AMOUNT = 10**15
"""Of requests and tokens."""
MAX_NANODOLLARS = 10**18
"""A thousand million US dollars."""
KEY_SCOPE = ("key",)
MINUTE = Window(60)

_WHOLE = re.compile(r"0|[1-9][0-9]{0,18}")
_DOLLARS = re.compile(r"(0|[1-9][0-9]{0,18})(?:\.([0-9]{1,9}))?")
_EXAMPLES = "requests=10/1s, tokens=50000/1m, usd=20/month or concurrent=4"


def parse_limits(text: str) -> tuple[LimitRule, ...]:
    """Read a key's limits, separated by commas: at most ten, of one unit and window one. Raises `ValueError`."""
    return check_key_limits(parse_limit(part.strip()) for part in text.split(","))


def check_key_limits(rules: Iterable[LimitRule]) -> tuple[LimitRule, ...]:
    """Give a key's limits back. Raises `ValueError` where two are of one unit and window, or there are too many."""
    found = tuple(rules)
    if len({rule.name for rule in found}) != len(found):
        raise ValueError("has two limits of the same unit and window")
    if len({rule.counter for rule in found}) != len(found):
        raise ValueError("has two limits that would share a counter; choose another window for one of them")
    if len(found) > MAX_KEY_RULES:
        raise ValueError(f"at most {MAX_KEY_RULES} limits")
    return found


@lru_cache(maxsize=1024)
def parse_limit(text: str) -> LimitRule:
    """Read one limit of a key, `UNIT=AMOUNT/WINDOW`; of `concurrent` without a window. Raises `ValueError`."""
    unit, equals, rest = text.partition("=")
    amount, slash, window = rest.partition("/")
    if unit not in UNITS or not equals or bool(slash) == (unit == "concurrent"):
        raise ValueError(f"isn't like {_EXAMPLES}")
    return key_rule(unit, parse_amount(unit, amount), parse_window(window) if slash else NO_WINDOW)


def key_rule(unit: str, limit: int, window: Window) -> LimitRule:
    """Give a key's own rule, as it replaces the general one of its name. A budget refuses while it can't be counted."""
    on_store_failure = "deny" if unit == "usd" else "allow"
    name = rule_name(KEY_SCOPE, unit, window)
    return LimitRule(name, KEY_SCOPE, unit, limit, window, on_store_failure=on_store_failure)


def per_minute(number: int) -> LimitRule:
    """Give a key's limit of requests per minute. Raises `ValueError` where it can be none."""
    return key_rule("requests", check_amount("requests", number), MINUTE)


def limit_text(rule: LimitRule) -> str:
    """Write a key's limit as `parse_limit` reads it."""
    amount = amount_text(rule.unit, rule.limit)
    return f"{rule.unit}={amount}" + ("" if rule.unit == "concurrent" else f"/{rule.window.text}")


def parse_amount(unit: str, text: str) -> int:
    """Read an amount of a unit: a whole number, US dollars as nanodollars. Raises `ValueError`."""
    if unit == "usd":
        return check_amount(unit, parse_usd(text))
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"an amount of {unit} is a whole number")
    return check_amount(unit, int(text))


def parse_usd(text: str) -> int:
    """Read US dollars, such as 20 or 0.25, as nanodollars. Raises `ValueError`, also for more than nine decimals."""
    found = _DOLLARS.fullmatch(text)
    if found is None:
        raise ValueError("an amount of usd is a number such as 20 or 0.25, with at most nine decimals")
    return int(found[1]) * NANODOLLARS + int((found[2] or "").ljust(9, "0"))


def check_amount(unit: str, amount: int) -> int:
    """Give the amount of a limit back, usd in nanodollars. Raises `ValueError` where no limit can be so."""
    if amount < 1:
        raise ValueError("must be more than 0")
    most = {"usd": MAX_NANODOLLARS, "concurrent": MAX_CONCURRENT}.get(unit, MAX_AMOUNT)
    if amount > most:
        raise ValueError(f"must be at most {amount_text(unit, most)}")
    return amount


def amount_text(unit: str, amount: int) -> str:
    """Write an amount, usd in dollars with no more decimals than it has."""
    if unit != "usd":
        return str(amount)
    dollars, nanodollars = divmod(amount, NANODOLLARS)
    return f"{dollars}.{nanodollars:09}".rstrip("0").rstrip(".")
