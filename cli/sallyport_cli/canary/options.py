"""What the commands of `sallyport canary` take, read strictly."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import click

from sallyport_cli.canary.in_force import parameter_option
from sallyport_cli.keys.options import reads
from sallyport_cli.policy.operating import note_option

_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?\s?%?", re.ASCII)
_MOST: Final = 100

json_option: Final = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


def read_weight(text: str) -> int:
    """Read a percentage with at most two decimals, as hundredths of a percent. Raises `ValueError`."""
    match = _PERCENT.fullmatch(text.strip())
    weight = None if match is None else int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    if weight is None or weight > _MOST * 100:
        raise ValueError(f"{text!r} isn't a percentage from 0 to 100 with two decimals at most, such as 5 or 0.25")
    return weight


def read_share(text: str) -> float:
    """Read a percentage as a share of 1. Raises `ValueError`."""
    return read_weight(text) / 10_000


def _read_step(_context: click.Context, _parameter: click.Parameter, number: int | None) -> int | None:
    return None if number is None else number - 1


weight_option: Final = click.option(
    "--weight", metavar="PERCENT", callback=reads(read_weight), help="How much goes to the canary, from 0 to 100."
)
step_option: Final = click.option(
    "--step", type=click.IntRange(min=1), callback=_read_step, help="A step of its ramp, counted from 1."
)


def change_options[F: Callable[..., Any]](command: F) -> F:
    """Adds what all changes take: `name`, `note`, `parameters` and `as_json`."""
    for option in (json_option, parameter_option, note_option, click.argument("name")):
        command = option(command)
    return command
