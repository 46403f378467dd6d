"""What `sallyport limits` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from sallyport.policy.limit_rules import LimitRule
from sallyport_cli.limits.amounts import amount_text, usd_text
from sallyport_cli.limits.bars import Look, bar
from sallyport_cli.limits.durations import span_text
from sallyport_cli.limits.refunds import Refund
from sallyport_cli.limits.reservations import Reserved
from sallyport_cli.limits.standings import Standing
from sallyport_cli.printable import printable

_HEADINGS = ("COUNTED", "RULE", "USE", "", "USED", "LIMIT", "LEFT", "FREE IN")
_RIGHT = frozenset({3, 4, 5, 6, 7})


def print_standings(found: Sequence[Standing], look: Look) -> None:
    """Print a line for each counter, with a bar."""
    rows = [_HEADINGS, *(_row(standing, look) for standing in found)]
    widths = [max(len(click.unstyle(row[column])) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = [
            _padded(cell, width, right=place in _RIGHT)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def standings_json(tenant: str, now_ms: int, found: Sequence[Standing], unknown: Mapping[str, str]) -> str:
    """Give one object. Money is a text, because a float isn't exact; `not_shown` is why, by the rule's name."""
    limits = [_as_json(standing) for standing in found]
    return json.dumps({"tenant": tenant, "at": _moment(now_ms), "limits": limits, "not_shown": dict(unknown)})


def limit_in_words(rule: LimitRule) -> str:
    """Give a rule's limit, such as `200,000 tokens/1m`, `$500.00/month` or `4 at a time`."""
    if rule.unit == "concurrent":
        return f"{rule.limit} at a time"
    return f"{_with_unit(rule.unit, rule.limit)}/{rule.window.text}"


def refund_in_words(reserved: Reserved, refund: Refund, *, dry_run: bool) -> str:
    """Give the line of one reservation, whatever its log line holds."""
    return printable(_refund_line(reserved, refund, dry_run=dry_run))


def _refund_line(reserved: Reserved, refund: Refund, *, dry_run: bool) -> str:
    of = f"{reserved.request_id} of {reserved.tenant or 'unknown'}"
    if refund.outcome == "refunded before":
        return f"{of}: refunded before"
    if refund.outcome == "window over":
        return f"{of}: counts no longer"
    back = [
        f"{_with_unit(charge.unit, charge.amount)} to {member}"
        for member, charge in refund.charges
        if charge.amount > 0
    ]
    more = [
        f"{_with_unit(charge.unit, -charge.amount)} to {member}"
        for member, charge in refund.charges
        if charge.amount < 0
    ]
    done = ("would refund ", "would add ") if dry_run else ("refunded ", "added ")
    parts = [verb + ", ".join(amounts) for verb, amounts in zip(done, (back, more), strict=True) if amounts]
    return f"{of}: {'; '.join(parts)}"


def _with_unit(unit: str, amount: int) -> str:
    return amount_text(unit, amount) + ("" if unit == "usd" else " " + unit.replace("_", " "))


def _row(standing: Standing, look: Look) -> Sequence[str]:
    rule, used = standing.counted.rule, standing.used
    return (
        standing.counted.shown,
        rule.name,
        bar(used, rule.limit, look),
        f"{used * 100 // rule.limit}%" if rule.limit else "-",
        amount_text(rule.unit, used),
        limit_in_words(rule),
        amount_text(rule.unit, standing.remaining, down=True),
        span_text(standing.reset_ms) if used else "-",
    )


def _padded(cell: str, width: int, *, right: bool) -> str:
    padding = " " * (width - len(click.unstyle(cell)))
    return padding + cell if right else cell + padding


def _as_json(standing: Standing) -> dict[str, Any]:
    rule = standing.counted.rule
    return {
        "rule": rule.name,
        "scope": list(rule.scope),
        "of": {name: part.name for name, part in standing.counted.parts.items()},
        "member": standing.counted.member,
        "unit": rule.unit,
        "window": None if rule.unit == "concurrent" else rule.window.text,
        "limit": _amount(rule, rule.limit),
        "used": _amount(rule, standing.used),
        "remaining": _amount(rule, standing.remaining),
        "resets_in_s": standing.reset_ms / 1000,
    }


def _amount(rule: LimitRule, amount: int) -> int | str:
    return usd_text(amount) if rule.unit == "usd" else amount


def _moment(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
