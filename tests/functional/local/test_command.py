"""`sallyport local` as a program: its ready line, its banner, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.functional.local.stub import DEADLINE_S, process_state, write_stack


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
        self.errors: list[str] = []
        self._reader = threading.Thread(target=self._read_errors)
        self._reader.start()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(iter(self.process.stderr.readline, ""))

    def ready_url(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready http://127.0.0.1:"), "".join(self.errors)
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


def get(url: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={k.replace("_", "-"): v for k, v in headers.items()})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:  # noqa: S310 - loopback
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def wait_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while any(process_state(pid) not in ("-", "Z") for pid in pids):
        assert time.monotonic() < deadline, "processes are left behind"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as started:
        url = started.ready_url()
        assert get(f"{url}/open")[0] == 200
        pids = started.descendants()
        assert len(pids) >= 4  # guardian, emulator, echo, functions
        started.process.send_signal(number)
        status = started.finish()
        assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
        wait_gone(pids)
        assert started.process.stdout is not None
        assert started.process.stdout.read() == ""


def test_the_callers_environment_does_not_reach_the_functions(tmp_path: Path) -> None:
    with running(tmp_path, "--parameter", "StageName=dev", OPENAI_API_KEY="sk-secret", MY_SECRET="s") as started:
        environ = json.loads(get(f"{started.ready_url()}/open")[1])["environ"]
        assert environ["STAGE"] == "dev"
        assert "sk-secret" not in json.dumps(environ)
        assert "MY_SECRET" not in environ
        assert environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert "sk-secret" not in "".join(started.errors)


def test_a_refused_parameter_ends_it_with_the_reason(tmp_path: Path) -> None:
    with running(tmp_path, "--parameter", "Rate=11") as started:
        assert started.finish() == 1
        assert "".join(started.errors) == "Error: parameter Rate: '11' is more than 10\n"


def test_the_banner_names_the_demo_key_unless_told_not_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with running(tmp_path / "a") as seeded:
        seeded.ready_url()
    with running(tmp_path / "b", "--no-seed") as bare:
        bare.ready_url()
    assert "demo key   sp_" in "".join(seeded.errors)
    assert "demo key   none" in "".join(bare.errors)
