"""Where a tenant's data went, by the records of the decisions, each judged again by what it says itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sallyport.observability.audit import DECISION, OUTCOME
from sallyport.policy.upstream_rules import GLOBAL
from sallyport.routing.residency import ELIGIBLE
from sallyport_cli.residency.records import Record

FORWARD, REFUSE = "forward", "refuse"


class Place(NamedTuple):
    """Where data went. `regions` are all in which the target may process, joined by `+`."""

    regions: str
    upstream: str
    host: str
    model: str
    basis: str


@dataclass
class Sent:
    """How often data went to a place, and when; times in epoch milliseconds."""

    count: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True)
class Whereabouts:
    """All of one tenant in a period. `requests` were sent at least once, each to one or more places.

    `left` says why a sending wasn't within the residency recorded with it. `anywhere`: sendings to targets that
    process anywhere, by permission. `open`: requests that were sent and have no outcome.
    """

    places: Mapping[Place, Sent]
    requests: int
    left: Sequence[str]
    anywhere: int
    refused: Mapping[str, int]
    open: int

    @property
    def sendings(self) -> int:
        """How often something was sent."""
        return sum(sent.count for sent in self.places.values())

    def count(self, basis: str) -> int:
        """Give how many sendings have a region on this basis."""
        return sum(sent.count for place, sent in self.places.items() if place.basis == basis)


def whereabouts(records: Iterable[Record], tenant: str, since_s: float) -> Whereabouts:
    """Judge the records of a tenant since a time in epoch seconds."""
    own = [record for record in records if record.text("tenant") == tenant]
    all_sent = [record for record in own if record.text("kind") == DECISION and record.text("verdict") != REFUSE]
    own = [record for record in own if record.time_ms >= since_s * 1000]
    decisions = [record for record in own if record.text("kind") == DECISION]
    outcomes = [record for record in own if record.text("kind") == OUTCOME]
    sent = [record for record in decisions if record.text("verdict") != REFUSE]  # what isn't known went out
    sent_ids = {_request(record) for record in sent}
    return Whereabouts(
        places=_places(sent),
        requests=len(sent_ids),
        left=[*_left(sent), *_elsewhere(all_sent, outcomes)],
        anywhere=sum(GLOBAL in record.texts("regions") for record in sent),
        refused=Counter(record.text("code") or "-" for record in decisions if record.text("verdict") == REFUSE),
        open=len(sent_ids - {_request(record) for record in outcomes}),
    )


def leaving(record: Record) -> str:
    """Say why a sending wasn't within the residency recorded with it; empty if it was. What is missing is outside."""
    regions, residency = record.texts("regions"), record.texts("residency")
    homes = {record.text("home"), record.text("recorded_in")}
    if not regions or record.text("region") not in regions or record.text("verdict") != FORWARD:
        return "the record doesn't say where it went"
    outside = sorted({region for region in regions if region != GLOBAL}.difference(residency))
    if outside:
        return f"sent to {', '.join(outside)}, outside of {', '.join(residency) or 'no residency'}"
    if GLOBAL in regions and not _was_eligible(record):
        return "sent to a target that processes anywhere, without permission"
    if "" in homes:
        return "the record doesn't say where it was handled"
    if not homes.issubset(residency):
        return f"handled in {' and '.join(sorted(homes.difference(residency)))}, outside of {', '.join(residency)}"
    return ""


def _was_eligible(record: Record) -> bool:
    """Say whether the record lists the target itself, with all its regions, as one that may be used."""
    regions = "+".join(record.texts("regions"))
    wanted = f" {regions} {ELIGIBLE}"
    return any(
        entry.startswith(f"{record.text('upstream')}/") and entry.endswith(wanted)
        for entry in record.texts("considered")
    )


def _left(sent: Iterable[Record]) -> Iterator[str]:
    for record in sent:
        if reason := leaving(record):
            yield f"request {record.text('request_id') or '-'}: {reason}"


def _elsewhere(sent: Iterable[Record], outcomes: Iterable[Record]) -> Iterator[str]:
    """Find answers of an upstream that no decision sent anything to."""
    decided = {(*_request(record), record.text("upstream"), record.text("region")) for record in sent}
    for outcome in outcomes:
        where = outcome.text("upstream"), outcome.text("region")
        if any(where) and (*_request(outcome), *where) not in decided:
            yield f"request {outcome.text('request_id') or '-'}: answered by {where[0]}, which no decision names"


def _request(record: Record) -> tuple[str, str]:
    return record.chain, record.text("request_id")


def _places(sent: Iterable[Record]) -> Mapping[Place, Sent]:
    places: dict[Place, Sent] = {}
    for record in sent:
        place, time_ms = _place(record), record.time_ms
        known = places.setdefault(place, Sent(0, time_ms, time_ms))
        known.count += 1
        known.first_ms, known.last_ms = min(known.first_ms, time_ms), max(known.last_ms, time_ms)
    return dict(sorted(places.items()))


def _place(record: Record) -> Place:
    regions = "+".join(record.texts("regions")) or "-"
    upstream, host, model = (record.text(name) or "-" for name in ("upstream", "host", "model"))
    return Place(regions, upstream, host, model, "proved" if record.text("basis") == "proved" else "declared")
