"""One process of one function: the real bootstrap in Lambda's environment, frozen while it waits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from sallyport_cli.local.guardian import Guardian, kill_group
from sallyport_cli.local.intrinsics import ACCOUNT_ID
from sallyport_cli.local.invocation import FailedAnswer, Invocation, failure
from sallyport_cli.local.runtime_api import RuntimeApi
from sallyport_cli.local.stack import Function

INIT_TIMEOUT_S: Final = 10.0
_MANAGED_RUNTIME: Final = "/var/runtime/bootstrap.py"


class FunctionOutput(Protocol):
    """Takes what functions write to stdout and stderr."""

    def line(self, function: str, text: str) -> None:
        """One line of output."""

    def crashed(self, function: str, reason: str) -> None:
        """The process ended out of turn; what it wrote last explains it."""


class InitError(Exception):
    """The process never came to wait for its first event."""

    def __init__(self, answer: FailedAnswer) -> None:
        super().__init__(answer.error_type)
        self.answer = answer


class FunctionProcess:
    """Started, waiting (frozen), working, ended; `on_waiting` and `on_ended` tell the pool."""

    def __init__(
        self,
        function: Function,
        region: str,
        endpoint_url: str | None,
        guardian: Guardian,
        output: FunctionOutput,
    ) -> None:
        self.function = function
        self._region = region
        self._endpoint_url = endpoint_url
        self._guardian = guardian
        self._output = output
        self._api = RuntimeApi(self._now_waiting, self._init_failed)
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._deadline: asyncio.TimerHandle | None = None
        self._first_wait: asyncio.Future[FailedAnswer | None] = asyncio.get_running_loop().create_future()
        self._timed_out = False
        self._killed = False
        self._ended = False
        self.on_waiting: Callable[[FunctionProcess], None] = lambda _: None
        self.on_ended: Callable[[FunctionProcess], None] = lambda _: None

    @property
    def pid(self) -> int:
        """The process's id, which is its group's too."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts the process and returns when it waits for its first event; raises `InitError`."""
        address = await self._api.start()
        self._process = await asyncio.create_subprocess_exec(
            str(self.function.wrapper),
            sys.executable,
            _MANAGED_RUNTIME,
            cwd=self.function.code_dir,
            env=function_environment(self.function, self._region, address, self._endpoint_url),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._guardian.watch(self.pid)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        readers = [self._copy_lines(stream) for stream in (self._process.stdout, self._process.stderr)]
        self._tasks = [asyncio.create_task(coroutine) for coroutine in (*readers, self._watch_exit())]
        await self._await_init()

    async def _await_init(self) -> None:
        try:
            async with asyncio.timeout(INIT_TIMEOUT_S):
                failed = await self._first_wait
        except TimeoutError:
            failed = failure("Sandbox.Timedout", f"Init took longer than {INIT_TIMEOUT_S:g} seconds")
        if failed is not None:
            self.kill()
            raise InitError(failed)

    def deliver(self, invocation: Invocation) -> None:
        """Thaws the process and hands it an event; its timeout starts to run."""
        if self._ended:
            invocation.fail("Runtime.ExitError", "the process ended while it waited")
            return
        invocation.start_clock()
        self._deadline = asyncio.get_running_loop().call_later(invocation.timeout_s, self._time_out)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGCONT)
        self._api.deliver(invocation)

    def freeze(self) -> None:
        """Stops the process, as Lambda freezes one that waits in `/next`."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """Ends the process at once; `on_ended` follows."""
        self._killed = True
        if self._process is not None and self._process.returncode is None:
            kill_group(self.pid)

    async def ended(self) -> None:
        """Returns when the process is gone and its output is read."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _now_waiting(self) -> None:
        self._stop_clock()
        if not self._first_wait.done():
            self._first_wait.set_result(None)
        self.on_waiting(self)

    def _init_failed(self, answer: FailedAnswer) -> None:
        if not self._first_wait.done():
            self._first_wait.set_result(answer)

    def _time_out(self) -> None:
        self._timed_out = True
        self.kill()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    async def _watch_exit(self) -> None:
        assert self._process is not None
        status = await self._process.wait()
        self._ended = True
        self._guardian.forget(self.pid)
        kill_group(self.pid)  # its own children, if it left any
        self._stop_clock()
        error_type, message = self._explain_exit(status)
        if not self._killed or self._timed_out:
            self._output.crashed(self.function.logical_id, message)
        if not self._first_wait.done():
            self._first_wait.set_result(failure(error_type, message))
        if self._api.current is not None:
            self._api.current.fail(error_type, message)
        await self._api.close()
        self.on_ended(self)

    def _explain_exit(self, status: int) -> tuple[str, str]:
        if self._timed_out:
            return "Sandbox.Timedout", f"Task timed out after {self.function.timeout_s:.2f} seconds"
        how = f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return "Runtime.ExitError", f"Runtime exited with error: {how}"

    async def _copy_lines(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await stream.read(64 * 1024):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._output.line(self.function.logical_id, line.decode("utf-8", "replace"))
        if rest:
            self._output.line(self.function.logical_id, rest.decode("utf-8", "replace"))


def function_environment(
    function: Function, region: str, runtime_api: str, endpoint_url: str | None
) -> Mapping[str, str]:
    """Lambda's own variables, the template's, and nothing of the caller's."""
    date = time.strftime("%Y/%m/%d", time.gmtime())
    reserved = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{date}/[$LATEST]{secrets.token_hex(16)}",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_REGION": region,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": str(function.code_dir),
        "LANG": "en_US.UTF-8",
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "TZ": ":UTC",
        "_HANDLER": function.handler,
    }
    # In Lambda the layer has the package and its libraries under /opt/python; in a checkout the one lies beside the
    # wrapper, the others are this command's own.
    checkout = {"PYTHONPATH": f"{function.layer_dir}:{sysconfig.get_path('purelib')}"}
    machine = {"AWS_SAM_LOCAL": "true"}  # as SAM CLI tells a function that it isn't in Lambda
    endpoint = {"AWS_ENDPOINT_URL": endpoint_url} if endpoint_url else {}
    return {**checkout, **endpoint, **function.environment, **machine, **reserved}


def function_arn(function: Function, region: str) -> str:
    """The ARN under which the function is invoked."""
    return f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{function.name}"
