"""Function instances that write audit records as the real ones do, for tests that tamper with what they wrote."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sallyport.observability.anchors import Anchor, AnchorStore
from sallyport.observability.audit import AuditTrail
from sallyport.observability.log import Logger
from sallyport_cli.residency.chains import Period
from sallyport_cli.residency.evidence import Evidence, evidence_of
from sallyport_cli.residency.records import read_records
from sallyport_cli.route_logs import LogLine

NOW_S = 1_700_000_000.0
DAY_S = 86_400


class MemoryAnchors:
    """Anchors of all instances."""

    def __init__(self) -> None:
        self.written: list[Anchor] = []

    def write(self, anchor: Anchor) -> None:
        self.written.append(anchor)


class Instance:
    """One function instance; its lines go where all others' go."""

    def __init__(self, lines: list[str], anchors: AnchorStore, chain: str = "s-chat/0a", at_s: float = NOW_S) -> None:
        self.now_s = at_s
        logger = Logger("s-chat", "s", write=lines.append, now=lambda: self.now_s)
        self.trail = AuditTrail(logger.audit, chain, lambda: self.now_s, anchors, _never, region="eu-central-1")
        self._count = 0
        self._chain = chain

    def request(self, *, seconds: float = 10, outcome: bool = True, **fields: Any) -> None:
        """Serve one request."""
        self.now_s += seconds
        self._count += 1
        request_id = f"{self._chain}-{self._count}"
        told = forwarded() | fields
        self.trail.decision(request_id=request_id, **told)
        if outcome:
            self.trail.outcome(
                request_id=request_id,
                tenant=told["tenant"],
                status=200,
                upstream=told.get("upstream"),
                region=told.get("region"),
            )
        self.trail.anchor_if_due()


def forwarded() -> dict[str, Any]:
    """What a decision to forward says."""
    return {
        "tenant": "acme",
        "residency": ["eu-central-1", "eu-west-1"],
        "home": "eu-central-1",
        "policy_version": 3,
        "considered": ["eu/gpt eu-west-1 eligible", "us/gpt us-east-1 outside_residency"],
        "upstream": "eu",
        "region": "eu-west-1",
        "regions": ["eu-west-1"],
        "host": "eu.example.com",
        "model": "gpt",
        "basis": "declared",
        "attempt": 1,
        "verdict": "forward",
    }


def check(
    lines: Iterable[str], anchors: Sequence[Anchor], *, since_s: float = NOW_S - DAY_S, now_s: float = NOW_S + 7200
) -> Evidence:
    """Check lines as `sallyport residency verify` does."""
    found = read_records(LogLine(number, line) for number, line in enumerate(lines))
    return evidence_of(found, anchors, Period(since_s, now_s, now_s))


def faults(evidence: Evidence) -> list[tuple[str, str]]:
    """Give the faults of all chains as kind and text."""
    return [(fault.kind, fault.text) for checked in evidence.chains for fault in checked.faults]


def changed(line: str, change: Callable[[dict[str, Any]], object]) -> str:
    """Give a line with its fields changed."""
    fields = json.loads(line)
    change(fields)
    return json.dumps(fields)


def _never(reason: str) -> None:
    raise AssertionError(reason)
