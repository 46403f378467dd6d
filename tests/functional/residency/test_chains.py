"""A chain that was broken shows, and how."""

import json
from typing import Any

import pytest

from sallyport.observability.audit import record_hash
from tests.functional.residency.chain_of import DAY_S, NOW_S, Instance, MemoryAnchors, changed, check, faults


class Logs:
    """What instances of a stack left behind: lines, and anchors."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.store = MemoryAnchors()

    def instance(self, chain: str = "s-chat/0a", at_s: float = NOW_S) -> Instance:
        return Instance(self.lines, self.store, chain, at_s)


@pytest.fixture
def logs() -> Logs:
    """One instance that served 10 requests: 20 records, anchored at 2, 8, 14 and 20."""
    logs = Logs()
    instance = logs.instance()
    for _ in range(10):
        instance.request()
    assert [anchor.seq for anchor in logs.store.written] == [2, 8, 14, 20]
    return logs


def rehash(fields: dict[str, Any]) -> None:
    added = {"level", "message", "timestamp", "service", "function_name"}
    fields["hash"] = record_hash({name: value for name, value in fields.items() if name not in added})


def test_a_whole_chain_is_whole(logs: Logs) -> None:
    evidence = check(logs.lines, logs.store.written)
    assert evidence.is_whole
    assert [(len(checked.records), checked.pending) for checked in evidence.chains] == [(20, 0)]


def test_other_lines_and_lines_told_twice_are_no_fault(logs: Logs) -> None:
    lines = ["START", '{"message": "request"}', "{", *logs.lines, logs.lines[4], "2024-01-01 stream " + logs.lines[5]]
    evidence = check(lines, logs.store.written)
    assert evidence.is_whole
    assert len(evidence.chains[0].records) == 20


def test_one_changed_byte_is_altered(logs: Logs) -> None:
    logs.lines[6] = logs.lines[6].replace('"region": "eu-west-1"', '"region": "eu-west-2"')
    assert faults(check(logs.lines, logs.store.written)) == [("altered", "record 7 doesn't fit its hash")]


def test_a_changed_record_with_a_new_hash_is_forged(logs: Logs) -> None:
    logs.lines[6] = changed(changed(logs.lines[6], lambda fields: fields.update(region="us-east-1")), rehash)
    assert faults(check(logs.lines, logs.store.written)) == [
        ("forged", "record 8 doesn't follow from what stands before it")
    ]


def test_one_removed_record_shows(logs: Logs) -> None:
    del logs.lines[6]
    assert faults(check(logs.lines, logs.store.written)) == [("removed", "record 7 is missing before record 8")]


def test_records_removed_at_the_beginning_show(logs: Logs) -> None:
    assert faults(check(logs.lines[5:], logs.store.written)) == [
        ("removed", "records 1 to 5 are missing before record 6")
    ]


def test_two_swapped_lines_are_out_of_order(logs: Logs) -> None:
    logs.lines[6], logs.lines[7] = logs.lines[7], logs.lines[6]
    assert faults(check(logs.lines, logs.store.written)) == [("out of order", "record 8 stands before record 7")]


def test_two_records_with_swapped_numbers_are_altered(logs: Logs) -> None:
    logs.lines[6], logs.lines[8] = (
        changed(logs.lines[8], lambda fields: fields.update(seq=7)),
        changed(logs.lines[6], lambda fields: fields.update(seq=9)),
    )
    kinds = [kind for kind, _ in faults(check(logs.lines, logs.store.written))]
    assert kinds.count("altered") == 2


def test_a_cut_tail_shows_by_its_anchor(logs: Logs) -> None:
    assert faults(check(logs.lines[:15], logs.store.written)) == [("cut", "records 16 to 20 are missing, and anchored")]


def test_a_missing_instance_shows_by_its_anchors(logs: Logs) -> None:
    other = logs.instance("s-chat/0b")
    other.request()
    evidence = check(logs.lines[:20], logs.store.written)
    assert [(checked.chain, len(checked.faults)) for checked in evidence.chains] == [("s-chat/0a", 0), ("s-chat/0b", 1)]
    assert faults(evidence) == [("missing", "records 1 to 2 are missing, and anchored")]


def test_a_chain_written_anew_is_forged() -> None:
    real, forgery = Logs(), Logs()
    for logs, region in ((real, "us-east-1"), (forgery, "eu-west-1")):
        instance = logs.instance()
        for _ in range(4):
            instance.request(region=region, regions=[region])
    assert check(forgery.lines, forgery.store.written).is_whole
    assert faults(check(forgery.lines, real.store.written)) == [
        ("forged", "record 2 isn't the one that was anchored"),
        ("forged", "record 8 isn't the one that was anchored"),
    ]


def test_a_chain_that_no_anchor_knows_is_told(logs: Logs) -> None:
    invented = Instance(logs.lines, MemoryAnchors(), "s-chat/ff")
    invented.request()
    assert faults(check(logs.lines, logs.store.written)) == [
        ("unanchored", "records 1 to 2 are there, and no anchor knows of it")
    ]
    assert check(logs.lines, logs.store.written, now_s=NOW_S + 300).is_whole  # its first request may be under way


def test_a_record_told_twice_with_other_content_is_forged(logs: Logs) -> None:
    logs.lines.append(changed(logs.lines[6], lambda fields: fields.update(region="us-east-1")))
    assert ("forged", "record 7 is there twice, with different content") in faults(
        check(logs.lines, logs.store.written)
    )


def test_records_after_the_last_anchor_are_counted(logs: Logs) -> None:
    instance = logs.instance("s-chat/0c")
    for _ in range(3):
        instance.request(seconds=5)
    evidence = check(logs.lines, logs.store.written)
    assert evidence.is_whole
    assert evidence.chains[1].pending == 4


def test_a_restart_begins_a_new_chain(logs: Logs) -> None:
    restarted = logs.instance("s-chat/0b", at_s=NOW_S + 200)
    restarted.request()
    assert check(logs.lines, logs.store.written).is_whole
    assert len(check(logs.lines, logs.store.written).chains) == 2


def test_a_period_begins_at_the_last_anchor_before_it(logs: Logs) -> None:
    since_s = NOW_S + 65  # anchors: at 10, 40, 70 and 100 s
    whole = check(logs.lines, logs.store.written, since_s=since_s)
    assert whole.is_whole
    assert whole.chains[0].records[0].seq == 9
    assert check(logs.lines[8:], logs.store.written, since_s=since_s).is_whole
    assert faults(check(logs.lines[9:], logs.store.written, since_s=since_s)) == [
        ("removed", "record 9 is missing before record 10")
    ]
    assert faults(check([], logs.store.written, since_s=since_s)) == [
        ("cut", "records 9 to 20 are missing, and anchored")
    ]


def test_a_period_links_its_first_record_to_the_anchor_before_it(logs: Logs) -> None:
    forgery = Logs()
    instance = forgery.instance()
    for _ in range(10):
        instance.request(region="us-east-1")
    forged = check(forgery.lines, logs.store.written[:2], since_s=NOW_S + 65)
    assert faults(forged) == [("forged", "record 9 doesn't follow from what stands before it")]


def test_chains_of_before_the_period_are_not_looked_at(logs: Logs) -> None:
    evidence = check(logs.lines[:3], logs.store.written, since_s=NOW_S + DAY_S, now_s=NOW_S + 2 * DAY_S)
    assert (evidence.is_whole, evidence.chains) == (True, [])


@pytest.mark.parametrize(
    "broken",
    [
        {"chain": 5},
        {"seq": "7"},
        {"seq": True},
        {"seq": 0},
        {"seq": 7.0},
        {"prev": None},
        {"hash": 1},
    ],
    ids=repr,
)
def test_what_says_it_is_a_record_and_is_none_is_told(logs: Logs, broken: dict[str, Any]) -> None:
    logs.lines[18] = changed(logs.lines[18], lambda fields: fields.update(broken))
    evidence = check(logs.lines, logs.store.written[:3])
    assert (evidence.unreadable, evidence.is_whole) == (1, False)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "-1e999"])
def test_numbers_that_are_none_are_altered(logs: Logs, value: str) -> None:
    logs.lines[6] = logs.lines[6].replace('"attempt": 1', f'"attempt": {value}')
    assert faults(check(logs.lines, logs.store.written)) == [("altered", "record 7 doesn't fit its hash")]


def test_a_key_that_is_there_twice_makes_no_record(logs: Logs) -> None:
    logs.lines[6] = logs.lines[6].replace('"attempt": 1', '"region": "us-east-1", "attempt": 1')
    assert json.loads(logs.lines[6])["region"] == "us-east-1"
    assert faults(check(logs.lines, logs.store.written)) == [("removed", "record 7 is missing before record 8")]
