"""The echo's answers that aren't as their API says, held to what the gateway holds answers to."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from sallyport.policy.verification_rules import ANSWERS, REPORT, LeakRules
from sallyport.verification.answers import ROUTES, STREAMED_ROUTES, AnswerSchema
from sallyport.verification.event_stream import Event, EventReader
from sallyport.verification.leaks.scanner import Scanner
from sallyport.verification.leaks.stream import LeakStream
from sallyport.verification.leaks.walk import scan_json
from sallyport.verification.stream_rules import StreamChecker
from sallyport.verification.violations import ENCODING, ORDER, SCHEMA, TERMINATION
from sallyport_cli.echo.app import create_app
from sallyport_cli.echo.faults import Faults

HEADERS = {"anthropic-version": "2023-06-01"}
SAID = [{"role": "user", "content": "one two three four"}]
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat_completions": ("/v1/chat/completions", {"messages": SAID}),
    "responses": ("/v1/responses", {"input": "one two three four"}),
    "embeddings": ("/v1/embeddings", {"input": "one two"}),
    "messages": ("/v1/messages", {"messages": SAID, "max_tokens": 50}),
    "count_tokens": ("/v1/messages/count_tokens", {"messages": SAID}),
}
LEAKS = (LeakRules("all", ("credentials", "cards"), (), (), REPORT, (ANSWERS,)),)
FOUND = {("aws_access_key", 1), ("cards", 1)}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(Faults()), base_url="http://127.0.0.1") as running:
        yield running


def answered(client: TestClient, route: str, model: str, **fields: Any) -> bytes:
    path, body = REQUESTS[route]
    answer = client.post(path, json={"model": model, **body, **fields}, headers=HEADERS)
    assert answer.status_code == 200
    return answer.content


def events(client: TestClient, route: str, model: str) -> list[Event]:
    reader = EventReader()
    return list(reader.feed(answered(client, route, model, stream=True)))


def violations(client: TestClient, route: str, model: str) -> list[tuple[int, str]]:
    """Give where something is wrong with a stream, and what kind it is."""
    checker = StreamChecker(route)
    stream = events(client, route, model)
    found = [*map(checker.feed, stream), checker.end()]
    return [(place, violation.kind) for place, violation in enumerate(found) if violation is not None]


@pytest.mark.parametrize("route", ROUTES)
def test_echo_without_a_fault_has_no_violation(client: TestClient, route: str) -> None:
    assert AnswerSchema.built_in(route).check_text(answered(client, route, "echo")) is None
    assert route not in STREAMED_ROUTES or violations(client, route, "echo") == []


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("model", "kind"), [("fault-schema", SCHEMA), ("fault-unfinished", ENCODING)])
def test_whole_answer_has_the_fault_that_its_model_names(client: TestClient, route: str, model: str, kind: str) -> None:
    violation = AnswerSchema.built_in(route).check_text(answered(client, route, model))
    assert violation is not None
    assert violation.kind == kind


@pytest.mark.parametrize("route", STREAMED_ROUTES)
@pytest.mark.parametrize(
    ("model", "kind"), [("fault-schema", SCHEMA), ("fault-order", ORDER), ("fault-unfinished", TERMINATION)]
)
def test_stream_has_the_fault_that_its_model_names_after_its_first_event(
    client: TestClient, route: str, model: str, kind: str
) -> None:
    place, found = violations(client, route, model)[0]
    assert found == kind
    assert place > 0


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stream", [False, True])
def test_page_says_that_it_is_html(client: TestClient, route: str, stream: bool) -> None:
    path, body = REQUESTS[route]
    answer = client.post(path, json={"model": "fault-html", "stream": stream, **body}, headers=HEADERS)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.content.startswith(b"<!doctype html>")


@pytest.mark.parametrize("route", STREAMED_ROUTES)
def test_leak_is_in_a_whole_answer_that_is_sound(client: TestClient, route: str) -> None:
    body = json.loads(answered(client, route, "fault-leak"))
    assert AnswerSchema.built_in(route).check(body) is None
    findings = scan_json(Scanner(LEAKS), body).findings
    assert {(finding.kind, finding.times) for finding in findings} == FOUND


@pytest.mark.parametrize("route", STREAMED_ROUTES)
def test_leak_is_in_no_piece_of_a_stream_but_in_all_of_them_together(client: TestClient, route: str) -> None:
    assert violations(client, route, "fault-leak") == []
    stream = events(client, route, "fault-leak")
    pieces = [json.loads(event.data) for event in stream if '"delta":' in event.data]
    assert len(pieces) > len(FOUND)
    assert not any(scan_json(Scanner(LEAKS), piece).findings for piece in pieces)
    guard = LeakStream(route, Scanner(LEAKS))
    assert b"".join([*map(guard.feed, stream), guard.end()]) == b"".join(event.raw for event in stream)
    assert {(finding.kind, finding.times) for finding in guard.findings} == FOUND


def test_violation_needs_a_model_that_names_it() -> None:
    assert Faults().for_model("order") == Faults().for_model("fault-") == Faults()
