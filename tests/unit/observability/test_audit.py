"""The audit trail of one function instance: records linked by hash, and anchors of their head."""

import hashlib
import json
from typing import Any

import pytest

from sallyport.observability.anchors import Anchor, AnchorError, first_hash
from sallyport.observability.audit import AuditTrail, new_chain, record_hash
from sallyport.observability.log import LEVELS, Logger

CHAIN = "sallyport-chat/00112233445566778899aabbccddeeff"


class Anchors:
    """Keeps anchors; with a fault, raises it instead."""

    def __init__(self) -> None:
        self.written: list[Anchor] = []
        self.fault: Exception | None = None

    def write(self, anchor: Anchor) -> None:
        if self.fault is not None:
            raise self.fault
        self.written.append(anchor)


class Instance:
    """A trail that writes through a logger, as functions do, on a clock that stands still."""

    def __init__(self, chain: str = CHAIN) -> None:
        self.now_s = 1_700_000_000.25
        self.lines: list[str] = []
        self.told: list[str] = []
        self.anchors = Anchors()
        logger = Logger("sallyport-chat", "sallyport", LEVELS["ERROR"], self.lines.append, lambda: self.now_s)
        self.trail = AuditTrail(
            logger.audit, chain, lambda: self.now_s, self.anchors, self.told.append, region="eu-central-1"
        )

    def records(self) -> list[dict[str, Any]]:
        added = {"level", "message", "timestamp", "service", "function_name"}
        return [{name: value for name, value in json.loads(line).items() if name not in added} for line in self.lines]


@pytest.fixture
def instance() -> Instance:
    return Instance()


def test_a_record_is_written_at_once_and_whole(instance: Instance) -> None:
    instance.trail.decision(request_id="r1", tenant="acme", residency=["eu-central-1"], verdict="forward", code=None)
    record = instance.records()[0]
    told = record.pop("hash")
    assert record == {
        "chain": CHAIN,
        "seq": 1,
        "prev": hashlib.sha256(f"sallyport audit chain {CHAIN}".encode()).hexdigest(),
        "kind": "decision",
        "time_ms": 1_700_000_000_250,
        "recorded_in": "eu-central-1",
        "request_id": "r1",
        "tenant": "acme",
        "residency": ["eu-central-1"],
        "verdict": "forward",
    }
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"))
    assert told == hashlib.sha256(canonical.encode()).hexdigest()


def test_records_are_linked_in_order(instance: Instance) -> None:
    instance.trail.decision(request_id="r1")
    instance.trail.outcome(request_id="r1", status=200, complete=True)
    first, second = instance.records()
    assert [first["seq"], second["seq"], second["kind"]] == [1, 2, "outcome"]
    assert second["prev"] == first["hash"]


def test_a_line_alone_gives_the_hash_of_its_record(instance: Instance) -> None:
    instance.trail.outcome(request_id="ü\ud800", status=200, code=None, complete=False, regions=["b", "a"])
    assert [record_hash(record) for record in instance.records()] == [instance.records()[0]["hash"]]


def test_chains_begin_apart() -> None:
    assert first_hash("f/1") != first_hash("f/2")


def test_new_chains_are_the_functions_and_never_the_same() -> None:
    chains = {new_chain("sallyport-chat") for _ in range(100)}
    assert len(chains) == 100
    assert all(chain.startswith("sallyport-chat/") and len(chain) == len("sallyport-chat/") + 16 for chain in chains)


def test_fields_of_a_caller_never_stand_for_the_chains_own(instance: Instance) -> None:
    instance.trail.decision(seq=99, prev="x", kind="outcome", chain="other")
    record = instance.records()[0]
    assert (record["seq"], record["kind"], record["chain"]) == (1, "decision", CHAIN)


def test_a_record_that_could_not_be_written_stops_its_request_and_is_no_part_of_the_chain() -> None:
    lines: list[dict[str, Any]] = []

    def write(message: str, **record: Any) -> None:
        if record["request_id"] == "r1":
            raise OSError
        lines.append(record)

    trail = AuditTrail(write, CHAIN, lambda: 0.0, Anchors(), lambda _: None, "eu-central-1")
    with pytest.raises(OSError):  # noqa: PT011 - bare, as it was raised
        trail.decision(request_id="r1")
    trail.decision(request_id="r2")
    assert [(line["seq"], line["prev"]) for line in lines] == [(1, first_hash(CHAIN))]


def test_the_first_records_are_anchored_at_once(instance: Instance) -> None:
    instance.trail.decision(request_id="r1")
    instance.trail.outcome(request_id="r1")
    instance.trail.anchor_if_due()
    head = instance.records()[1]["hash"]
    assert instance.anchors.written == [Anchor(CHAIN, 2, head, 1_700_000_000, "sallyport-chat")]


def test_nothing_is_anchored_without_a_record(instance: Instance) -> None:
    instance.trail.anchor_if_due()
    assert instance.anchors.written == []


def test_later_records_are_anchored_every_30_s_of_traffic(instance: Instance) -> None:
    for seconds in (0, 29.9, 0.1, 40, 40):
        instance.now_s += seconds
        instance.trail.decision(request_id="r")
        instance.trail.anchor_if_due()
    instance.now_s += 1000
    instance.trail.anchor_if_due()  # nothing is new
    assert [anchor.seq for anchor in instance.anchors.written] == [1, 3, 4, 5]


def test_a_clock_that_was_set_back_keeps_no_anchor_back(instance: Instance) -> None:
    for seconds in (0, -3600):
        instance.now_s += seconds
        instance.trail.decision(request_id="r")
        instance.trail.anchor_if_due()
    assert [anchor.seq for anchor in instance.anchors.written] == [1, 2]


@pytest.mark.parametrize(
    ("fault", "told"), [(AnchorError("ThrottlingException"), "ThrottlingException"), (OSError("secret"), "OSError")]
)
def test_an_anchor_that_failed_is_told_and_tried_again(instance: Instance, fault: Exception, told: str) -> None:
    instance.anchors.fault = fault
    instance.trail.decision(request_id="r1")
    instance.trail.anchor_if_due()
    instance.anchors.fault = None
    instance.trail.anchor_if_due()
    assert instance.told == [told]
    assert [anchor.seq for anchor in instance.anchors.written] == [1]
