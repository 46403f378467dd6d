"""What `sallyport residency` prints. Names come from logs, so that nothing of them may steer a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sallyport_cli.printable import printable
from sallyport_cli.residency.chains import Checked
from sallyport_cli.residency.evidence import Evidence
from sallyport_cli.residency.whereabouts import Place, Sent, Whereabouts

_MOST_LEFT: Final = 50
_HEADINGS: Final = ("REGIONS", "UPSTREAM", "HOST", "MODEL", "BASIS", "SENT", "FIRST", "LAST")


def print_json(value: Any) -> None:
    """Print one JSON value."""
    print(json.dumps(value))


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its headings first."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def evidence_json(evidence: Evidence) -> Mapping[str, Any]:
    """Give chains and faults as JSON has them."""
    return {
        "since": _moment(evidence.period.since_s),
        "ok": evidence.is_whole,
        "unreadable": evidence.unreadable,
        "chains": [
            {
                "chain": checked.chain,
                "records": len(checked.records),
                "after_last_anchor": checked.pending,
                "faults": [{"kind": fault.kind, "text": fault.text} for fault in checked.faults],
            }
            for checked in evidence.chains
        ],
    }


def print_evidence(evidence: Evidence) -> None:
    """Print a line for each chain, below it what is wrong with it, and the sum of it all."""
    for checked in evidence.chains:
        print(_chain_line(checked))
        for fault in checked.faults:
            print(printable(f"  {fault.kind}: {fault.text}"))
    if evidence.unreadable:
        print(f"unreadable: {evidence.unreadable:,} lines say that they are records, and aren't")
    print(_sum(evidence))


def _chain_line(checked: Checked) -> str:
    records = checked.records
    span = f", {records[0].seq:,} to {records[-1].seq:,}" if records else ""
    pending = f"; after the last anchor: {checked.pending:,}" if checked.pending else ""
    return printable(f"{checked.chain}: records: {len(records):,}{span}{pending}")


def _sum(evidence: Evidence) -> str:
    records = sum(len(checked.records) for checked in evidence.chains)
    about = f"since {_moment(evidence.period.since_s)}: chains: {len(evidence.chains):,}, records: {records:,}"
    verdict = "all whole" if evidence.is_whole else f"NOT WHOLE, faults: {evidence.faults():,}"
    return f"{about}, of these chained and not anchored yet: {evidence.pending():,}: {verdict}"


def whereabouts_json(tenant: str, found: Whereabouts, evidence: Evidence) -> Mapping[str, Any]:
    """Give a report as JSON has it."""
    return {
        "tenant": tenant,
        "since": _moment(evidence.period.since_s),
        "until": _moment(evidence.period.now_s),
        "ok": evidence.is_whole and not found.left,
        "chains_whole": evidence.is_whole,
        "after_last_anchor": evidence.pending(),
        "requests": found.requests,
        "without_outcome": found.open,
        "refused": found.refused,
        "left": found.left,
        "anywhere_by_permission": found.anywhere,
        "places": [
            {
                "regions": place.regions.split("+"),
                **{name: getattr(place, name) for name in Place._fields if name != "regions"},
                "sent": sent.count,
                "first": _moment(sent.first_ms / 1000),
                "last": _moment(sent.last_ms / 1000),
            }
            for place, sent in found.places.items()
        ],
    }


def print_whereabouts(tenant: str, found: Whereabouts, evidence: Evidence) -> None:
    """Print where a tenant's data went, and what that proves."""
    print(f"{tenant}, {_moment(evidence.period.since_s)} to {_moment(evidence.period.now_s)}")
    if found.places:
        print_rows([_HEADINGS, *(_place_row(place, sent) for place, sent in found.places.items())])
    print(f"requests that were sent: {found.requests:,}, times that something was sent: {found.sendings:,}")
    if found.open:
        print(f"of these requests without an outcome: {found.open:,} (under way, or their function was killed)")
    for code, count in found.refused.items():
        print(printable(f"refused with {code}: {count:,}"))
    for line in _result(found, evidence):
        print(printable(line))


def _result(found: Whereabouts, evidence: Evidence) -> Iterator[str]:
    if found.left:
        yield from found.left[:_MOST_LEFT]
        yield f"LEFT ITS RESIDENCY: {len(found.left):,} times"
    if not evidence.is_whole:
        yield (
            f"the audit chains aren't whole, so nothing is proved: `sallyport residency verify` shows the faults "
            f"({evidence.faults():,})"
        )
        return
    if not found.left:
        yield f"nothing left its residency: {found.sendings:,} of {found.sendings:,}"
    if evidence.pending():
        yield f"records of all tenants that no anchor vouches for yet: {evidence.pending():,}"
    if found.anywhere:
        yield f"by the operator's permission to targets that process anywhere: {found.anywhere:,}"
    yield f"proved (AWS's own endpoint of the region): {found.count('proved'):,}"
    yield f"declared (the region is what the operator says of the upstream): {found.count('declared'):,}"


def _place_row(place: Place, sent: Sent) -> Sequence[str]:
    return (*place, f"{sent.count:,}", _moment(sent.first_ms / 1000), _moment(sent.last_ms / 1000))


def _moment(at_s: float) -> str:
    try:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # a record that was changed may say anything
        return "-"
