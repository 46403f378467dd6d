"""What the commands of `sallyport ip` take, read strictly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from sallyport.access.networks import parse_address
from sallyport_cli.ip.rules import check_parameters
from sallyport_cli.keys.options import read_key_id, read_tenant, reads
from sallyport_cli.policy.countries import check_country
from sallyport_cli.stack_parameters import reads_parameters

networks_argument: Final = click.argument("networks", nargs=-1, metavar="NETWORK...")
file_option: Final = click.option(
    "--file",
    type=click.Path(dir_okay=False),
    metavar="LIST",
    help="One network in a line, # begins a comment; none is an error.",
)
yes_option: Final = click.option("--yes", is_flag=True, help="Even where it changes things for everyone.")
output_option: Final = click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
parameter_option: Final = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=reads_parameters(check_parameters, "IpAllowList=198.51.100.0/24"),
    help="A stack parameter on addresses or countries.  [default: those of --stack]",
)


def caller_options[F: Callable[..., Any]](command: F) -> F:
    """Adds who would call: `address` as (version, number), `tenant`, `key_id` and `country`, empty where not given."""
    for option in (
        click.option("--country", default="", callback=reads(_read_country), help="As CloudFront tells it: DE."),
        click.option("--key", "key_id", default="", callback=reads(_read_key), help="A key, for its own networks."),
        click.option("--tenant", default="", callback=reads(_read_tenant), help="[default: the key's]"),
        click.argument("address", callback=reads(parse_address)),
    ):
        command = option(command)
    return command


def check_options[F: Callable[..., Any]](command: F) -> F:
    """Adds how to answer: `output` and `exit_code`."""
    exit_code = click.option("--exit-code", is_flag=True, help="End with 1 where the address may not call.")
    return output_option(exit_code(command))


def _read_country(text: str) -> str:
    return text and check_country(text)


def _read_key(text: str) -> str:
    return text and read_key_id(text)


def _read_tenant(text: str) -> str:
    return text and read_tenant(text)
