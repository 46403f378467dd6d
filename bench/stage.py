"""What is measured, and what it needs around it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from bench.emulator import BenchmarkError, EmulatedFunction, UnfitMachineError
from bench.shipped import ROOT, copy_function, find_layer, make_interpreter, make_stock_client
from sallyport_cli.local.stack import load_stack

__all__ = ["Stage", "Subject", "UnfitMachineError"]

_EMPTY = "def handler(event, context):\n    return {'statusCode': 200}\n"


class Subject(NamedTuple):
    """A function to measure, the event it gets, and what its right answer has in it."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    directory: Path
    event: bytes
    expected: bytes

    def start(self) -> EmulatedFunction:
        """Start it under an emulator of its own."""
        return EmulatedFunction(self.command, self.environ, self.directory)

    def call(self, function: EmulatedFunction) -> float:
        """Send the event and give the seconds until the answer's end. Raises `BenchmarkError` on a wrong answer."""
        answer, taken_s = function.invoke(self.event)
        if self.expected not in answer:
            raise BenchmarkError(f"{self.name} answered {answer[:500]!r}")
        return taken_s


class Stage:
    """A scratch directory with everything as shipped, and the fakes' process."""

    def __init__(self) -> None:
        self._cleanup = ExitStack()
        self._scratch = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="sallyport-bench-")))
        self.layer = find_layer(self._scratch)
        self._interpreter = str(make_interpreter(self._scratch / "interpreter"))
        self._stock_client = make_stock_client(self._scratch / "runtime")
        self._stack = load_stack(ROOT / "template.yaml", {}, name="bench")
        self._fakes_url = self._start_fakes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def stock(self) -> Subject:
        """Give an empty function on the managed runtime's client."""
        directory = self._empty_function("stock")
        environ = self._environ(directory, "empty.handler") | {"PYTHONPATH": f"{directory}:{self._stock_client}"}
        command = (self._interpreter, "-m", "awslambdaric", "empty.handler")
        return Subject("empty, stock runtime client", command, environ, directory, b"{}", b"200")

    def empty(self) -> Subject:
        """Give an empty function on the streaming runtime."""
        directory = self._empty_function("empty")
        environ = self._environ(directory, "empty.handler")
        return Subject("empty, streaming runtime", self._bootstrap(), environ, directory, b"{}", b"200")

    def authorizer(self) -> Subject:
        """Give the authorizer with an API key."""
        return self._function("authorizer, API key", "AuthorizerFunction", "authorizer-good-key.json", b'"Allow"')

    def chat(self) -> Subject:
        """Give the chat route with an answer in one piece."""
        return self._function("chat", "ChatCompletionsFunction", "chat.json", b"chat.completion")

    def streamed_chat(self) -> Subject:
        """Give the chat route with a streamed answer."""
        return self._function("chat, streamed", "ChatCompletionsFunction", "chat-streamed.json", b"[DONE]")

    def _function(self, name: str, logical_id: str, event: str, expected: bytes) -> Subject:
        function = self._stack.functions[logical_id]
        directory = self._scratch / event
        if not directory.exists():
            copy_function(function.code_dir, directory)
        environ = {**self._environ(directory, function.handler), **function.environment}
        environ |= {"AWS_ENDPOINT_URL": self._fakes_url, "SALLYPORT_MODELS": ""}
        if "SALLYPORT_UPSTREAM_BASE_URL" in environ:
            environ["SALLYPORT_UPSTREAM_BASE_URL"] = f"{self._fakes_url}/v1"
        payload = json.dumps(json.loads((ROOT / "events" / event).read_text())).encode()
        return Subject(name, self._bootstrap(), environ, directory, payload, expected)

    def _bootstrap(self) -> tuple[str, ...]:
        return (str(self.layer.directory / "bootstrap"), self._interpreter)

    def _environ(self, directory: Path, handler: str) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_SESSION_TOKEN": "local",
            "AWS_REGION": "us-east-1",
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "300",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "LAMBDA_TASK_ROOT": str(directory),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's file system is read-only
            "_HANDLER": handler,
        }

    def _empty_function(self, name: str) -> Path:
        directory = self._scratch / name
        directory.mkdir(exist_ok=True)
        (directory / "empty.py").write_text(_EMPTY)
        return directory

    def _start_fakes(self) -> str:
        key = (ROOT / "events" / "example-key.txt").read_text().strip()
        fakes = subprocess.Popen(
            [sys.executable, "-m", "bench.fakes", key],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._cleanup.callback(fakes.communicate)  # which ends its standard input, and so ends it
        assert fakes.stdout is not None
        return f"http://127.0.0.1:{fakes.stdout.readline().strip()}"
