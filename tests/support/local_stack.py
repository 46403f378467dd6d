"""A whole `sallyport local` in a process of its own, as a user starts it."""

import os
import re
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Self

from tests.support.aws import ROOT

START_TIMEOUT_S = 60
END_OF_BANNER = r"flush=True\)\n\n"
"""Its last lines are Python to paste, and a blank one. Standard error and output are read apart."""


class LocalStack:
    """Serves the repository's own template on a free port."""

    def __init__(self, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sallyport_cli.main", "local", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**kept, **(environ or {})},
        )
        self._errors: list[str] = []
        self._printing = threading.Condition()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self._collect, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        self.ready_line = _first_line(self._process.stdout)

    def __enter__(self) -> Self:
        assert self.ready_line.startswith("ready http://127.0.0.1:"), "".join(self._errors)
        self.url = self.ready_line.removeprefix("ready ").strip()
        self.wait_for(END_OF_BANNER)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.interrupt(timeout_s=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(30)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def interrupt(self, timeout_s: float) -> int:
        """Press Ctrl-C, and give the exit status. Raises `TimeoutExpired`."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout_s)

    @property
    def key(self) -> str:
        """Give the demo key, as the banner shows it."""
        return self.wait_for(r"demo key +(sp_\w+)")[1]

    @property
    def emulator_url(self) -> str:
        """Give the address of the embedded AWS, as the banner shows it."""
        return self.wait_for(r"AWS +(http://\S+)")[1]

    @property
    def printed(self) -> str:
        """Give all that was printed on stderr up to now."""
        return "".join(self._errors)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Give where a pattern is in what was printed on stderr, once it is there."""
        with self._printing:
            found = self._printing.wait_for(lambda: re.search(pattern, self.printed), START_TIMEOUT_S)
        assert found is not None, self.printed
        return found

    def _collect(self, stream: IO[str]) -> None:
        for line in stream:
            with self._printing:
                self._errors.append(line)
                self._printing.notify_all()


def _first_line(stream: IO[str]) -> str:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        assert selector.select(timeout=START_TIMEOUT_S), "sallyport local did not become ready"
    return stream.readline()
