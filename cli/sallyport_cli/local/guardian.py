"""Sees to it that no process outlives `sallyport local`, whatever ends it, SIGKILL included.

A small child holds the reading end of a pipe whose writing end only its parent has. It is told of every process group
that is started or has ended; when the pipe closes, it kills those that are left. Unlike PR_SET_PDEATHSIG that works on
macOS too, and with groups whose members are stopped.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Final, Self

_SOURCE: Final = """
import os, signal, sys
alive = set()
for line in sys.stdin:
    (alive.add if line[0] == "+" else alive.discard)(int(line[1:]))
for group in alive:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Guardian:
    """Use as a context manager, around everything that starts processes."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SOURCE],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal must not reach it
            text=True,
            bufsize=1,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def watch(self, process_group: int) -> None:
        """Adds a process group, named by its leader's id."""
        self._tell(f"+{process_group}\n")

    def forget(self, process_group: int) -> None:
        """Removes a process group whose leader has been waited for."""
        self._tell(f"-{process_group}\n")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(line)


def kill_group(process_group: int) -> None:
    """Ends every process of a group at once, the stopped ones too."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_group, signal.SIGKILL)
        os.killpg(process_group, signal.SIGCONT)
