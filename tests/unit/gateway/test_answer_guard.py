"""What becomes of an answer where the gateway's own look at it fails."""

import io
import json
from collections.abc import Iterator
from typing import NoReturn

import pytest

from sallyport.errors import SallyportError
from sallyport.gateway.answer_guard import AnswerGuard
from sallyport.gateway.record import RequestRecord
from sallyport.gateway.verifying import AnswerChecks
from sallyport.observability.log import Logger
from sallyport.verification.leaks.looking import Lookers
from sallyport.verification.leaks.scanner import Scanner
from sallyport.verification.strip import StripPaths

EVENT = b'data: {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
STREAM = [EVENT, EVENT, b"data: [DONE]\n\n"]
WHOLE = b'{"id": "c", "choices": []}'


class FaultyLookers(Lookers):
    def spots(self, data: bytes, begin: int = 0) -> NoReturn:
        raise ZeroDivisionError("answer-secret")


def faulty_scanner() -> Scanner:
    scanner = Scanner(())
    scanner.reporting = FaultyLookers([])
    return scanner


class Faulty:
    def __init__(self, mode: str, strip: StripPaths | None = None, leaks: Scanner | None = None) -> None:
        self.told = io.StringIO()
        logger = Logger("test", "test", write=self.told.write)
        self.record = RequestRecord(logger, "r", "chat_completions")
        self.guard = AnswerGuard("chat_completions", AnswerChecks(mode, strip, leaks), self.record, logger)


def fail() -> NoReturn:
    raise ZeroDivisionError("answer-secret")


@pytest.mark.parametrize("kind", ["stream", "whole", "refusal"])
def test_what_is_only_reported_passes_whatever_a_look_at_it_raises(kind: str) -> None:
    faulty = Faulty("report", leaks=faulty_scanner())
    body = STREAM if kind == "stream" else [WHOLE]
    assert list(getattr(faulty.guard, kind)(iter(body))) == body
    faulty.guard.finish(in_time=True)
    assert faulty.record.fields["response_unchecked"] == "fault"
    assert "failure" not in faulty.record.fields
    assert "ZeroDivisionError" in faulty.told.getvalue()
    assert "secret" not in faulty.told.getvalue()


def test_a_stream_that_is_only_reported_is_looked_at_once_it_has_gone() -> None:
    faulty = Faulty("report", leaks=faulty_scanner())
    chunks = faulty.guard.stream(iter(STREAM))
    assert (next(chunks), "response_unchecked" in faulty.record.fields) == (EVENT, False)
    assert (next(chunks), "response_unchecked" in faulty.record.fields) == (EVENT, True)


def test_a_fault_of_a_check_that_only_tells_ends_it_and_no_other() -> None:
    faulty = Faulty("report", strip=StripPaths(["id"]))
    faulty.guard.judge(fail)
    passed = b"".join(faulty.guard.stream(iter(STREAM)))
    assert b'"id"' not in passed
    assert passed.endswith(STREAM[-1])
    faulty.guard.finish(in_time=True)
    assert "response_violations" not in faulty.record.fields


def test_a_fault_of_a_check_that_is_enforced_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        Faulty("enforce").guard.judge(fail)


def test_an_answer_with_a_field_to_take_out_goes_on_as_far_as_it_can_be_read() -> None:
    guard = Faulty("off", strip=StripPaths(["id"])).guard
    chunks: Iterator[bytes] = guard.stream(iter([EVENT, b"data: \n\n", b'data: {"id": 1, "id": 2}\n\n']))
    assert json.loads(next(chunks).removeprefix(b"data: ")) == {"choices": [{"index": 0, "delta": {"content": "a"}}]}
    assert next(chunks) == b"data: \n\n"
    with pytest.raises(SallyportError):
        next(chunks)
