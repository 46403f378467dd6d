"""What `sallyport ip` prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sallyport.access.networks import format_address
from sallyport_cli.ip.checking import Caller, Step
from sallyport_cli.policy.ip_rules import IpRules


def print_entries(rules: IpRules) -> None:
    """Print a line for each entry: list, network, since when, by whom and why."""
    rows = [
        (name, entry.network, _moment(entry.added_at), entry.added_by, entry.note)
        for name, entries in (("allow", rules.allow), ("deny", rules.deny))
        for entry in entries
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_steps(caller: Caller, steps: Sequence[Step]) -> None:
    """Print the verdict, and below it every list that was looked at."""
    address, last = format_address(caller.version, caller.number), steps[-1]
    print(f"{address} may not call: {last.code}, {_line(last)}" if last.code else f"{address} may call")
    for step in steps:
        print(f"  {'refuses' if step.code else 'passes'}  {_line(step)}")


def as_json(caller: Caller, steps: Sequence[Step], caveats: Sequence[str]) -> dict[str, Any]:
    """Give the verdict, the steps to it, and what wasn't looked at."""
    return {
        "address": format_address(caller.version, caller.number),
        "allowed": not steps[-1].code,
        "code": steps[-1].code or None,
        "steps": [
            {
                "list": step.list_name,
                "refuses": bool(step.code),
                "reason": step.reason,
                "rule": step.rule and step.rule.value,
                "origin": step.rule and step.rule.origin,
            }
            for step in steps
        ],
        "caveats": list(caveats),
    }


def _line(step: Step) -> str:
    return f"{step.list_name} {step.reason}"


def _moment(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
