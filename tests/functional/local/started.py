"""A started `sallyport local` of the stub stack."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.functional.local.stub import DEADLINE_S, write_stack


class Running:
    """A started `sallyport local`."""

    def __init__(self, directory: Path, *arguments: str, **environment: str) -> None:
        template = write_stack(directory)
        command = [sys.executable, "-m", "sallyport_cli.main", "local", "--port", "0", "--template", str(template)]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OPENAI_"))}
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**inherited, **environment},
        )
        self._lines: list[str] = []
        self._printing = threading.Condition()
        self._reader = threading.Thread(target=self._read_errors)
        self._reader.start()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in iter(self.process.stderr.readline, ""):
            with self._printing:
                self._lines.append(line)
                self._printing.notify_all()

    @property
    def printed(self) -> str:
        """All that was printed on stderr up to now."""
        return "".join(self._lines)

    def wait_for(self, text: str) -> None:
        """Returns once `text` was printed on stderr."""
        with self._printing:
            assert self._printing.wait_for(lambda: text in self.printed, DEADLINE_S), self.printed

    def ready_url(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready http://127.0.0.1:"), self.printed
        self.wait_for("flush=True)\n\n")  # the banner's end; the two streams are read apart
        return line.split()[1]

    def descendants(self) -> list[int]:
        """Every process that was started by this one, at any depth."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and (stat := _stat(entry)):
                parents[int(entry.name)] = int(stat.rsplit(")", 1)[1].split()[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found[1:]

    def finish(self) -> int:
        status = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return status


def _stat(entry: Path) -> str:
    try:
        return (entry / "stat").read_text()
    except OSError:
        return ""


@contextmanager
def running(directory: Path, *arguments: str, **environment: str) -> Iterator[Running]:
    started = Running(directory, *arguments, **environment)
    try:
        yield started
    finally:
        started.process.kill()
        started.finish()
        assert started.process.stdout is not None
        assert started.process.stderr is not None
        started.process.stdout.close()
        started.process.stderr.close()
