"""What the commands of `sallyport limits` take, read strictly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from sallyport.access.networks import parse_address
from sallyport.identity.principal import is_subject
from sallyport.limits.selection import ip_value
from sallyport_cli.keys.options import read_key_id, read_tenant, reads
from sallyport_cli.limits.callers import Part
from sallyport_cli.limits.parameters import check_parameters
from sallyport_cli.stack_parameters import reads_parameters

parameter_option: Final = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=reads_parameters(check_parameters, "RequestsPerMinute=60"),
    help="A stack parameter that sets a limit.  [default: those of --stack]",
)


def whose_options[F: Callable[..., Any]](command: F) -> F:
    """Adds who is counted: `tenant`, `key_id`, `subject`, `ip` (None: not named) and `model`, empty where not named."""
    for option in (
        click.option("--model", default="", help="One model alone.  [default: those of the policy]"),
        click.option("--ip", metavar="ADDRESS", callback=reads(_read_ip), help="An address; IPv6 counts by its /64."),
        click.option("--subject", default="", callback=reads(_read_subject), help="Who calls by JWT, with --tenant."),
        click.option("--key", "key_id", default="", callback=reads(_read_key), help="One key, by its id."),
        click.option("--tenant", default="", callback=reads(_read_tenant), help="[default: the key's]"),
    ):
        command = option(command)
    return command


def _read_ip(text: str) -> Part:
    parse_address(text)
    value = ip_value(text)
    return Part(value, value)


def _read_subject(text: str) -> str:
    if text and not is_subject(text):
        raise ValueError("a subject is 1 to 256 printable characters")
    return text


def _read_key(text: str) -> str:
    return text and read_key_id(text)


def _read_tenant(text: str) -> str:
    return text and read_tenant(text)
