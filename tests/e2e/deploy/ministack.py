"""ministack, an emulated AWS with CloudFormation and API Gateway, in an environment and a process of its own."""

import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[3]
LOCK = ROOT / "requirements" / "ministack.txt"
START_S = 90
STOP_S = 10


def make_environment(directory: Path, python: str) -> Path:
    """Make a virtual environment as the lock says, unless it is there already, and give its interpreter."""
    interpreter, stamp = directory / "bin" / "python", directory / ".lock"
    if not stamp.is_file() or stamp.read_bytes() != LOCK.read_bytes():
        subprocess.run([python, "-m", "venv", "--clear", str(directory)], check=True)
        sync = [str(ROOT / "tools" / "uv"), "pip", "sync", "--quiet", "--require-hashes", "--python", str(interpreter)]
        subprocess.run([*sync, str(LOCK)], check=True)
        stamp.write_bytes(LOCK.read_bytes())
    return interpreter


class Ministack:
    """A running ministack on a free port of the loopback address; ended by its process id."""

    def __init__(self, interpreter: Path, directory: Path) -> None:
        self._interpreter = interpreter
        self._log = directory / "ministack.log"
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.url,
            "SAM_CLI_TELEMETRY": "0",
        }

    def __enter__(self) -> Self:
        """Start it and wait until it answers. Raises `TimeoutError`."""
        environ = {
            **self.environ,
            "GATEWAY_PORT": str(self._port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "LAMBDA_EXECUTOR": "local",
            "PATH": f"{self._interpreter.parent}{os.pathsep}{os.environ['PATH']}",
        }
        with self._log.open("wb") as log:
            command = [str(self._interpreter), "-m", "ministack"]
            self._process = subprocess.Popen(command, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and show its log where something went wrong."""
        self._stop()
        if error is not None:
            sys.stderr.write(self._last_lines())

    def _wait(self) -> None:
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s and not self._ends_within(0.2):
            if self._answers():
                return
        raise TimeoutError(f"ministack did not start:\n{self._last_lines()}")

    def _ends_within(self, time_s: float) -> bool:
        try:
            self._process.wait(timeout=time_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/_ministack/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _last_lines(self) -> str:
        return "".join(self._log.read_text(errors="replace").splitlines(keepends=True)[-60:])

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
