"""What goes upstream and what comes back when all is well, and a stream that is cut."""

import json

import pytest

from tests.functional.router.gateway import ANSWER, CHAT, EVENTS, UPSTREAM_KEY, Gateway


def test_an_answer_is_passed_on_as_it_came(gateway: Gateway) -> None:
    answered = gateway.post(CHAT)
    assert (answered.status, answered.body) == (200, ANSWER)
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["x-upstream-request-id"] == "req_upstream"
    assert answered.headers["x-sallyport-region"] == "us-east-1"


def test_the_body_goes_upstream_byte_for_byte(gateway: Gateway) -> None:
    body = '{ "model":"gpt-a",\n "messages": [{"content":"\\u00e9 é","role":"user"}], "x": 1.50 }'
    gateway.post(body)
    assert gateway.upstream.received[0].body == body.encode()
    assert gateway.upstream.received[0].target == "/v1/chat/completions"


def test_only_listed_headers_go_upstream_with_the_upstreams_own_credential(gateway: Gateway) -> None:
    sent = {
        "Authorization": "Bearer sp_client",
        "x-api-key": "sp_client",
        "Cookie": "a=b",
        "X-Forwarded-For": "1.2.3.4",
        "OpenAI-Organization": "org-evil",
        "OpenAI-Beta": "assistants=v2",
        "Host": "evil.example.com",
    }
    gateway.post(CHAT, headers=sent)
    headers = gateway.upstream.received[0].headers
    assert headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert headers["openai-beta"] == "assistants=v2"
    assert headers["host"].startswith("127.0.0.1")
    own = {"accept", "accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent"}
    assert set(headers) == own | {"openai-beta"}


def test_a_stream_is_passed_on_byte_for_byte(gateway: Gateway) -> None:
    gateway.upstream.chunks = EVENTS
    answered = gateway.post({**CHAT, "stream": True})
    assert answered.body == b"".join(EVENTS)
    assert answered.headers["content-type"] == "text/event-stream"
    assert not answered.broke_off


def test_a_stream_that_is_cut_ends_with_an_error_event_in_openais_shape(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.upstream.chunks, gateway.upstream.cut = EVENTS[:2], True
    answered = gateway.post({**CHAT, "stream": True})
    assert answered.body == b"".join(EVENTS[:2])
    event = answered.in_band.strip().removeprefix(b"data: ")
    assert json.loads(event)["error"]["code"] == "upstream_interrupted"
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    ended = [line for line in lines if line.get("message") == "request" or line.get("kind") == "outcome"]
    assert [(line["code"], line["complete"]) for line in ended] == [("upstream_interrupted", False)] * 2


def test_half_an_event_is_dropped_when_the_stream_is_cut(gateway: Gateway) -> None:
    gateway.upstream.chunks, gateway.upstream.cut = [EVENTS[0], b'data: {"n": '], True
    answered = gateway.post({**CHAT, "stream": True})
    assert answered.body == EVENTS[0]
    assert json.loads(answered.in_band.removeprefix(b"data: "))["error"]["code"] == "upstream_interrupted"


@pytest.mark.parametrize("chunks", [[], [b"garbage\n\n"], [b'{"id": 1}'], [b"\x00" * 100]])
def test_a_stream_that_is_no_event_stream_is_invalid(gateway: Gateway, chunks: list[bytes]) -> None:
    gateway.upstream.chunks = chunks
    assert gateway.post({**CHAT, "stream": True}).code == "upstream_invalid_response"


@pytest.mark.parametrize(
    "start",
    [b"\xef\xbb\xbfdata: 1\n\n", b": hello\n\n", b"\n\ndata: 1\n\n", b"data\n\n", b"\xef\xbb\xbf", b"retry: 5\n\n"],
)
def test_an_event_stream_may_begin_in_any_way_that_the_standard_has(gateway: Gateway, start: bytes) -> None:
    gateway.upstream.chunks = [start, b"data: [DONE]\n\n"]
    assert gateway.post({**CHAT, "stream": True}).body == start + b"data: [DONE]\n\n"
