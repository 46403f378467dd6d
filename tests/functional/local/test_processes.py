"""The process pool runs functions as Lambda does."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sallyport_cli.local.invocation import (
    Answer,
    BufferedAnswer,
    FailedAnswer,
    StreamCutError,
    StreamedAnswer,
)
from sallyport_cli.local.pool import ThrottledError
from tests.functional.local.stub import Bench, open_bench, process_state, until

type Scenario = Callable[[Bench], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    async def run(scenario: Scenario) -> None:
        async with open_bench(tmp_path) as bench:
            await scenario(bench)

    return lambda scenario: asyncio.run(run(scenario))


def body(answer: Answer) -> dict[str, object]:
    assert isinstance(answer, BufferedAnswer), answer
    found = json.loads(json.loads(answer.payload)["body"])
    assert isinstance(found, dict)
    return found


def test_a_chunk_arrives_while_the_function_still_works(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        answer = await bench.pool("Streamed").invoke(bench.order("yield:one", "gate:middle", "yield:two"))
        assert isinstance(answer, StreamedAnswer)
        chunks = aiter(answer.body)
        read = b""
        while not read.endswith(b"one"):
            read += await anext(chunks)
        await bench.gate.let_on("middle")
        assert b"".join([chunk async for chunk in chunks]) == b"two"

    play(scenario)


def test_a_waiting_process_is_stopped_and_goes_on_with_the_next_event(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        pool = bench.pool("Buffered")
        first = body(await pool.invoke(bench.order()))
        await pool.settle()
        (process,) = pool.idle_processes
        await until(lambda: process_state(process.pid) == "T")
        second = body(await pool.invoke(bench.order()))
        assert first["pid"] == second["pid"] == process.pid

    play(scenario)


def test_a_process_has_one_event_at_a_time_and_load_starts_more(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        pool = bench.pool("Buffered")
        first = asyncio.create_task(pool.invoke(bench.order("gate:a")))
        second = asyncio.create_task(pool.invoke(bench.order("gate:b")))
        await bench.gate.arrived("a")
        await bench.gate.arrived("b")
        assert len(pool.processes) == 2
        await bench.gate.let_on("a")
        await bench.gate.let_on("b")
        assert body(await first)["pid"] != body(await second)["pid"]
        await pool.settle()
        await pool.invoke(bench.order())
        assert len(pool.processes) == 2

    play(scenario)


def test_past_the_concurrency_a_request_waits_for_a_process(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        pool = bench.pool("Buffered", concurrency=1)
        first = asyncio.create_task(pool.invoke(bench.order("gate:a")))
        await bench.gate.arrived("a")
        second = asyncio.create_task(pool.invoke(bench.order()))
        await asyncio.wait({second}, timeout=0.05)
        assert not second.done()
        await bench.gate.let_on("a")
        assert body(await first)["pid"] == body(await second)["pid"]

    play(scenario)


def test_who_waits_too_long_is_throttled(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        pool = bench.pool("Buffered", concurrency=1, wait_s=0.05)
        first = asyncio.create_task(pool.invoke(bench.order("gate:a")))
        await bench.gate.arrived("a")
        with pytest.raises(ThrottledError):
            await pool.invoke(bench.order())
        await bench.gate.let_on("a")
        body(await first)

    play(scenario)


def test_cold_gives_every_event_a_process_of_its_own(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        pool = bench.pool("Buffered", cold=True)
        first, second = body(await pool.invoke(bench.order())), body(await pool.invoke(bench.order()))
        assert first["pid"] != second["pid"]
        await until(lambda: not pool.processes)

    play(scenario)


def test_after_response_work_is_part_of_the_event(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        pool = bench.pool("Buffered")
        answered = body(await pool.invoke(bench.order(after=["later"])))
        await bench.gate.arrived("later")
        assert not pool.idle_processes
        await bench.gate.let_on("later")
        await pool.settle()
        assert [process.pid for process in pool.idle_processes] == [answered["pid"]]

    play(scenario)


def test_a_crash_fails_the_event_and_the_next_one_has_a_new_process(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        pool = bench.pool("Buffered")
        answer = await pool.invoke(bench.order("exit:3"))
        assert isinstance(answer, FailedAnswer)
        assert answer.error_type == "Runtime.ExitError"
        assert "exit status 3" in answer.message
        body(await pool.invoke(bench.order()))

    play(scenario)


def test_an_error_is_the_functions_answer_and_the_process_lives_on(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        pool = bench.pool("Buffered")
        assert isinstance(await pool.invoke(bench.order("raise:oops")), FailedAnswer)
        await pool.settle()
        assert len(pool.idle_processes) == 1

    play(scenario)


def test_a_process_that_cannot_start_fails_the_event(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        pool = bench.pool("Broken")
        assert isinstance(await pool.invoke(bench.order()), FailedAnswer)
        await until(lambda: not pool.processes)

    play(scenario)


def test_the_functions_timeout_kills_it_and_cuts_its_stream(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        pool = bench.pool("BriefStream")
        answer = await pool.invoke(bench.order("yield:one", "gate:never"))
        assert isinstance(answer, StreamedAnswer)
        with pytest.raises(StreamCutError, match="Timedout"):
            async for _ in answer.body:
                pass
        await until(lambda: not pool.processes)

    play(scenario)


def test_a_timeout_before_the_answer_fails_the_event(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        answer = await bench.pool("Brief").invoke(bench.order("gate:never"))
        assert isinstance(answer, FailedAnswer)
        assert answer.error_type == "Sandbox.Timedout"

    play(scenario)


def test_a_buffered_answer_over_6_mb_fails_the_event(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        answer = await bench.pool("Buffered").invoke(bench.order(size=6 * 1024 * 1024))
        assert isinstance(answer, FailedAnswer)
        assert answer.error_type == "Function.ResponseSizeTooLarge"

    play(scenario)


def test_a_function_sees_lambdas_environment_and_not_the_callers(play: Callable[[Scenario], None]) -> None:
    async def scenario(bench: Bench) -> None:
        environ = body(await bench.pool("Buffered").invoke(bench.order()))["environ"]
        assert isinstance(environ, dict)
        assert environ["AWS_LAMBDA_FUNCTION_NAME"] == "sallyport-Buffered"
        assert environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"
        assert environ["STAGE"] == "prod"
        assert environ["AWS_ACCESS_KEY_ID"] == "local"
        assert environ["AWS_SAM_LOCAL"] == "true"
        strays = set(os.environ) - {"PATH", "LANG", "TZ", "PWD", "SHLVL", "_", "PYTHONPATH", "AWS_REGION"}
        assert not {name for name in strays if name in environ and not name.startswith(("AWS_", "LC_"))}

    play(scenario)
