"""How a function reads the applied policy's pieces."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from sallyport.adapters.dynamodb_policy import CHUNK_CHARS, MAX_CHUNKS, DynamoDbPolicyStore
from sallyport.policy.current import Pointer, PolicyStoreError

TEXT = "{}" * 3
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()


class Table:
    """A config table whose weak reads miss some partitions yet."""

    def __init__(self, pieces: Mapping[str, str], missed: frozenset[str] = frozenset()) -> None:
        self.reads: list[tuple[str, bool]] = []
        self._pieces = pieces
        self._missed = missed

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer GetItem."""
        pk, is_strong = request["Key"]["pk"]["S"], request["ConsistentRead"]
        assert (operation, request["TableName"], request["Key"]["sk"]) == ("GetItem", "config", {"S": "piece"})
        self.reads.append((pk, is_strong))
        there = pk in self._pieces and (is_strong or pk not in self._missed)
        return {"Item": {"text": {"S": self._pieces[pk]}}} if there else {}


def pieces(*texts: str) -> dict[str, str]:
    return {f"policy#{SHA256}#{number:04d}": text for number, text in enumerate(texts)}


def test_pieces_have_partitions_of_their_own_and_are_read_strongly_only_where_they_are_missing() -> None:
    second = f"policy#{SHA256}#0001"
    table = Table(pieces("{}", "{}{}"), frozenset({second}))
    assert DynamoDbPolicyStore(table, "config").read_compiled(Pointer(1, SHA256, 2)) == TEXT
    assert table.reads == [(f"policy#{SHA256}#0000", False), (second, False), (second, True)]


@pytest.mark.parametrize("stored", [pieces("{}"), pieces("{}", "{}{ "), {}])
def test_what_isn_t_whole_is_refused(stored: dict[str, str]) -> None:
    with pytest.raises(PolicyStoreError):
        DynamoDbPolicyStore(Table(stored), "config").read_compiled(Pointer(1, SHA256, 2))


@pytest.mark.parametrize("chunks", [0, -1, MAX_CHUNKS + 1])
def test_a_pointer_to_more_than_a_function_can_load_is_refused_unread(chunks: int) -> None:
    table = Table(pieces(TEXT))
    with pytest.raises(PolicyStoreError, match="pointer"):
        DynamoDbPolicyStore(table, "config").read_compiled(Pointer(1, SHA256, chunks))
    assert table.reads == []


def test_a_piece_fits_into_an_item_and_all_of_them_into_a_function() -> None:
    assert CHUNK_CHARS < 390_000
    assert CHUNK_CHARS * MAX_CHUNKS <= 9_000_000
