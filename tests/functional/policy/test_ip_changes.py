"""When a change of addresses asks for the stack's parameters, which not everybody may read."""

from collections.abc import Mapping

import click
import pytest

from sallyport_cli.ip.changes import add_entries, remove_networks
from sallyport_cli.policy.documents import read_document
from sallyport_cli.policy.operating import RefusedError
from sallyport_cli.policy.table import Author, PolicyTable
from tests.support.aws import CONFIG_TABLE, Emulator

AUTHOR = Author("test", "ip")


class Stack:
    """Counts how often its parameters are asked for; None: it may not be."""

    def __init__(self, parameters: Mapping[str, str] | None) -> None:
        self.asked = 0
        self._parameters = parameters

    def __call__(self) -> Mapping[str, str]:
        self.asked += 1
        if self._parameters is None:
            raise click.ClickException("not authorized")
        return self._parameters


@pytest.fixture
def table(emulator: Emulator) -> PolicyTable:
    emulator.empty_tables()
    return PolicyTable(emulator.dynamodb, CONFIG_TABLE)


def apply(table: PolicyTable, access: str) -> None:
    table.apply(read_document(f"version: 1\naccess: {access}\n", "policy.yaml", local=False), "test")


def test_they_decide_where_neither_document_nor_entries_tell(table: PolicyTable) -> None:
    stack = Stack({"IpAllowList": "192.0.2.0/24"})
    add_entries(table, "allow", ["198.51.100.7"], AUTHOR, stack, sure=False)
    add_entries(table, "allow", ["198.51.100.8"], AUTHOR, stack, sure=False)
    assert stack.asked == 1
    remove_networks(table, ["198.51.100.7"], AUTHOR, stack, sure=False)
    assert stack.asked == 1
    remove_networks(table, ["198.51.100.8"], AUTHOR, stack, sure=False)
    assert stack.asked == 2


def test_they_decide_nothing_where_a_document_s_access_replaces_them(table: PolicyTable) -> None:
    stack = Stack(None)
    apply(table, "{}")
    with pytest.raises(RefusedError, match="turns the allow list on"):
        add_entries(table, "allow", ["198.51.100.7"], AUTHOR, stack, sure=False)
    add_entries(table, "allow", ["198.51.100.7"], AUTHOR, stack, sure=True)
    with pytest.raises(RefusedError, match="turns the allow list off"):
        remove_networks(table, ["198.51.100.7"], AUTHOR, stack, sure=False)
    apply(table, "{allow: [192.0.2.0/24]}")
    remove_networks(table, ["198.51.100.7"], AUTHOR, stack, sure=False)
    assert stack.asked == 0


def test_where_an_unknown_network_is_said_to_be_if_they_may_be_read(table: PolicyTable) -> None:
    with pytest.raises(RefusedError, match=r"192\.0\.2\.1 is on neither list"):
        remove_networks(table, ["192.0.2.1"], AUTHOR, Stack(None), sure=False)
    with pytest.raises(RefusedError, match=r"is in the stack parameter IpDenyList: change it there"):
        remove_networks(table, ["192.0.2.1"], AUTHOR, Stack({"IpDenyList": "192.0.2.1"}), sure=False)
