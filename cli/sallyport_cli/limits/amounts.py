"""Amounts of a rule's unit, as people read them."""

from __future__ import annotations

from typing import Final

from sallyport.policy.limit_rules import NANODOLLARS

_CENT: Final = NANODOLLARS // 100


def usd_text(nanodollars: int) -> str:
    """Give an exact decimal number of dollars with two digits at least, such as 12.30 or 0.000012345."""
    sign, amount = ("-", -nanodollars) if nanodollars < 0 else ("", nanodollars)
    whole, rest = divmod(amount, NANODOLLARS)
    return f"{sign}{whole}.{f'{rest:09d}'.rstrip('0').ljust(2, '0')}"


def amount_text(unit: str, amount: int, *, down: bool = False) -> str:
    """Give an amount of a unit, such as 1,200 or $12.30. Money is rounded to cents from ten cents on: up, or `down`."""
    if unit != "usd":
        return f"{amount:,}"
    if amount >= 10 * _CENT:
        amount = (amount // _CENT if down else -(-amount // _CENT)) * _CENT
    return "$" + usd_text(amount)
