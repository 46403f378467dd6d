"""The golden events of events/: what each function must answer, whoever runs it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "events"
EXPECTED: dict[str, dict[str, Any]] = json.loads((EVENTS / "expected.json").read_text())
_END_OF_METADATA = b"\0" * 8


@dataclass(frozen=True)
class HttpAnswer:
    """A buffered or streamed proxy answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def check(case: str, printed: bytes) -> None:
    """Assert that what `invoke` printed is the golden answer of a case."""
    expected = EXPECTED[case]
    if "error" in expected:
        assert json.loads(printed)["errorMessage"] == expected["error"]
    elif "answer" in expected:
        assert json.loads(printed) == expected["answer"]
    elif "effect" in expected:
        _check_decision(expected, json.loads(printed))
    else:
        _check_http(expected, read_http_answer(printed))


def read_http_answer(printed: bytes) -> HttpAnswer:
    """Take apart a proxy answer: JSON, or a stream's metadata, eight NUL bytes and payload."""
    metadata, streamed, payload = printed.partition(_END_OF_METADATA)
    answer = json.loads(metadata)
    headers = {name.lower(): value for name, value in answer.get("headers", {}).items()}
    body = payload if streamed else str(answer["body"]).encode()
    return HttpAnswer(answer["statusCode"], headers, body)


def _check_decision(expected: dict[str, Any], decision: dict[str, Any]) -> None:
    (statement,) = decision["policyDocument"]["Statement"]
    assert statement["Effect"] == expected["effect"]
    assert statement["Resource"].endswith(":a1b2c3d4e5/prod/*")
    assert all(isinstance(value, str) for value in decision["context"].values())
    _check_part(expected["context"], decision["context"])


def _check_http(expected: dict[str, Any], answer: HttpAnswer) -> None:
    assert answer.status == expected["status"], answer.body
    assert answer.headers["x-request-id"]
    for name, value in expected["headers"].items():
        assert answer.headers[name].partition(";")[0] == value
    if "stream" in expected:
        _check_stream(expected["stream"], answer.body)
    else:
        _check_part(expected["body"], json.loads(answer.body))


def _check_stream(expected: dict[str, str], body: bytes) -> None:
    events = [line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: ")]
    *read, last = [{"type": event} if event == "[DONE]" else json.loads(event) for event in events]
    assert last["type"] == expected["last"]
    assert "".join(map(_text_of, read)) == expected["text"]


def _text_of(event: dict[str, Any]) -> str:
    """What one event adds to the answer: a chunk of OpenAI's chat, or an event of Responses or of Anthropic's."""
    if "choices" in event:
        return "".join(choice["delta"].get("content") or "" for choice in event["choices"])
    if event["type"] == "response.output_text.delta":
        return str(event["delta"])
    return str(event["delta"].get("text", "")) if event["type"] == "content_block_delta" else ""


def _check_part(expected: Any, actual: Any) -> None:
    """Assert that everything expected is there; there may be more in an object, but not in a list."""
    if isinstance(expected, dict):
        for name, value in expected.items():
            _check_part(value, actual[name])
    elif isinstance(expected, list):
        assert len(actual) == len(expected)
        for value, found in zip(expected, actual, strict=True):
            _check_part(value, found)
    else:
        assert actual == expected
