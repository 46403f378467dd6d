"""What a handler registered runs after its response, guarded, and within the deadline."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sallyport.runtime.streaming import StreamedResponse
from tests.support.fake_runtime_api import ACCEPTED, FakeRuntimeApi, event, status
from tests.unit.runtime.conftest import Serve, serve_fake


def noting(done: list[str], name: str) -> Callable[[], None]:
    return lambda: done.append(name)


def test_work_is_done_after_the_response_and_before_the_next_event_is_asked_for() -> None:
    seen: list[int] = []
    with FakeRuntimeApi(event(), ACCEPTED, event(), ACCEPTED) as fake:

        def handler(_event: Any, context: Any) -> StreamedResponse:
            context.after_response(lambda: seen.append(len(fake.requests)))
            return StreamedResponse(200, {}, [b"x"])

        serve_fake(fake, handler, {})
    assert seen == [2, 4]


def test_work_is_done_in_order_and_a_failure_does_not_stop_the_rest(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def failing() -> None:
        raise ValueError("sk-secret")

    def handler(_event: Any, context: Any) -> None:
        for task in (noting(done, "one"), failing, noting(done, "two")):
            context.after_response(task)

    serve(handler, event(), ACCEPTED)
    assert done == ["one", "two"]
    logged = capsys.readouterr().err
    assert json.loads(logged)["message"] == "after-response work failed"
    assert json.loads(logged)["errorType"] == "ValueError"
    assert "sk-secret" not in logged


def test_work_may_register_more_work(serve: Serve) -> None:
    done: list[str] = []

    def handler(_event: Any, context: Any) -> None:
        context.after_response(lambda: context.after_response(noting(done, "inner")))

    serve(handler, event(), ACCEPTED)
    assert done == ["inner"]


def test_work_is_not_begun_after_the_deadline(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    clock = [999.0]
    done: list[str] = []

    def slow() -> None:
        done.append("slow")
        clock[0] = 1_000.0

    def handler(_event: Any, context: Any) -> None:
        context.after_response(slow)
        context.after_response(noting(done, "late"))

    serve(handler, event(deadline_ms=1_000_000), ACCEPTED, now=lambda: clock[0])
    assert done == ["slow"]
    assert json.loads(capsys.readouterr().err)["message"] == "after-response work was left undone"


@pytest.mark.parametrize("code", [202, 403, 500])
def test_work_is_done_when_the_handler_fails_whatever_lambda_says(serve: Serve, code: int) -> None:
    done: list[str] = []

    def handler(_event: Any, context: Any) -> None:
        context.after_response(noting(done, "refund"))
        raise ValueError

    serve(handler, event(), status(code))
    assert done == ["refund"]


def test_work_of_one_invocation_is_not_repeated_in_the_next(serve: Serve) -> None:
    done: list[str] = []

    def handler(event: Any, context: Any) -> None:
        context.after_response(noting(done, event))

    serve(handler, event(b'"a"'), ACCEPTED, event(b'"b"'), ACCEPTED)
    assert done == ["a", "b"]
