"""A function's processes: one request at a time each, more of them under load, idle ones kept for the next request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from sallyport_cli.local.function_process import FunctionProcess, InitError, function_arn
from sallyport_cli.local.invocation import Answer, Invocation
from sallyport_cli.local.stack import Function

WAIT_FOR_PROCESS_S: Final = 10.0


class ThrottledError(Exception):
    """Every process that may exist was busy for too long."""


class FunctionPool:
    """Invokes one function. `new_process` makes a process that is not started yet."""

    def __init__(
        self,
        function: Function,
        region: str,
        new_process: Callable[[Function], FunctionProcess],
        *,
        concurrency: int,
        cold: bool = False,
        wait_s: float = WAIT_FOR_PROCESS_S,
    ) -> None:
        self.function = function
        self._region = region
        self._new_process = new_process
        self._concurrency = concurrency
        self._cold = cold
        self._wait_s = wait_s
        self.processes: set[FunctionProcess] = set()
        self._idle: list[FunctionProcess] = []
        self._waiters: deque[asyncio.Future[FunctionProcess | None]] = deque()
        self._starting: set[FunctionProcess] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def idle_processes(self) -> tuple[FunctionProcess, ...]:
        """The processes that wait, frozen, for an event."""
        return tuple(self._idle)

    async def invoke(self, payload: bytes, trace_id: str = "", request_id: str | None = None) -> Answer:
        """The function's answer to one event; raises `ThrottledError`. Cancelling it does not stop the function."""
        try:
            process = await self._acquire()
        except InitError as error:
            return error.answer
        arn = function_arn(self.function, self._region)
        invocation = Invocation(payload, arn, trace_id, self.function.timeout_s)
        if request_id is not None:
            invocation.request_id = request_id
        process.deliver(invocation)
        return await invocation.answer

    async def warm(self) -> None:
        """Has one process waiting, so that the first request meets a warm function; raises `InitError`."""
        if not self.processes and not self._cold:
            self._release(await self._start())

    async def settle(self) -> None:
        """Returns when no process works any more, after-response work included."""
        while set(self._idle) != self.processes:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Ends every process."""
        self._closed = True
        for process in list(self.processes):
            process.kill()
        while self._endings:
            await asyncio.wait(self._endings)

    async def _acquire(self) -> FunctionProcess:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._wait_s
        while not self._closed:
            if self._idle:
                return self._idle.pop()
            if len(self.processes) < self._concurrency:
                return await self._start()
            process = await self._wait_in_line(give_up_at)
            if process is not None:
                return process
        raise ThrottledError

    async def _wait_in_line(self, give_up_at: float) -> FunctionProcess | None:
        """A process handed over by another request, or None when there is room to start one."""
        waiter: asyncio.Future[FunctionProcess | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(give_up_at):
                return await asyncio.shield(waiter)
        except BaseException as error:
            self._leave_line(waiter)
            if isinstance(error, TimeoutError):
                raise ThrottledError from None
            raise

    def _leave_line(self, waiter: asyncio.Future[FunctionProcess | None]) -> None:
        if not waiter.done():
            self._waiters.remove(waiter)
        elif (process := waiter.result()) is not None:
            self._release(process)

    async def _start(self) -> FunctionProcess:
        process = self._new_process(self.function)
        process.on_waiting, process.on_ended = self._now_waiting, self._now_ended
        self.processes.add(process)
        self._starting.add(process)
        try:
            await process.start()
        except BaseException:
            process.kill()
            self._now_ended(process)
            raise
        finally:
            self._starting.discard(process)
            ending = asyncio.create_task(process.ended())
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
        return process

    def _now_waiting(self, process: FunctionProcess) -> None:
        if process in self._starting:
            return  # whoever started it has an event for it
        if self._cold or self._closed:
            process.kill()
        else:
            self._release(process)

    def _release(self, process: FunctionProcess) -> None:
        if self._waiters:
            self._waiters.popleft().set_result(process)
        else:
            process.freeze()
            self._idle.append(process)
        self._changed.set()

    def _now_ended(self, process: FunctionProcess) -> None:
        self.processes.discard(process)
        if process in self._idle:
            self._idle.remove(process)
        if self._waiters:
            self._waiters.popleft().set_result(None)
        self._changed.set()
