"""Helper processes of `sallyport local`: the emulators and the echo upstream."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from sallyport_cli.local.guardian import Guardian, kill_group

START_TIMEOUT_S: Final = 30.0
_READY: Final = "ready "


class ChildError(Exception):
    """A helper process didn't start."""


class Child:
    """A process that prints `ready URL`, and ends when its standard input does."""

    def __init__(self, process: asyncio.subprocess.Process, guardian: Guardian) -> None:
        self._process = process
        self._guardian = guardian
        self._errors = b""
        self._drain = asyncio.create_task(self._keep_errors())
        self.url = ""

    @classmethod
    async def start(
        cls, arguments: Sequence[str], guardian: Guardian, environment: Mapping[str, str] | None = None
    ) -> Child:
        """Starts `python -m arguments` and returns once it is ready; raises `ChildError`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**_own_environment(), **(environment or {})},
            start_new_session=True,
        )
        guardian.watch(process.pid)
        child = cls(process, guardian)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await child._await_ready(arguments[0])
        except BaseException:
            await child.stop()
            raise
        return child

    async def stop(self) -> None:
        """Ends the process and its group."""
        kill_group(self._process.pid)
        await self._process.wait()
        self._guardian.forget(self._process.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        with contextlib.suppress(OSError):
            await self._process.stdin.wait_closed()
        await self._process.stdout.read()  # to its end, so that the pipe is closed
        await asyncio.gather(self._drain, return_exceptions=True)

    async def _await_ready(self, name: str) -> None:
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).decode().strip()
        if not line.startswith(_READY):
            await self._drain
            raise ChildError(f"{name} didn't start: {self._errors.decode('utf-8', 'replace')[-2000:].strip()}")
        self.url = line.removeprefix(_READY)

    async def _keep_errors(self) -> None:
        """Reads standard error so that it never fills up, and keeps its end for an explanation."""
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(4096):
            self._errors = (self._errors + chunk)[-8192:]


def _own_environment() -> dict[str, str]:
    """What a helper needs of this process's environment: no credentials."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH", "TMPDIR") if name in os.environ}
