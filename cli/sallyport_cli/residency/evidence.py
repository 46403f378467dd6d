"""What is known of a stack's audit chains: the records in its logs, and the anchors of them."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from sallyport.adapters.dynamodb_anchors import DAY_S
from sallyport.observability.anchors import Anchor
from sallyport.observability.audit import MESSAGE
from sallyport_cli.keys.options import reads
from sallyport_cli.limits.durations import read_span
from sallyport_cli.policy.operating import on_target
from sallyport_cli.residency.anchors_table import anchors_option, anchors_table_of, read_anchors
from sallyport_cli.residency.chains import Checked, Period, check_chains
from sallyport_cli.residency.records import Found, read_records
from sallyport_cli.residency.retention import check_retention
from sallyport_cli.route_logs import file_log, stack_log
from sallyport_cli.target import Target

ROUTES: Final = ("chat-completions", "responses", "embeddings", "messages", "count-tokens", "app")
"""Those that send something somewhere, as their log groups are named."""
LEAD_S: Final = DAY_S
"""So much earlier reading begins than the period: there stand the anchors that the period's first records follow.

An instance on Lambda that gets no request for a day is long gone.
"""
SETTLING_S: Final = 60
"""CloudWatch shows a line a while after it was written: so long an anchor's records may be on their way."""


@dataclass(frozen=True)
class Evidence:
    """All chains of a period, checked. `unreadable`: lines that say they are records, and can't be read as one."""

    period: Period
    chains: Sequence[Checked]
    unreadable: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing at all is wrong."""
        return self.unreadable == 0 and not any(checked.faults for checked in self.chains)

    def faults(self) -> int:
        """Count what is wrong."""
        return self.unreadable + sum(len(checked.faults) for checked in self.chains)

    def pending(self) -> int:
        """Count the records after the last anchors: chained, but whoever writes the logs could exchange their end."""
        return sum(checked.pending for checked in self.chains)


def evidence_of(found: Found, anchors: Sequence[Anchor], period: Period) -> Evidence:
    """Check what was read."""
    return Evidence(period, check_chains(found.records, anchors, period), found.unreadable)


def with_evidence(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say which records and anchors are looked at, given to the command as `evidence`."""

    @click.option(
        "--since",
        default="7d",
        show_default=True,
        metavar="12h|30d",
        callback=reads(read_span),
        help="How far back to look; at most as far as logs are kept.",
    )
    @click.option("--log-file", metavar="FILE", help="JSON lines instead of CloudWatch's, - for stdin.")
    @anchors_option
    @on_target
    @functools.wraps(command)
    def run(*, since: int, log_file: str | None, anchors_table: str | None, target: Target, **options: Any) -> None:
        command(evidence=gather(target, since, log_file, anchors_table, time.time()), **options)

    return run


def gather(target: Target, since: int, log_file: str | None, anchors_table: str | None, now_s: float) -> Evidence:
    """Read what is known of the last `since` seconds. Raises click's exceptions.

    Anchors are read first: whatever is anchored by then must stand in logs that are read after.
    """
    since_s = now_s - since
    read_from_s = (since_s - LEAD_S) // DAY_S * DAY_S
    table = anchors_table_of(target, anchors_table)
    anchors = read_anchors(target.client("dynamodb"), table, read_from_s, now_s)
    if log_file is None:
        check_retention(target, read_from_s, now_s)
        lines, until_s = stack_log(target, read_from_s, ROUTES, (MESSAGE,)), now_s - SETTLING_S
    else:
        lines, until_s = file_log(log_file), now_s
    return evidence_of(read_records(lines), anchors, Period(since_s, until_s, now_s))
