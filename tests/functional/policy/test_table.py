"""Policies in DynamoDB: versions, conflicts, and what is read back."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from sallyport_cli.policy.documents import Document, read_document
from sallyport_cli.policy.ip_rules import IpEntry, IpRules
from sallyport_cli.policy.stored import history_item, stored_text
from sallyport_cli.policy.table import Applied, Author, PolicyConflictError, PolicyTable, PolicyTableError
from tests.support.aws import CONFIG_TABLE, Emulator
from tests.unit.cli.policy.documents import EVERY_KEY

AUTHOR = Author("test", "ip deny 203.0.113.9", "scraper")
ENTRY = IpEntry("203.0.113.9", "scraper", 1_700_000_000, "test")


class Interrupted:
    """A client of DynamoDB, before whose transactions something else happens."""

    def __init__(self, client: Any, before: Callable[[], object]) -> None:
        self._client = client
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **request: Any) -> Any:
        self._before()
        return self._client.transact_write_items(**request)


@pytest.fixture
def table(emulator: Emulator) -> PolicyTable:
    emulator.empty_tables()
    return PolicyTable(emulator.dynamodb, CONFIG_TABLE, lambda: 1_700_000_000.5)


def document(extra: str = "") -> Document:
    return read_document(f"version: 1\n{extra}", "policy.yaml", local=False)


def deny(_: Applied | None) -> IpRules:
    return IpRules(deny=(ENTRY,))


def in_force(table: PolicyTable) -> Applied:
    applied = table.current()
    assert applied is not None
    return applied


def test_nothing_is_in_force_at_first(table: PolicyTable) -> None:
    assert table.current() is None
    assert table.history() == []
    with pytest.raises(PolicyTableError, match="no version 1"):
        table.version(1)
    with pytest.raises(PolicyTableError, match="nothing was ever applied"):
        table.roll_back(None, "test")


def test_an_applied_document_is_in_force_and_in_the_history(table: PolicyTable) -> None:
    change = table.apply(document("# é\n"), "ann", note="first")
    assert change.is_new
    applied = in_force(table)
    assert (applied.source.name, applied.source.text) == ("policy.yaml", "version: 1\n# é\n")
    assert table.history() == [applied.version] == [change.version]
    assert applied.version.as_json() == {
        "version": 1,
        "sha256": applied.version.sha256,
        "chunks": 1,
        "source_sha256": applied.version.source_sha256,
        "source_chunks": 1,
        "applied_at": 1_700_000_000,
        "applied_by": "ann",
        "action": "apply",
        "note": "first",
    }


def test_what_is_in_force_already_makes_no_version(table: PolicyTable) -> None:
    table.apply(document(), "ann")
    again = table.apply(document(), "bob")
    assert (again.is_new, again.version.version) == (False, 1)
    assert table.apply(document("# a comment\n"), "bob").version.version == 2


def test_a_long_document_is_stored_in_pieces(table: PolicyTable, emulator: Emulator) -> None:
    text = "# " + "x" * 700_000 + "\n"
    table.apply(document(text), "ann")
    applied = in_force(table)
    assert (applied.version.source_chunks, applied.source.text) == (3, f"version: 1\n{text}")
    key = applied.version.source.key(1)
    emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item={**key, "text": {"S": "tampered"}})
    with pytest.raises(PolicyTableError, match="aren't what was stored"):
        table.current()
    emulator.dynamodb.delete_item(TableName=CONFIG_TABLE, Key=key)
    with pytest.raises(PolicyTableError, match="aren't what was stored"):
        table.current()


def test_a_broken_entry_is_told_of(table: PolicyTable, emulator: Emulator) -> None:
    emulator.dynamodb.put_item(
        TableName=CONFIG_TABLE, Item={"pk": {"S": "policy"}, "sk": {"S": "current"}, "version": {"S": "x"}}
    )
    with pytest.raises(PolicyTableError, match="the pointer can't be read"):
        table.current()


def test_of_two_at_once_the_later_is_refused(table: PolicyTable, emulator: Emulator) -> None:
    for version, rival in ((1, "tenants: {a: {}}"), (2, "tenants: {b: {}}")):
        client: Any = Interrupted(emulator.dynamodb, lambda rival=rival: table.apply(document(rival), "rival"))  # type: ignore[misc]
        with pytest.raises(PolicyConflictError, match="somebody else"):
            PolicyTable(client, CONFIG_TABLE).apply(document("access: {}"), "late")
        assert in_force(table).version.version == version
        assert in_force(table).version.applied_by == "rival"


class LooksEarly:
    """A client of DynamoDB that somebody else overtakes before its first look at the history."""

    def __init__(self, client: Any, rival: Iterator[object]) -> None:
        self._client = client
        self._rival = rival

    def __getattr__(self, name: str) -> Any:
        if name == "get_paginator":
            next(self._rival, None)
        return getattr(self._client, name)


def test_the_very_first_version_of_somebody_else_is_no_lost_pointer(table: PolicyTable, emulator: Emulator) -> None:
    client: Any = LooksEarly(emulator.dynamodb, (table.apply(document(), name) for name in ("rival",)))
    assert PolicyTable(client, CONFIG_TABLE).change_ip(deny, AUTHOR).version.version == 2


def test_an_ip_change_that_was_late_is_made_again(table: PolicyTable, emulator: Emulator) -> None:
    rivals = iter([document("tenants: {a: {}}")])
    client: Any = Interrupted(emulator.dynamodb, lambda: [table.apply(rival, "rival") for rival in rivals])
    change = PolicyTable(client, CONFIG_TABLE).change_ip(deny, AUTHOR)
    assert (change.version.version, change.version.action) == (2, "ip deny 203.0.113.9")
    assert in_force(table).source.text == "version: 1\ntenants: {a: {}}"


def test_an_ip_change_waits_longer_each_time_and_gives_up_after_twenty(table: PolicyTable, emulator: Emulator) -> None:
    tenants, pauses = iter(range(100)), list[float]()
    client: Any = Interrupted(
        emulator.dynamodb, lambda: table.apply(document(f"tenants: {{a{next(tenants)}: {{}}}}"), "x")
    )
    late = PolicyTable(client, CONFIG_TABLE, sleep=pauses.append, draw=lambda: 0.5)
    with pytest.raises(PolicyConflictError):
        late.change_ip(deny, AUTHOR)
    assert in_force(table).version.version == 20
    assert (pauses[:3], pauses[-1], len(pauses)) == ([0.025, 0.05, 0.1], 1.0, 19)


class LosesAnswers:
    """A client of DynamoDB whose transactions are made, and nobody learns of it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **request: Any) -> None:
        self._client.transact_write_items(**request)
        raise ReadTimeoutError(endpoint_url="https://dynamodb.example")


def test_a_version_whose_answer_got_lost_is_in_force(table: PolicyTable, emulator: Emulator) -> None:
    client: Any = LosesAnswers(emulator.dynamodb)
    assert PolicyTable(client, CONFIG_TABLE).apply(document(), "ann").version == in_force(table).version


def test_what_the_functions_couldn_t_load_is_stored_nowhere(table: PolicyTable, emulator: Emulator) -> None:
    regions = ", ".join(f"eu-{letter}{other}-1" for letter in "abcdefghij" for other in "abcdefgh")
    tenants = "".join(f"  t{number}: {{residency: eu}}\n" for number in range(10_000))
    large = document(f"residency: {{zones: {{eu: [{regions}]}}}}\ntenants:\n{tenants}")
    with pytest.raises(PolicyTableError, match="a function loads at most 9,000,000"):
        table.apply(large, "ann")
    assert emulator.dynamodb.scan(TableName=CONFIG_TABLE)["Count"] == 0


@pytest.mark.parametrize(
    "compiled",
    ['{"format": 2}', "[]", '{"format": 1, "ip": {"allow": {"count": 1, "v4": "", "v6": ""}, "deny": {}}}'],
)
def test_a_version_that_the_functions_couldn_t_load_is_not_gone_back_to(
    table: PolicyTable, emulator: Emulator, compiled: str
) -> None:
    old = table.apply(document(), "ann").version
    table.apply(document("access: {}"), "ann")
    stored = stored_text("policy#", compiled)
    emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item={**stored.key(0), "text": {"S": compiled}})
    emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item=history_item(replace(old, sha256=stored.sha256)))
    with pytest.raises(PolicyTableError, match="the functions couldn't load that policy, so nothing was changed"):
        table.roll_back(1, "ann")
    assert in_force(table).version.version == 2


def test_issuers_and_tenants_are_tried_before_they_are_stored(table: PolicyTable) -> None:
    assert table.apply(read_document(EVERY_KEY, "policy.yaml", local=False), "ann").is_new


def test_ip_entries_stay_when_a_document_is_applied(table: PolicyTable) -> None:
    assert table.change_ip(deny, AUTHOR).version.version == 1
    assert not table.change_ip(deny, AUTHOR).is_new
    table.apply(document("access: {}"), "ann")
    applied = in_force(table)
    assert applied.source.ip == IpRules(deny=(ENTRY,))
    assert '"ip":{"allow":{"count":0,' in applied.compiled
    assert '"deny":{"count":1,' in applied.compiled


def test_a_rollback_is_a_new_version_with_all_that_the_old_one_had(table: PolicyTable) -> None:
    first = table.apply(document("tenants: {a: {}}"), "ann").version
    table.change_ip(deny, AUTHOR)
    table.apply(document("tenants: {b: {}}"), "ann")
    back = table.roll_back(1, "bob", "oops").version
    assert (back.version, back.action, back.note, back.sha256) == (4, "rollback to 1", "oops", first.sha256)
    assert in_force(table).source.ip == IpRules()
    assert table.roll_back(None, "bob").version.action == "rollback to 3"
    assert [version.version for version in table.history(2)] == [5, 4]
    assert len(table.history()) == 5
    assert not table.roll_back(3, "bob").is_new
    with pytest.raises(PolicyTableError, match="no version 77"):
        table.roll_back(77, "bob")


def test_there_is_nothing_before_the_first(table: PolicyTable) -> None:
    table.apply(document(), "ann")
    with pytest.raises(PolicyTableError, match="no version before the first"):
        table.roll_back(None, "bob")
