"""One function under the emulator of AWS that SAM CLI brings along, run as a process of this machine."""

import http.client
import importlib.util
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE_S = 30.0
INVOCATIONS = "/2015-03-31/functions/function/invocations"


class UnfitMachineError(Exception):
    """This machine can't run the benchmark; the message says why."""


class BenchmarkError(Exception):
    """What was to be measured didn't do what it should."""


def emulator_binary() -> Path:
    """Find the emulator for this machine's architecture. Raises `UnfitMachineError`."""
    if sys.platform != "linux":
        raise UnfitMachineError("the emulator in SAM CLI runs on Linux only")
    spec = importlib.util.find_spec("samcli")
    if spec is None or spec.origin is None:
        raise UnfitMachineError("aws-sam-cli isn't installed")
    architecture = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    return Path(spec.origin).parent / "local" / "rapid" / f"aws-lambda-rie-{architecture}"


class EmulatedFunction:
    """A function that starts with its first event, as in the emulator it does."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], directory: Path) -> None:
        port, api_port = _free_ports()
        self._emulator = subprocess.Popen(
            [
                *(str(emulator_binary()), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
                *("--runtime-api-address", f"127.0.0.1:{api_port}", "--log-level", "error", *command),
            ],
            env=environ,
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def invoke(self, event: bytes) -> tuple[bytes, float]:
        """Send an event; give the answer and the seconds until its end."""
        began_s = time.perf_counter()
        self._connection.request("POST", INVOCATIONS, event)
        answer = self._connection.getresponse().read()
        return answer, time.perf_counter() - began_s

    def peak_memory_bytes(self) -> int:
        """Give the most memory that the function's process has had resident (VmHWM)."""
        status = (self._process() / "status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def cpu_s(self) -> float:
        """Give the CPU time that the function's process has used, in user and in kernel mode."""
        return int((self._process() / "schedstat").read_text().split()[0]) / 1e9

    def close(self) -> None:
        """End the emulator, and the function with it."""
        self._connection.close()
        self._emulator.terminate()
        self._emulator.wait(PATIENCE_S)

    def _process(self) -> Path:
        pid = self._emulator.pid
        children = Path(f"/proc/{pid}/task").glob("*/children")
        found = [child for path in children for child in path.read_text().split()]
        if len(found) != 1:
            raise BenchmarkError(f"the emulator has {len(found)} processes under it, not one")
        return Path("/proc") / found[0]

    def _connect(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._connection.connect()
            except ConnectionRefusedError:
                if time.monotonic() > deadline_s or self._emulator.poll() is not None:
                    raise BenchmarkError("the emulator doesn't listen") from None
                os.sched_yield()
            else:
                return


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]
