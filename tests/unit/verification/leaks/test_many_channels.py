"""However many texts an upstream begins, the guard follows a bounded number of them, and finds what each holds."""

import json
from typing import Any

import pytest

from sallyport.policy.verification_rules import ANSWERS, REDACT, REPORT, LeakRules
from sallyport.verification.event_stream import Event
from sallyport.verification.leaks.scanner import Scanner
from sallyport.verification.leaks.stream import LeakStream

KEY = "AKIAIOSFODNN7EXAMPLE"
ROUTES = ("chat_completions", "messages", "responses")
MANY = 700


def delta(route: str, index: int, text: str) -> Event:
    shapes: dict[str, dict[str, Any]] = {
        "chat_completions": {"id": "c", "choices": [{"index": index, "delta": {"content": text}}]},
        "messages": {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}},
        "responses": {
            "type": "response.output_text.delta",
            "item_id": f"i{index}",
            "output_index": index,
            "content_index": 0,
            "delta": text,
        },
    }
    data = shapes[route]
    kind = data.get("type", "message")
    written = json.dumps(data)
    return Event(kind, written, f"event: {kind}\ndata: {written}\n\n".encode())


def guard(route: str, action: str) -> LeakStream:
    return LeakStream(route, Scanner([LeakRules("r", ("credentials",), (), (), action, (ANSWERS,))]))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("action", [REPORT, REDACT])
def test_every_leak_is_counted_however_many_texts_begin(route: str, action: str) -> None:
    stream = guard(route, action)
    going = b"".join(stream.feed(delta(route, index, f"use {KEY} ")) for index in range(MANY)) + stream.end()
    assert [finding.times for finding in stream.findings] == [MANY]
    assert going.count(KEY.encode()) == (MANY if action == REPORT else 0)


@pytest.mark.parametrize("route", ROUTES)
def test_what_waits_in_a_text_goes_on_when_too_many_have_begun(route: str) -> None:
    stream = guard(route, REDACT)
    going = b"".join(stream.feed(delta(route, index, f"n{index} AKIA")) for index in range(MANY))
    ended = going.count(b"AKIA")
    assert MANY - 300 < ended < MANY
    assert (going + stream.end()).count(b"AKIA") == MANY


@pytest.mark.parametrize("route", ROUTES)
def test_a_text_that_goes_on_is_followed_while_others_come_and_go(route: str) -> None:
    stream = guard(route, REDACT)
    going = b""
    for at, letter in enumerate(KEY):
        going += stream.feed(delta(route, 0, letter))
        going += b"".join(stream.feed(delta(route, 1 + 100 * at + other, "x ")) for other in range(30))
    going += stream.end()
    assert b"[aws_access_key]" in going
