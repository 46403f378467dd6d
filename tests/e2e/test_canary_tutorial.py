"""docs/canary.md: its five minutes, typed into three terminals as they stand there."""

import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.e2e.canary_scene import DEADLINE_S
from tests.support.aws import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(shutil.which("bash") is None, reason="bash isn't installed here")]

PAGE = (ROOT / "docs" / "canary.md").read_text()
FIVE_MINUTES = PAGE.partition("## Five minutes")[2].partition("\n## ")[0]
EXAMPLE = "examples/canary/policy.yaml"
PORTS = ("8080", "8081", "9001", "9002")
_DONE = "-- done --"


class Terminal:
    """A shell that reads what is pasted."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["bash"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self.printed = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        subprocess.run(["bash", "-c", f"kill -TERM -- -{self._process.pid}"], check=False, stderr=subprocess.DEVNULL)
        self._process.communicate(timeout=DEADLINE_S)
        self._selector.close()

    def paste(self, block: str) -> None:
        """Paste lines."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{block}\n".encode())
        self._process.stdin.flush()

    def run(self, block: str) -> str:
        """Paste lines, and give what they print until the last of them has ended."""
        before = len(self.printed)
        self.paste(f"{block}\necho '{_DONE}'")
        self.wait_for(lambda new: _DONE in new, before)
        return self.printed[before:]

    def wait_for(self, wanted: Callable[[str], object], since: int = 0) -> None:
        """Read what is printed until, from a place on, it is as wanted."""
        deadline = time.monotonic() + DEADLINE_S
        assert self._process.stdout is not None
        while not wanted(self.printed[since:]):
            assert self._selector.select(max(deadline - time.monotonic(), 0)), self.printed
            self.printed += os.read(self._process.stdout.fileno(), 65_536).decode(errors="replace")
            assert time.monotonic() < deadline, self.printed


def blocks() -> list[str]:
    """The indented blocks, in their order; what is fenced is what is printed."""
    found = re.findall(r"(?:^    .*\n)+", re.sub(r"```\n.*?```", "", FIVE_MINUTES, flags=re.DOTALL), re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in found]


def as_here(block: str, ports: dict[str, int]) -> str:
    """Have a block work beside others: on free ports, with the programs of this Python, and what it has installed."""
    block = re.sub(r"^.*pip install.*\n", "", block, flags=re.MULTILINE)
    made = re.sub(r'^make run ARGS="(.*)"', rf".venv/bin/sallyport local \1 --port {PORTS[0]}", block)
    if made != block:
        made = made.replace("local ", "local --policy examples/policy.yaml ")  # as the Makefile has it
    made = made.replace("traffic.py", f"traffic.py --url http://127.0.0.1:{PORTS[0]}")
    for documented, port in ports.items():
        made = re.sub(rf"\b{documented}\b", str(port), made)
    return made.replace(".venv/bin/", f"{Path(sys.executable).parent}/")


@pytest.fixture
def ports() -> dict[str, int]:
    with ExitStack() as held:
        probes = [held.enter_context(closing(socket.socket())) for _ in PORTS]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return dict(zip(PORTS, (probe.getsockname()[1] for probe in probes), strict=True))


@pytest.fixture
def policy(tmp_path: Path, ports: dict[str, int]) -> Path:
    """The example's, on these ports."""
    path = tmp_path / "policy.yaml"
    path.write_text(as_here((ROOT / EXAMPLE).read_text(), ports))
    return path


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    with ExitStack() as cleanup:
        yield [cleanup.enter_context(Terminal()) for _ in range(3)]


def failing(line: str) -> bool:
    """Whether a line of the traffic's says that something failed on the canary."""
    return re.fullmatch(r"[0-9:]{8} +\d+ +\d+ +\d+", line.rstrip()) is not None


def is_quiet(printed: str) -> bool:
    """Whether the last five lines of the traffic say that nothing fails and nobody is on the canary."""
    lines = printed.splitlines()[-5:]
    return len(lines) == 5 and all(re.fullmatch(r"[0-9:]{8} +[1-9]\d*", line.rstrip()) for line in lines)


def test_the_five_minutes_work_as_pasted(terminals: list[Terminal], ports: dict[str, int], policy: Path) -> None:
    gateway, operator, users = terminals
    serve, upstreams, play, start, status, mend, by_hand, history = (as_here(block, ports) for block in blocks())

    assert serve.count(EXAMPLE) == 1
    gateway.paste(serve.replace(EXAMPLE, str(policy)))
    gateway.wait_for(lambda printed: "\nready http" in printed)
    operator.paste(upstreams)
    operator.wait_for(lambda printed: printed.count("ready http") == 2)
    users.paste(play)
    users.wait_for(is_quiet)

    assert "next: running at 20 %" in operator.run(start)
    gateway.wait_for(lambda printed: "canary next: roll back: errors: " in printed)
    users.wait_for(lambda printed: any(failing(line) for line in printed.splitlines()))
    since = len(users.printed)
    users.wait_for(is_quiet, since)
    assert "next: rolled back, 0 %" in operator.run(status)

    resumed = operator.run(mend)
    assert "next: running at 20 %, step 1 of 3 (was rolled back at 0 %" in resumed
    moved = operator.run(by_hand)
    assert "next: running at 50 %, step 2 of 3" in moved
    assert "next: promoted at 100 %" in moved
    told = operator.run(history)
    assert [word for word in ("(no need to wait)", "(mended)", "(the new echo)") if word not in told] == []
    users.wait_for(lambda printed: re.search(r"\n[0-9:]{8} +0 +[1-9]\d*\s*\n", printed), since)
