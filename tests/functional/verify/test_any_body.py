"""Whatever is in a file, there is a verdict, and it is the functions' own."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.gateway.record import RequestRecord
from sallyport.gateway.verifying import Checks
from sallyport.verification.answers import ROUTES, STREAMED_ROUTES
from sallyport_cli.verify.in_force import rules_of
from sallyport_cli.verify.outcome import FAULT, TOO_LARGE, Outcome
from sallyport_cli.verify.output import as_json, in_words
from sallyport_cli.verify.provider_bodies import (
    GivenAnswer,
    checks_of,
    silent,
    try_answer,
    try_request,
    unchecked,
)

TEXTS = st.text(max_size=20) | st.sampled_from(["user", "text", "AKIAIOSFODNN7EXAMPLE", "ann@example.com", "echo"])
NAMES = TEXTS | st.sampled_from(["model", "messages", "input", "max_tokens", "role", "content", "choices", "delta"])
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6).map(lambda value: json.dumps(value).encode())
EVENTS = st.lists(OBJECTS | st.just(b"[DONE]"), max_size=4).map(
    lambda data: b"".join(b"data: " + one + b"\n\n" for one in data)
)


@cache
def checks(route: str) -> Checks:
    told = {"ResponseVerification": "enforce", "UnknownFields": "strip", "LeakGuard": "redact"}
    return checks_of(rules_of(None, told), route, "")


def check_told(outcome: Outcome) -> None:
    """A verdict has a reason or a body, and can be told in both forms."""
    told: dict[str, Any] = json.loads(json.dumps(as_json(outcome, show=True)))
    assert told["passes"] == (outcome.refusal is None)
    assert in_words(outcome)
    if outcome.refusal is None:
        assert outcome.passed is not None
    else:
        assert 400 <= outcome.refusal.status <= 503
        assert outcome.refusal.code != "internal_error"
        assert outcome.refusal.is_midway == (outcome.passed is not None)


@pytest.mark.parametrize("route", ROUTES)
@given(raw=st.binary(max_size=60) | OBJECTS)
def test_any_request_has_a_verdict(route: str, raw: bytes) -> None:
    check_told(try_request(checks(route), raw, "application/json"))


@pytest.mark.parametrize("route", ROUTES)
@given(raw=st.binary(max_size=60) | OBJECTS, status=st.integers(100, 599))
def test_any_answer_has_a_verdict(route: str, raw: bytes, status: int) -> None:
    check_told(try_answer(checks(route), GivenAnswer(status, "application/json", raw), stream=False))


@pytest.mark.parametrize("route", STREAMED_ROUTES)
@given(raw=st.binary(max_size=60) | EVENTS)
def test_any_stream_has_a_verdict(route: str, raw: bytes) -> None:
    check_told(try_answer(checks(route), GivenAnswer(200, "text/event-stream", raw), stream=True))


def test_answer_that_is_too_large_for_a_copy_is_told_of() -> None:
    raw = b'{"choices": [' + b" " * 6_291_456 + b"]}"
    report = checks_of(rules_of(None, {}), "chat_completions", "")
    outcome = try_answer(report, GivenAnswer(200, "application/json", raw), stream=False)
    assert (outcome.refusal, outcome.notes) == (None, (TOO_LARGE,))
    assert outcome.passed == raw
    refused = try_answer(checks("chat_completions"), GivenAnswer(200, "application/json", raw), stream=False)
    assert refused.passed is None


def test_look_that_failed_is_not_told_as_a_matter_of_size() -> None:
    record = RequestRecord(silent(), "", "chat_completions")
    assert unchecked(record) == ()
    record.note(response_unchecked="fault")
    assert unchecked(record) == (FAULT,)
