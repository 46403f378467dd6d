"""One invocation of a function, and the answer that comes back for it, whole or in pieces."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

# How much of a stream waits for a slow client before the function feels it.
PIPE_CAPACITY_BYTES: Final = 1024 * 1024


class StreamCutError(Exception):
    """The function's answer ended before its end: a crash, a timeout, or an error it reported in mid-stream."""


class BodyPipe:
    """A streamed body on its way from the function to whoever reads it; `abandon` lets the function run on."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False
        self._cut_because: str | None = None
        self._abandoned = False

    async def put(self, chunk: bytes) -> None:
        """Hands a chunk on, waiting while the reader is far behind."""
        await self._room.wait()
        if self._abandoned or not chunk:
            return
        self._chunks.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes >= PIPE_CAPACITY_BYTES:
            self._room.clear()
        self._changed.set()

    def finish(self, cut_because: str | None = None) -> None:
        """Ends the body, in good order or cut. Only the first end counts."""
        if not self._ended:
            self._ended, self._cut_because = True, cut_because
            self._changed.set()

    def abandon(self) -> None:
        """Nobody reads any more: what comes is thrown away, so that the function never waits."""
        self._abandoned = True
        self._chunks.clear()
        self._room.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks as they come; raises `StreamCutError` where the body was cut."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._held_bytes -= len(chunk)
                self._room.set()
                yield chunk
            if self._ended:
                break
            self._changed.clear()
            await self._changed.wait()
        if self._cut_because is not None:
            raise StreamCutError(self._cut_because)


@dataclass(frozen=True)
class BufferedAnswer:
    """What the function returned, whole."""

    payload: bytes


@dataclass(frozen=True)
class StreamedAnswer:
    """What the function streams: the raw bytes, metadata included."""

    content_type: str
    body: BodyPipe


@dataclass(frozen=True)
class FailedAnswer:
    """The function failed: it reported an error, crashed, or ran out of time."""

    error_type: str
    payload: bytes

    @property
    def message(self) -> str:
        """`errorMessage` of the error's JSON; empty where there is none."""
        try:
            message = json.loads(self.payload)["errorMessage"]
        except (ValueError, KeyError, TypeError):
            return ""
        return message if isinstance(message, str) else ""


type Answer = BufferedAnswer | StreamedAnswer | FailedAnswer


def failure(error_type: str, message: str) -> FailedAnswer:
    """A failure in the form in which Lambda reports its own."""
    payload = json.dumps({"errorType": error_type, "errorMessage": message})
    return FailedAnswer(error_type, payload.encode())


@dataclass(eq=False)
class Invocation:
    """One event for one function; `answer` is set once the answer begins (streamed) or is whole (buffered)."""

    payload: bytes
    function_arn: str
    trace_id: str
    timeout_s: float
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deadline_ms: int = 0
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    answered: bool = False

    def start_clock(self) -> None:
        """Fixes the deadline: Lambda's timeout runs from delivery."""
        self.deadline_ms = int((time.time() + self.timeout_s) * 1000)

    def set_answer(self, answer: Answer) -> None:
        """Gives the answer; later ones are ignored, as is one that nobody waits for any more."""
        self.answered = True
        if not self.answer.done():
            self.answer.set_result(answer)
        elif isinstance(answer, StreamedAnswer):
            answer.body.abandon()

    def fail(self, error_type: str, message: str) -> None:
        """Fails the invocation, whether its answer has begun or not."""
        if self.answer.done() and not self.answer.cancelled():
            begun = self.answer.result()
            if isinstance(begun, StreamedAnswer):
                begun.body.finish(cut_because=error_type)
            return
        self.set_answer(failure(error_type, message))
