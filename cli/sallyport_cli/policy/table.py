"""Policies in the `config` table: versions that only grow, each put in force by one conditional flip of a pointer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sallyport.adapters.dynamodb_policy import COMPILED_PREFIX
from sallyport_cli.policy.compiling import compile_policy, with_ip_rules
from sallyport_cli.policy.documents import Document
from sallyport_cli.policy.ip_rules import NO_IP_RULES, IpRules
from sallyport_cli.policy.items import PolicyConflictError, PolicyItems, PolicyTableError, reading
from sallyport_cli.policy.loading import check_loadable
from sallyport_cli.policy.stored import (
    MAX_NOTE_CHARS,
    SOURCE_PREFIX,
    Source,
    Version,
    read_source,
    sha256_of,
    stored_text,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["Applied", "Author", "Change", "PolicyConflictError", "PolicyTable", "PolicyTableError"]

_IP_TRIES: Final = 20
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0


@dataclass(frozen=True)
class Applied:
    """A version with its texts."""

    version: Version
    compiled: str
    source: Source


@dataclass(frozen=True)
class Change:
    """What became of a change: the version and what the operator wrote that are in force now, and whether it is new.

    `source_before` None: it can't be read any more. `is_restored`: the pointer to what was in force had vanished.
    """

    version: Version
    source: Source
    source_before: Source | None
    is_new: bool
    is_restored: bool = False


@dataclass(frozen=True)
class Author:
    """Who makes a version, by which action and why."""

    by: str
    action: str
    note: str = ""


@dataclass(frozen=True)
class _Standing:
    """What a new version comes after: where the pointer is (0: there is none), and the newest number of all."""

    pointer: int
    newest: int

    @property
    def is_lost(self) -> bool:
        """Whether there are versions and none is in force."""
        return self.pointer == 0 and self.newest > 0


class PolicyTable:
    """The policies of one table. Methods raise `PolicyTableError` for what is broken, and botocore's errors.

    `sleep` (seconds) and `draw` (from 0 to 1) space the tries of those who change addresses at the same time.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        now_s: Callable[[], float] = time.time,
        *,
        sleep: Callable[[float], object] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._items = PolicyItems(client, table)
        self._now_s = now_s
        self._sleep = sleep
        self._draw = draw

    def current(self) -> Applied | None:
        """Give what is in force, None if nothing was ever applied."""
        standing = self._standing()
        if standing.is_lost:
            raise PolicyTableError(f"the pointer to the policy in force has vanished: {_restoring(standing)}")
        return None if standing.pointer == 0 else self.version(standing.pointer)

    def version(self, number: int) -> Applied:
        """Give a version. Raises `PolicyTableError` also where there is none of that number."""
        version = self._version(number)
        return Applied(version, self._items.text(version.compiled), self._source(version))

    def history(self, limit: int | None = None) -> list[Version]:
        """Give the versions, the newest first, at most `limit` of them."""
        return self._items.history(limit)

    def apply(self, document: Document, by: str, note: str = "", *, drop_ip_entries: bool = False) -> Change:
        """Put a document in force, beside the `ip` entries that are. One that is in force already makes no new version.

        Only `drop_ip_entries` applies it without entries that can't be read any more. Where the pointer has vanished,
        those of the newest version count. Raises `PolicyConflictError`, and `PolicyTableError` also for a document
        that the functions couldn't load.
        """
        standing = self._standing()
        before = self._source_before(standing, needed=not drop_ip_entries)
        source = Source(document.name, document.text, NO_IP_RULES if before is None else before.ip)
        compiled = compile_policy(document, source.ip)
        if standing.pointer and before is not None and before.text == document.text:
            version = self._version(standing.pointer)
            if version.sha256 == sha256_of(compiled):
                return Change(version, before, before, is_new=False)
        version = self._put(standing, compiled, source, Author(by, "apply", note))
        return Change(version, source, before, is_new=True, is_restored=standing.is_lost)

    def roll_back(self, number: int | None, by: str, note: str = "") -> Change:
        """Put an earlier version in force again, exactly as it was; None: the one before the one in force.

        Raises `PolicyConflictError`, and `PolicyTableError` where there is no such version or it can't be loaded.
        """
        standing = self._standing()
        wanted = self.version(_target(standing, number))
        before = self._source_before(standing, needed=False)
        if before == wanted.source and standing.pointer:
            version = self._version(standing.pointer)
            if version.sha256 == wanted.version.sha256:
                return Change(version, before, before, is_new=False)
        _check(wanted.compiled)
        author = Author(by, f"rollback to {wanted.version.version}", note)
        version = replace(wanted.version, **self._stamp(standing, author))
        self._items.flip(standing.pointer, version)
        return Change(version, wanted.source, before, is_new=True, is_restored=standing.is_lost)

    def change_ip(self, change: Callable[[Applied | None], IpRules], author: Author) -> Change:
        """Put other `ip` entries in force, made from what is in force; nothing else changes.

        Where somebody else was faster, `change` is asked again; after twenty times `PolicyConflictError` is raised.
        """
        for attempt in range(_IP_TRIES - 1):
            try:
                return self._change_ip(change, author)
            except PolicyConflictError:
                self._sleep(self._draw() * min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S))
        return self._change_ip(change, author)

    def _change_ip(self, change: Callable[[Applied | None], IpRules], author: Author) -> Change:
        before = self.current()
        source = Source() if before is None else before.source
        ip = change(before)
        if before is not None and ip == source.ip:
            return Change(before.version, source, source, is_new=False)
        compiled = compile_policy(None, ip) if before is None else with_ip_rules(before.compiled, ip)
        number = 0 if before is None else before.version.version
        changed = replace(source, ip=ip)
        return Change(self._put(_Standing(number, number), compiled, changed, author), changed, source, is_new=True)

    def _put(self, standing: _Standing, compiled: str, source: Source, author: Author) -> Version:
        _check(compiled)
        text = source.as_text()
        stored, stored_source = stored_text(COMPILED_PREFIX, compiled), stored_text(SOURCE_PREFIX, text)
        self._items.write(stored, compiled)
        self._items.write(stored_source, text)
        version = Version(
            sha256=stored.sha256,
            chunks=stored.chunks,
            source_sha256=stored_source.sha256,
            source_chunks=stored_source.chunks,
            **self._stamp(standing, author),
        )
        self._items.flip(standing.pointer, version)
        return version

    def _stamp(self, standing: _Standing, author: Author) -> dict[str, Any]:
        return {
            "version": standing.newest + 1,
            "applied_at": int(self._now_s()),
            "applied_by": author.by,
            "action": author.action,
            "note": author.note[:MAX_NOTE_CHARS],
        }

    def _standing(self) -> _Standing:
        pointer = self._items.pointer()
        if pointer:
            return _Standing(pointer, pointer)
        newest = self._items.history(1)
        if not newest:
            return _Standing(0, 0)
        pointer = self._items.pointer()  # the first version may have come between the two looks
        return _Standing(pointer, pointer or newest[0].version)

    def _source_before(self, standing: _Standing, *, needed: bool) -> Source | None:
        """Give what the operator had written before, None where it can't be read and isn't `needed`."""
        if standing.newest == 0:
            return Source()
        try:
            return self._source(self._version(standing.newest))
        except PolicyTableError as error:
            if needed:
                hint = "--drop-ip-entries applies the document without it, and what it denied can call again"
                raise PolicyTableError(f"what `sallyport ip` added can't be read: {error}; {hint}") from None
            return None

    def _version(self, number: int) -> Version:
        version = self._items.version(number)
        if version is None:
            raise PolicyTableError(f"there is no version {number}")
        return version

    def _source(self, version: Version) -> Source:
        text = self._items.text(version.source)
        with reading(f"the document of version {version.version}"):
            return read_source(text)


def _target(standing: _Standing, number: int | None) -> int:
    """Give the version that a rollback is to. Raises `PolicyTableError` where that can't be told."""
    if standing.newest == 0:
        raise PolicyTableError("nothing was ever applied")
    if number is None and standing.is_lost:
        raise PolicyTableError(f"it isn't known which version was in force: {_restoring(standing)}")
    number = standing.pointer - 1 if number is None else number
    if number < 1:
        raise PolicyTableError("there is no version before the first")
    return number


def _restoring(standing: _Standing) -> str:
    return (
        f"`sallyport policy rollback {standing.newest}` restores the newest version, `apply` puts a document in force"
    )


def _check(compiled: str) -> None:
    try:
        check_loadable(compiled)
    except ValueError as error:
        raise PolicyTableError(f"the functions couldn't load that policy, so nothing was changed: {error}") from None
