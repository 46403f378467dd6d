"""Lengths of time, as commands take and print them."""

from __future__ import annotations

import re
from typing import Final

_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_span(text: str) -> int:
    """Read 30m, 6h or 2d, in seconds. Raises `ValueError`."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} isn't like 30m, 6h or 2d")
    return int(match[1]) * _SECONDS[match[2]]


def span_text(milliseconds: int) -> str:
    """Give a length of time with its two largest units, rounded up to seconds: 43s, 2m 5s, 3d 4h."""
    seconds, parts = -(-milliseconds // 1000), []
    for unit in ("d", "h", "m", "s"):
        amount, seconds = divmod(seconds, _SECONDS[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2]) or "0s"
