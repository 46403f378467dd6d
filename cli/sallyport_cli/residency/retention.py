"""Whether CloudWatch still keeps what is to be checked: what it has removed looks like what somebody else has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sallyport.adapters.dynamodb_anchors import DAY_S
from sallyport_cli.route_logs import groups_prefix, logs_errors, stack_of
from sallyport_cli.target import Target


def check_retention(target: Target, read_from_s: float, now_s: float) -> None:
    """Raise click's exception if lines since a time, in epoch seconds, are gone by a log group's own retention."""
    prefix = groups_prefix(stack_of(target))
    with logs_errors(f"log groups {prefix}"):
        pages = target.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
        groups = [group for page in pages for group in page["logGroups"]]
        kept_from_s = max((_kept_from(group, now_s) for group in groups), default=0.0)
    if read_from_s < kept_from_s:
        days = max(int(now_s - kept_from_s) // DAY_S - 2, 0)  # reading begins up to two days before the period
        shorter = f"--since {days}d or less, or " if days else ""
        raise click.ClickException(
            f"log groups {prefix}: they don't go back that far, by LogRetentionDays; "
            f"give {shorter}--log-file with lines that were kept elsewhere"
        )


def _kept_from(group: Mapping[str, Any], now_s: float) -> float:
    """Give the time before which a group has lost lines; 0 if it hasn't lost any yet."""
    days = group.get("retentionInDays")
    if days is None or group["creationTime"] / 1000 >= now_s - days * DAY_S:
        return 0.0
    return now_s - float(days * DAY_S)
