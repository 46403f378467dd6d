"""The command `sallyport usage`."""

from __future__ import annotations

from datetime import UTC, date, datetime

import click

from sallyport_cli.keys.options import read_tenant, reads
from sallyport_cli.limits.counters_table import counters_option, counters_table
from sallyport_cli.policy.operating import on_target
from sallyport_cli.target import Target
from sallyport_cli.usage.days import read_day, read_first_day
from sallyport_cli.usage.output import print_csv, print_json, print_text
from sallyport_cli.usage.totals import By, read_totals, summed


def _today() -> date:
    return datetime.now(UTC).date()


@click.command()
@click.option("--tenant", required=True, callback=reads(read_tenant), help="Whose use.")
@click.option(
    "--since",
    default="7d",
    show_default=True,
    metavar="7d|DATE",
    callback=reads(lambda text: read_first_day(text, _today())),
    help="The last days, with today, or the first day. Days are UTC's.",
)
@click.option("--until", metavar="DATE", callback=reads(read_day), help="The last day.  [default: today]")
@click.option("--by", type=click.Choice(["day", "model"]), default="day", show_default=True, help="One row for each.")
@click.option("--output", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
@counters_option
@on_target
def usage(
    *, tenant: str, since: date, until: date | None, by: By, output: str, counters: str | None, target: Target
) -> None:
    """Show what a tenant used: requests, tokens and money, from totals that are kept for 400 days."""
    last = until or _today()
    if last < since:
        raise click.UsageError(f"--until {last} is before --since {since}")
    table = counters_table(target, counters)
    sums = summed(read_totals(target.client("dynamodb"), table, tenant, since, last), by)
    if output == "json":
        print_json({"tenant": tenant, "since": since.isoformat(), "until": last.isoformat()}, by, sums)
    elif output == "csv":
        print_csv(by, sums)
    else:
        print_text(by, sums)
