"""What each tenant used on each day, per model: for reports, not for limits.

A total is added to once for each request that was forwarded. It is never added to twice, so a write of which nobody
knows whether it was made isn't repeated: totals may be a little low, never high. Limits have counters of their own,
which err the other way.
"""

import re
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from sallyport.limits.cost import Usage

KEPT_DAYS = 400
OTHER_MODEL = "other"
"""Stands for every model whose name couldn't be one."""
_DAY_S = 86_400
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")


class TotalsError(Exception):
    """A total couldn't be stored, or nobody knows whether it was. The message is the store's error code."""


class Total(NamedTuple):
    """What is added to one day's total; `cached_input_tokens` are part of `input_tokens`."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    nanodollars: int = 0


class TotalsStore(Protocol):
    """Keeps daily totals."""

    def add(self, tenant: str, day: str, model: str, total: Total, expires_at_s: int) -> None:
        """Add to the total of a day (YYYY-MM-DD, UTC). Raises `TotalsError`."""


class UsageTotals:
    """Adds up what was used. `tell` is told the error code of what couldn't be stored."""

    def __init__(self, store: TotalsStore, tell: Callable[[str], None]) -> None:
        self._store = store
        self._tell = tell

    def add(self, *, tenant: str, model: str, usage: Usage, nanodollars: int, now_s: float) -> None:
        """Add one request that was forwarded at `now_s` (epoch seconds). Never raises."""
        total = Total(1, usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, nanodollars)
        try:
            self._store.add(tenant, day_of(now_s), model_name(model), total, expiry_s(now_s))
        except TotalsError as error:
            self._tell(str(error))


def day_of(now_s: float) -> str:
    """Give the day of a time in UTC, as YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.gmtime(now_s))


def expiry_s(now_s: float) -> int:
    """Give when the total of a time's day is forgotten, in epoch seconds."""
    return (int(now_s // _DAY_S) + KEPT_DAYS) * _DAY_S


def model_name(text: str) -> str:
    """Give the name under which a model is counted."""
    return text if _MODEL.fullmatch(text) else OTHER_MODEL
