"""The runtime under AWS's own emulator, which SAM CLI brings along: a second opinion on the protocol."""

import json
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.fake_runtime_api import PATIENCE_S
from tests.unit.runtime.test_bootstrap import LAYER

HANDLER = """
from sallyport.runtime.errors import InvocationRefused
from sallyport.runtime.streaming import StreamedResponse

def pieces(event):
    yield b"one "
    if event["do"] == "break": raise ValueError("sk-secret")
    yield b"two"

def handler(event, context):
    if event["do"] == "refuse": raise InvocationRefused("Unauthorized")
    if event["do"] == "buffer": return {"name": context.function_name, "left": context.get_remaining_time_in_millis()}
    return StreamedResponse(200, {"a": "b"}, pieces(event), error_event=lambda error: b"cut")
"""


def emulator_binary() -> Path:
    """Find the emulator for this machine, or skip."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the emulator is run as a host process on Linux x86_64 only")
    spec = find_spec("samcli")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "local" / "rapid" / "aws-lambda-rie-x86_64"


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


def wait_until_listening(port: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
            return
        os.sched_yield()
    pytest.fail("the emulator doesn't listen")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = emulator_binary()
    task_root = tmp_path_factory.mktemp("task")
    (task_root / "made_up.py").write_text(HANDLER)
    port, api_port = free_ports()
    emulator = subprocess.Popen(
        [
            *(binary, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *("--runtime-api-address", f"127.0.0.1:{api_port}", "--log-level", "info"),
            *(LAYER / "bootstrap", sys.executable),
        ],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(LAYER),
            "LAMBDA_TASK_ROOT": str(task_root),
            "AWS_LAMBDA_FUNCTION_NAME": "made-up",
            "_HANDLER": "made_up.handler",
        },
        cwd=task_root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until_listening(port)
    yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    emulator.terminate()
    emulator.wait(PATIENCE_S)


def invoke(url: str, do: str) -> bytes:
    request = urllib.request.Request(url, json.dumps({"do": do}).encode())  # noqa: S310 - loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=PATIENCE_S) as response:
        return bytes(response.read())


def test_a_buffered_answer(url: str) -> None:
    answer = json.loads(invoke(url, "buffer"))
    assert answer["name"] == "made-up"
    assert answer["left"] > 0


def test_a_streamed_answer(url: str) -> None:
    assert invoke(url, "stream") == b'{"statusCode":200,"headers":{"a":"b"}}' + bytes(8) + b"one two"


def test_a_stream_that_breaks_and_the_event_after_it(url: str) -> None:
    assert invoke(url, "break").endswith(b"one cut")
    assert invoke(url, "stream").endswith(b"one two")


def test_a_refusal(url: str) -> None:
    assert json.loads(invoke(url, "refuse"))["errorMessage"] == "Unauthorized"
