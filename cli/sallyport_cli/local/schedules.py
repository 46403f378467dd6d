"""When a function is called by the clock, as the template says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sallyport_cli.local.template_file import TemplateError

_RATE = re.compile(r"rate\((?P<value>[1-9][0-9]*) (?P<unit>minute|hour|day)s?\)")
_MINUTES: Final = {"minute": 1, "hour": 60, "day": 24 * 60}


@dataclass(frozen=True)
class Schedule:
    """A function, and every how many minutes it is called."""

    function: str
    minutes: int


def read_rate(expression: str, place: str) -> int:
    """The minutes between two calls of `rate(...)`; raises `TemplateError` for anything else, `cron(...)` among it.

    Source: "Schedule types" in the EventBridge user guide.
    """
    found = _RATE.fullmatch(expression.strip())
    if found is None:
        raise TemplateError(f"{place}.Schedule", f"{expression} isn't supported locally: rate(N minutes) is")
    return int(found["value"]) * _MINUTES[found["unit"]]
