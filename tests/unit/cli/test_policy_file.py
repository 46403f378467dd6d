"""A policy file is followed: good changes are put in force, everything else leaves what is."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from sallyport_cli.local.policy_file import (
    FollowedPolicy,
    PolicyNotAppliedError,
    PolicyNotStoredError,
    read_policy_file,
)
from sallyport_cli.local.policy_store import describe_refresh
from sallyport_cli.policy.documents import Document

FIRST = "version: 1\ntenants: {demo: {suspended: false}}\n"
SECOND = "version: 1\ntenants: {demo: {suspended: true}}\n"
BROKEN = "version: 1\ntenants:\n  demo: {suspended: perhaps}\n"


class Store:
    """Remembers versions; `failure` is what happens to who applies one."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.failure = ""

    def apply(self, document: Document) -> int:
        if self.failure:
            raise PolicyNotStoredError(self.failure)
        if self.texts[-1:] != [document.text]:
            self.texts.append(document.text)
        return len(self.texts)

    def version(self) -> int:
        return len(self.texts)


class Desk:
    """A policy file that is followed, and what was said of it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "policy.yaml"
        self.store = Store()
        self.said: list[str] = []
        self.followed = FollowedPolicy(self.path, self.store, self.said.append, in_force="at once")

    def write(self, text: str) -> None:
        """Put a new file in the place of the old one, as editors do."""
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)

    async def start(self, text: str = FIRST) -> None:
        self.write(text)
        self.followed.start(read_policy_file(self.path))
        await self.look()

    async def look(self) -> list[str]:
        """Look twice, as time would, and give what was said from the first to the last."""
        before = len(self.said)
        await self.followed.look()
        await self.followed.look()
        return self.said[before:]


type Play = Callable[[Callable[[Desk], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return lambda scenario: asyncio.run(scenario(Desk(tmp_path)))


def test_a_change_is_a_version(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        assert desk.said == []
        desk.write(SECOND)
        assert await desk.look() == [f"{desk.path}: version 2 in force at once"]
        assert await desk.look() == []
        assert desk.store.texts == [FIRST, SECOND]

    play(scenario)


def test_warnings_are_said_at_the_start_and_with_a_change(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start("version: 1\naccess:\n  countries: {deny: [KP]}\n")
        assert [f"{desk.path}:3: access.countries: warning: " in line for line in desk.said] == [True]
        desk.write("version: 1\naccess:\n  countries: {allow: [DE]}\n")
        in_force, warning = await desk.look()
        assert in_force == f"{desk.path}: version 2 in force at once"
        assert warning.startswith(f"{desk.path}:3: access.countries: warning: ")

    play(scenario)


def test_a_change_between_reading_and_following_counts(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        desk.write(FIRST)
        reading = read_policy_file(desk.path)
        desk.write(SECOND)
        desk.followed.start(reading)
        assert await desk.look() == [f"{desk.path}: version 2 in force at once"]

    play(scenario)


def test_a_mistake_is_told_once_with_its_line_and_mended(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        desk.write(BROKEN)
        (said,) = await desk.look()
        mistake, what_stays = said.splitlines()
        assert mistake.startswith(f"{desk.path}:3: tenants.demo.suspended: ")
        assert what_stays == f"{desk.path}: version 1 stays in force"
        assert await desk.look() == []
        desk.write(SECOND)
        assert await desk.look() == [f"{desk.path}: version 2 in force at once"]

    play(scenario)


def test_a_mistake_taken_back_makes_no_version(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        desk.write(BROKEN)
        await desk.look()
        desk.write(FIRST)
        assert await desk.look() == [f"{desk.path}: version 1 in force at once"]
        assert desk.store.version() == 1

    play(scenario)


def test_a_mistake_taken_back_after_others_applied_a_policy_makes_one(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        desk.write(BROKEN)
        await desk.look()
        desk.store.texts.append("applied by somebody else")
        desk.write(FIRST)
        assert await desk.look() == [f"{desk.path}: version 3 in force at once"]

    play(scenario)


def test_a_file_that_is_still_written_is_left_alone(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        for text in ("", "version: 1\nten", SECOND):
            desk.write(text)
            await desk.followed.look()
        assert desk.said == []
        await desk.followed.look()
        assert desk.said == [f"{desk.path}: version 2 in force at once"]

    play(scenario)


def test_a_file_that_vanishes_for_a_moment_says_nothing(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        desk.path.unlink()
        await desk.followed.look()
        desk.write(FIRST)
        assert await desk.look() == []
        assert desk.said == []

    play(scenario)


def test_a_file_that_is_gone_leaves_its_policy(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        desk.path.unlink()
        assert await desk.look() == [f"{desk.path}: No such file or directory\n{desk.path}: version 1 stays in force"]
        assert await desk.look() == []
        desk.write(SECOND)
        assert await desk.look() == [f"{desk.path}: version 2 in force at once"]

    play(scenario)


def test_a_touch_makes_no_version(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        os.utime(desk.path, (1, 1))
        assert await desk.look() == []

    play(scenario)


def test_a_store_that_fails_is_told_once_and_asked_again(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        desk.store.failure = "the emulator is gone"
        desk.write(SECOND)
        assert await desk.look() == [f"the emulator is gone\n{desk.path}: version 1 stays in force"]
        assert await desk.look() == []
        desk.write(SECOND)
        assert await desk.look() == []
        desk.store.failure = ""
        assert await desk.look() == [f"{desk.path}: version 2 in force at once"]
        assert await desk.look() == []
        assert desk.store.texts == [FIRST, SECOND]

    play(scenario)


def test_a_change_that_the_store_did_not_take_is_taken_when_it_is_saved_again(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        desk.store.failure = "the emulator is gone"
        desk.write(SECOND)
        await desk.look()
        desk.store.failure = ""
        desk.write(SECOND)
        assert await desk.look() == [f"{desk.path}: version 2 in force at once"]

    play(scenario)


def test_a_change_that_was_taken_though_the_answer_was_lost_can_be_taken_back(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        desk.store.failure = "the answer was lost"
        desk.write(SECOND)
        await desk.look()
        desk.store.texts.append(SECOND)
        desk.store.failure = ""
        desk.write(FIRST)
        assert await desk.look() == [f"{desk.path}: version 3 in force at once"]
        assert desk.store.texts == [FIRST, SECOND, FIRST]

    play(scenario)


def test_another_change_that_the_store_does_not_take_is_told_too(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        desk.store.failure = "the emulator is gone"
        for text in (SECOND, FIRST):
            desk.write(text)
            assert await desk.look() == [f"the emulator is gone\n{desk.path}: version 1 stays in force"]

    play(scenario)


def test_a_change_that_waits_for_the_store_is_gone_with_its_file(play: Play) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.start()
        desk.store.failure = "the emulator is gone"
        desk.write(SECOND)
        await desk.look()
        desk.path.unlink()
        assert await desk.look() == [f"{desk.path}: No such file or directory\n{desk.path}: version 1 stays in force"]
        desk.store.failure = ""
        assert await desk.look() == []
        desk.write(SECOND)
        assert await desk.look() == [f"{desk.path}: version 2 in force at once"]

    play(scenario)


@pytest.mark.parametrize(("content", "reason"), [(b"\xff\xfe", "isn't UTF-8"), (None, "No such file or directory")])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "policy.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PolicyNotAppliedError, match=reason):
        read_policy_file(path)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"PolicyRefreshSeconds": "1"}, "within 1 second"),
        ({"PolicyRefreshSeconds": "30"}, "within 30 seconds"),
        ({}, "within 10 seconds"),
    ],
)
def test_how_soon_it_is_in_force_is_what_the_functions_are_told(parameters: dict[str, str], words: str) -> None:
    assert describe_refresh({**parameters}) == words
