"""Every event of events/ gives its golden answer, under `sallyport invoke` and under `sam local invoke`."""

import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sallyport.identity.principal import from_context, to_context
from tests.e2e.golden import EVENTS, EXPECTED, ROOT, check

BIN = Path(sys.executable).parent
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
TIMEOUT_S = 120
NOT_OF_CALLERS = ("authorizer", "canary-guard", "healthz")


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An env file that points the functions at an emulator on this machine."""
    with _emulator(tmp_path_factory.mktemp("golden")) as path:
        yield path


@pytest.fixture(scope="module")
def container_env_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same with an emulator that containers can reach."""
    with _emulator(tmp_path_factory.mktemp("golden"), "--docker") as path:
        yield path


@contextmanager
def _emulator(directory: Path, *options: str) -> Iterator[Path]:
    port, echo_port = _free_port(), _free_port()
    command = [str(BIN / "sallyport"), "emulator", "--port", str(port), "--echo-port", str(echo_port), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready "), "the emulator did not start"
            yield _env_file(directory, port, echo_port)
        finally:
            process.terminate()
            process.wait(timeout=TIMEOUT_S)


def test_every_event_has_a_golden_answer() -> None:
    aside = {"env.json", "expected.json", "jwks.json", "jwks-globex.json", "seed.json"}
    assert {path.name for path in EVENTS.glob("*.json")} - aside == set(EXPECTED)


@pytest.mark.parametrize("case", [case for case in EXPECTED if not case.startswith(NOT_OF_CALLERS)])
def test_route_event_carries_the_context_that_the_authorizer_makes(case: str) -> None:
    context = json.loads((EVENTS / case).read_text())["requestContext"]["authorizer"]
    added_by_api_gateway = {"principalId": "acme", "integrationLatency": 12}
    assert context == to_context(from_context(context)) | added_by_api_gateway


@pytest.mark.e2e
@pytest.mark.parametrize("case", EXPECTED)
def test_event_under_sallyport_invoke(case: str, env_file: Path) -> None:
    command = [str(BIN / "sallyport"), "invoke", EXPECTED[case]["function"]]
    check(case, _run([*command, "-e", str(EVENTS / case), "-n", str(env_file)]))


@pytest.mark.sam
@pytest.mark.parametrize("case", EXPECTED)
def test_event_under_sam_local_invoke(case: str, container_env_file: Path) -> None:
    command = [
        *(str(BIN / "sam"), "local", "invoke", EXPECTED[case]["function"]),
        *("-e", str(EVENTS / case), "-n", str(container_env_file)),
        *("--add-host", "localhost:host-gateway", *_pull_options()),
        *("--parameter-overrides", f"Architecture={ARCHITECTURE}"),
    ]
    check(case, _run(command))


def _pull_options() -> list[str]:
    """SAM asks the registry for a newer base image at every call, unless told that the one here will do."""
    image = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
    found = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
    return ["--skip-pull-image"] if found.returncode == 0 else []


def _run(command: list[str]) -> bytes:
    environ = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.strip(b"\r\n")


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _env_file(directory: Path, port: int, echo_port: int) -> Path:
    """events/env.json with this run's ports in place of the emulator's usual ones."""
    text = (EVENTS / "env.json").read_text().replace(":5001", f":{port}").replace(":9000", f":{echo_port}")
    path = directory / "env.json"
    path.write_text(json.dumps(json.loads(text)))
    return path
