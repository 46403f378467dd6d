"""`sallyport local --policy FILE`: the file is in force from the start, and so is every good change of it.

The file is looked at, not watched by the system: twice a second, with no thread of its own. A change counts once the
file has come to rest, because an editor may empty it before it writes it, or put another one in its place. A change
that the store doesn't take is offered to it again at every look, until it does or the file changes once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from sallyport_cli.policy.documents import Document

LOOK_EVERY_S: Final = 0.5

type Stamp = tuple[int, int, int] | None


class PolicyNotAppliedError(Exception):
    """A policy file isn't in force; the text says why, in a line for each mistake: `file:line: field: reason`."""


class PolicyNotStoredError(PolicyNotAppliedError):
    """The store didn't take a policy, or couldn't be asked; it may do so the next time."""


@dataclass(frozen=True)
class PolicyReading:
    """A policy file as it was read: its bytes and what they say."""

    content: bytes
    document: Document


class PolicyStore(Protocol):
    """Where a document is put in force."""

    def apply(self, document: Document) -> int:
        """Put a document in force, unless it is already, and give its version. Raises `PolicyNotStoredError`."""

    def version(self) -> int:
        """Give the version in force, 0 for none. Raises `PolicyNotStoredError`."""


def read_policy_file(path: Path) -> PolicyReading:
    """Read and check a document. Raises `PolicyNotAppliedError`."""
    return parse_policy(read_bytes(path), path)


def parse_policy(content: bytes, path: Path) -> PolicyReading:
    """Check what a file holds. Raises `PolicyNotAppliedError`."""
    from sallyport_cli.policy.documents import PolicyFileError, read_document  # noqa: PLC0415 - only with a policy

    try:
        return PolicyReading(content, read_document(content.decode("utf-8"), str(path), local=True, folder=path.parent))
    except UnicodeDecodeError:
        raise PolicyNotAppliedError(f"{path}: isn't UTF-8") from None
    except PolicyFileError as error:
        raise PolicyNotAppliedError(str(error)) from None


class FollowedPolicy:
    """Keeps a store at what a file says. `in_force` is how soon the functions go by a new version, in words."""

    def __init__(self, path: Path, store: PolicyStore, say: Callable[[str], None], *, in_force: str) -> None:
        self._path = path
        self._store = store
        self._say = say
        self._in_force = in_force
        self._seen: Stamp = None
        self._handled: Stamp = None
        self._dealt_with: bytes | None = None
        """What was read and is in force, or was refused as it is: nothing comes of reading it again."""
        self._untaken: bytes | None = None
        """What was read and the store hasn't taken yet."""

    def start(self, reading: PolicyReading) -> None:
        """Put in force what was read. Raises `PolicyNotAppliedError`. Whether the file changed since, a look tells."""
        self._store.apply(reading.document)
        self._dealt_with = reading.content
        self._warn(reading)

    async def follow(self) -> None:
        """Look at the file for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Put a change in force if there is one that was there at the last look already, and say what came of it."""
        stamp = _stamp(self._path)
        at_rest, self._seen = stamp == self._seen, stamp
        if at_rest and (stamp != self._handled or self._untaken is not None):
            self._handled = stamp
            await asyncio.to_thread(self._handle_change)

    def _handle_change(self) -> None:
        untaken, self._untaken = self._untaken, None
        try:
            content = read_bytes(self._path)
            if content != self._dealt_with:
                self._deal_with(content, said=content == untaken)
        except PolicyNotAppliedError as error:
            self._complain(error)

    def _deal_with(self, content: bytes, *, said: bool) -> None:
        """Put in force what the file holds. `said`: it was said already that the store doesn't take it."""
        self._dealt_with = content
        reading = parse_policy(content, self._path)
        try:
            version = self._store.apply(reading.document)
        except PolicyNotStoredError as error:
            # It may be stored all the same, so what was in force before isn't known to be so any more.
            self._dealt_with, self._untaken = None, content
            if not said:
                self._complain(error)
            return
        self._say(f"{self._path}: version {version} in force {self._in_force}")
        self._warn(reading)

    def _complain(self, error: PolicyNotAppliedError) -> None:
        self._say(f"{error}\n{self._path}: {self._what_stays()}")

    def _warn(self, reading: PolicyReading) -> None:
        for warning in reading.document.warnings:
            self._say(warning)

    def _what_stays(self) -> str:
        try:
            return f"version {self._store.version()} stays in force"
        except PolicyNotAppliedError as error:
            return str(error)


def read_bytes(path: Path) -> bytes:
    """What a file holds. Raises `PolicyNotAppliedError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise PolicyNotAppliedError(f"{path}: {error.strerror}") from None


def _stamp(path: Path) -> Stamp:
    """What changes when a file does; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
