"""A bar that shows how much of a limit is used."""

from __future__ import annotations

from typing import Final, NamedTuple

import click

WIDTH: Final = 20
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_WARNING_SHARE: Final = 0.7
_ALARM_SHARE: Final = 0.9


class Look(NamedTuple):
    """What the terminal can show: block characters, and colours."""

    blocks: bool = False
    colours: bool = False

    @classmethod
    def of(cls, *, is_terminal: bool, encoding: str, no_color: str) -> Look:
        """Tell from stdout and from the variable NO_COLOR (https://no-color.org: any text but none)."""
        return cls(blocks=is_terminal and "utf" in encoding.lower(), colours=is_terminal and not no_color)


def bar(used: int, limit: int, look: Look) -> str:
    """Draw how much of a limit is used, in brackets. What is over the limit fills the bar."""
    share = min(max(used / limit, 0.0), 1.0) if limit else 1.0
    drawn = _blocks(share) if look.blocks else ("#" * _full(share)).ljust(WIDTH, ".")
    return f"[{click.style(drawn, fg=_colour(share)) if look.colours else drawn}]"


def _full(share: float) -> int:
    """Of a plain bar; something used is never drawn as nothing, and only what is full as full."""
    return min(max(int(share * WIDTH), int(share > 0)), WIDTH - int(share < 1))


def _blocks(share: float) -> str:
    eighths = min(max(int(share * WIDTH * 8), int(share > 0)), WIDTH * 8 - int(share < 1))
    whole, rest = divmod(eighths, 8)
    return (_EIGHTHS[8] * whole + (_EIGHTHS[rest] if rest else "")).ljust(WIDTH)


def _colour(share: float) -> str:
    if share >= _ALARM_SHARE:
        return "red"
    return "yellow" if share >= _WARNING_SHARE else "green"
