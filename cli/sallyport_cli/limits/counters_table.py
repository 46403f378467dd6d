"""Where the counters are: in a table of the stack, beside its config table."""

from __future__ import annotations

from typing import Final

import click

from sallyport_cli.target import Target

counters_option: Final = click.option(
    "--counters-table", "counters", help="Name of the counters table.  [default: the stack's]"
)


def counters_table(target: Target, named: str | None) -> str:
    """Give the name of the counters table. Raises click's exceptions where it isn't told or can't be found."""
    found = named or target.counters_table()
    if found is None:
        raise click.UsageError("give --stack or --counters-table: --table is the config table's")
    return found
