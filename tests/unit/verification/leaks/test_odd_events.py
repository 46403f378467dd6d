"""Events that no schema has seen: whatever stands where an index or a type should, the leak guard goes on."""

import json
from typing import Any

import pytest

from sallyport.policy.verification_rules import ANSWERS, REDACT, LeakRules
from sallyport.verification.event_stream import EventReader
from sallyport.verification.leaks.scanner import Scanner
from sallyport.verification.leaks.stream import LeakStream

WORD = "zebra-lantern-42"


@pytest.mark.parametrize("odd", [{}, [], [{"a": 1}], None, 1.5, True, "x"])
@pytest.mark.parametrize(
    ("route", "make"),
    [
        ("chat_completions", lambda odd: {"choices": [{"index": odd, "delta": {"content": WORD}}]}),
        ("chat_completions", lambda odd: {"choices": [{"index": 0, "delta": {"x": [{"index": odd, "text": WORD}]}}]}),
        ("messages", lambda odd: {"type": "content_block_delta", "index": odd, "delta": {"text": WORD}}),
        ("messages", lambda odd: {"type": odd, "index": 0, "delta": {"text": WORD}}),
        ("responses", lambda odd: {"type": "response.output_text.delta", "output_index": odd, "delta": WORD}),
        ("responses", lambda odd: {"type": odd, "delta": WORD}),
    ],
)
def test_event_of_any_form_is_redacted(route: str, make: Any, odd: Any) -> None:
    guard = LeakStream(route, Scanner([LeakRules("planted", (), (), (WORD,), REDACT, (ANSWERS,))]))
    events = [make(odd), make(odd), make(0)]
    raw = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    passed = b"".join([*map(guard.feed, EventReader().feed(raw)), guard.end()])
    assert WORD.encode() not in passed
    assert passed.count(b"data: ") >= len(events)
