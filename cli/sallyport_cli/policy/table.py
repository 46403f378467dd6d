"""Policies in the `config` table: versions that only grow, each put in force by one conditional flip of a pointer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from sallyport_cli.policy.compiling import compile_policy, with_ip_rules
from sallyport_cli.policy.documents import Document
from sallyport_cli.policy.ip_rules import NO_IP_RULES, IpRules
from sallyport_cli.policy.stored import (
    COMPILED,
    HISTORY,
    MAX_NOTE_CHARS,
    POINTER_KEY,
    SOURCE,
    Source,
    StoredText,
    Version,
    history_item,
    history_key,
    pieces_of,
    pointer_item,
    read_source,
    read_version,
    sha256_of,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_IP_TRIES: Final = 5
_NOT_THERE: Final = "attribute_not_exists(pk)"
_CONFLICTS: Final = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
_CONFLICT: Final = "somebody else put another version in force meanwhile; look at it and try again"


class PolicyTableError(Exception):
    """What is stored can't be read, or isn't what its hash says; the message is for the operator."""


class PolicyConflictError(Exception):
    """Somebody else put another version in force meanwhile; nothing was changed."""


@dataclass(frozen=True)
class Applied:
    """A version with its texts."""

    version: Version
    compiled: str
    source: Source


@dataclass(frozen=True)
class Change:
    """What became of a change: the version in force now, what was before (None: nothing), and whether it is new."""

    version: Version
    source: Source
    before: Applied | None
    is_new: bool

    @property
    def source_before(self) -> Source:
        """What the operator had written before."""
        return Source() if self.before is None else self.before.source


@dataclass(frozen=True)
class Author:
    """Who makes a version, by which action and why."""

    by: str
    action: str
    note: str = ""


class PolicyTable:
    """The policies of one table. Methods raise `PolicyTableError` for what is broken, and botocore's errors."""

    def __init__(self, client: DynamoDBClient, table: str, now_s: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._now_s = now_s

    def current(self) -> Applied | None:
        """Give what is in force, None if nothing was ever applied."""
        number = self._pointer()
        return None if number == 0 else self.version(number)

    def version(self, number: int) -> Applied:
        """Give a version. Raises `PolicyTableError` also where there is none of that number."""
        item = self._item(history_key(number))
        if item is None:
            raise PolicyTableError(f"there is no version {number}")
        with _reading(f"version {number}"):
            version = read_version(item)
            return Applied(version, self._text(version.compiled), read_source(self._text(version.source)))

    def history(self, limit: int | None = None) -> list[Version]:
        """Give the versions, the newest first, at most `limit` of them."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": HISTORY}},
            ScanIndexForward=False,
            ConsistentRead=True,
            PaginationConfig={} if limit is None else {"MaxItems": limit},
        )
        with _reading("the history"):
            return [read_version(item) for page in pages for item in page["Items"]]

    def apply(self, document: Document, by: str, note: str = "") -> Change:
        """Put a document in force, beside the `ip` entries that are. One that is in force already makes no new version.

        Raises `PolicyConflictError`.
        """
        before = self.current()
        ip = NO_IP_RULES if before is None else before.source.ip
        compiled = compile_policy(document, ip)
        if before is not None and (before.compiled, before.source.text) == (compiled, document.text):
            return Change(before.version, before.source, before, is_new=False)
        return self._put(before, compiled, Source(document.name, document.text, ip), Author(by, "apply", note))

    def roll_back(self, number: int | None, by: str, note: str = "") -> Change:
        """Put an earlier version in force again, exactly as it was; None: the one before the one in force.

        Raises `PolicyConflictError`, and `PolicyTableError` where there is no such version.
        """
        before = self.current()
        if before is None:
            raise PolicyTableError("nothing was ever applied")
        number = before.version.version - 1 if number is None else number
        if number < 1:
            raise PolicyTableError("there is no version before the first")
        wanted = self.version(number)
        if (wanted.compiled, wanted.source) == (before.compiled, before.source):
            return Change(before.version, before.source, before, is_new=False)
        version = replace(wanted.version, **self._stamp(before, Author(by, f"rollback to {number}", note)))
        return self._flip(before, version, wanted.source)

    def change_ip(self, change: Callable[[Applied | None], IpRules], author: Author) -> Change:
        """Put other `ip` entries in force, made from what is in force; nothing else changes.

        Where somebody else was faster, `change` is asked again; after five times `PolicyConflictError` is raised.
        """
        for _ in range(_IP_TRIES - 1):
            try:
                return self._change_ip(change, author)
            except PolicyConflictError:
                continue
        return self._change_ip(change, author)

    def _change_ip(self, change: Callable[[Applied | None], IpRules], author: Author) -> Change:
        before = self.current()
        source = Source() if before is None else before.source
        ip = change(before)
        if before is not None and ip == source.ip:
            return Change(before.version, before.source, before, is_new=False)
        compiled = compile_policy(None, ip) if before is None else with_ip_rules(before.compiled, ip)
        return self._put(before, compiled, replace(source, ip=ip), author)

    def _put(self, before: Applied | None, compiled: str, source: Source, author: Author) -> Change:
        stored = self._write(COMPILED, compiled)
        stored_source = self._write(SOURCE, source.as_text())
        version = Version(
            sha256=stored.sha256,
            chunks=stored.chunks,
            source_sha256=stored_source.sha256,
            source_chunks=stored_source.chunks,
            **self._stamp(before, author),
        )
        return self._flip(before, version, source)

    def _stamp(self, before: Applied | None, author: Author) -> dict[str, Any]:
        return {
            "version": (0 if before is None else before.version.version) + 1,
            "applied_at": int(self._now_s()),
            "applied_by": author.by,
            "action": author.action,
            "note": author.note[:MAX_NOTE_CHARS],
        }

    def _flip(self, before: Applied | None, version: Version, source: Source) -> Change:
        """Note the version and point to it, both or neither."""
        pointer = {"TableName": self._table, "Item": pointer_item(version), **_unless_changed(before)}
        entry = {"TableName": self._table, "Item": history_item(version), "ConditionExpression": _NOT_THERE}
        try:
            self._client.transact_write_items(TransactItems=[{"Put": cast("Any", put)} for put in (entry, pointer)])
        except self._client.exceptions.TransactionCanceledException as error:
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
            if reasons.isdisjoint(_CONFLICTS):
                raise
            raise PolicyConflictError(_CONFLICT) from error
        if self._item(history_key(version.version)) is None:  # something that answers 200 to anything
            raise PolicyTableError("it was written but isn't there: is that DynamoDB?")
        return Change(version, source, before, is_new=True)

    def _pointer(self) -> int:
        item = self._item(POINTER_KEY)
        if item is None:
            return 0
        with _reading("the pointer"):
            return int(item["version"]["N"])

    def _write(self, prefix: str, text: str) -> StoredText:
        pieces = pieces_of(text)
        stored = StoredText(prefix, sha256_of(text), len(pieces))
        for number, piece in enumerate(pieces):
            self._client.put_item(TableName=self._table, Item={**stored.key(number), "text": {"S": piece}})
        return stored

    def _text(self, stored: StoredText) -> str:
        """Read a text back. Raises `PolicyTableError` if it isn't the one that was written."""
        items = [self._item(stored.key(number)) for number in range(stored.chunks)]
        text = "".join(item["text"]["S"] for item in items if item is not None)
        if sha256_of(text) != stored.sha256:
            raise PolicyTableError(f"the pieces of {stored.prefix}{stored.sha256} aren't what was stored")
        return text

    def _item(self, key: Any) -> Any:
        return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")


def _unless_changed(before: Applied | None) -> dict[str, Any]:
    """Give the condition that what is in force is still what was read."""
    if before is None:
        return {"ConditionExpression": _NOT_THERE}
    return {
        "ConditionExpression": "version = :seen",
        "ExpressionAttributeValues": {":seen": {"N": str(before.version.version)}},
    }


@contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyTableError(f"{what} can't be read: {type(error).__name__}") from None
