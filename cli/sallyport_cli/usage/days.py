"""Which days a report is about. Totals are of whole days in UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sallyport.limits.totals import KEPT_DAYS

_LAST_DAYS: Final = re.compile(r"([1-9][0-9]{0,2})d", re.ASCII)


def read_first_day(text: str, today: date) -> date:
    """Read `7d`, the last seven days with today, or a day such as 2026-11-01. Raises `ValueError`."""
    match = _LAST_DAYS.fullmatch(text)
    if match is None:
        return read_day(text, "7d or 2026-11-01")
    if int(match[1]) > KEPT_DAYS:
        raise ValueError(f"totals are kept for {KEPT_DAYS} days")
    return today - timedelta(days=int(match[1]) - 1)


def read_day(text: str, examples: str = "2026-11-30") -> date:
    """Read a day. Raises `ValueError`."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise ValueError(f"{text!r} isn't like {examples}") from None
