"""What goes in and comes out of the chat route, held to the policy: whole answers, streams, leaks, fields."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.router.gateway import (
    ANSWER,
    CHAT,
    KEY,
    NOW_S,
    TOKENS,
    USAGE,
    Answered,
    Gateway,
    MakeGateway,
    apply_policy,
    counters,
    drain,
    frozen,
)
from tests.support.aws import Emulator
from tests.support.events import Context

STREAMED = {**CHAT, "stream": True}
BROKEN = b'{"id": "chatcmpl-1", "choices": [{"index": "zebra", "message": {"content": "answer-secret"}}]}'
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
MASKED = "verification:\n  leaks:\n    - {name: secrets, detectors: [credentials], action: %s}\n"
DONE = b"data: [DONE]\n\n"


def event(text: str | None = None, *, ends: bool = False, **more: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop" if ends else None}
    return b"data: " + json.dumps({"id": "c", "choices": [choice], **more}).encode() + b"\n\n"


WELL = [event("Hel"), event("lo"), event(ends=True), DONE]


def whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()


def text_of(body: bytes) -> str:
    """Put a stream's deltas together, as a client does."""
    events = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for data in events for choice in data.get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def request_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return next(line for line in lines(capsys) if line.get("message") == "request")


def ask(gateway: Gateway, body: Any, answer: bytes | list[bytes]) -> Answered:
    if isinstance(answer, bytes):
        gateway.upstream.body = answer
    else:
        gateway.upstream.chunks = answer
    return gateway.post(body)


@pytest.fixture(params=["report", "enforce"])
def either(request: pytest.FixtureRequest, make: MakeGateway) -> Gateway:
    return make(SALLYPORT_VERIFICATION=f"{request.param} ignore off")


@pytest.fixture
def enforcing(make: MakeGateway) -> Gateway:
    return make(SALLYPORT_VERIFICATION="enforce ignore off")


def test_what_is_well_passes_byte_for_byte(either: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(either, CHAT, ANSWER).body == ANSWER
    assert ask(either, STREAMED, WELL).body == b"".join(WELL)
    assert not any("response_violations" in line for line in lines(capsys))


def test_a_whole_answer_that_violates_is_reported_and_passes(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(gateway, CHAT, BROKEN).body == BROKEN
    told = lines(capsys)
    assert next(line for line in told if "response_violations" in line)["response_violations"] == [
        "schema choices[0].index 1"
    ]
    assert [line["ResponseViolation"] for line in told if "ResponseViolation" in line] == [1]
    assert "answer-secret" not in str(told)


def test_nothing_is_looked_at_where_verification_is_off(make: MakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = make(SALLYPORT_VERIFICATION="off ignore off")
    assert ask(gateway, CHAT, BROKEN).body == BROKEN
    assert "response_violations" not in request_line(capsys)


@pytest.mark.parametrize("answer", [BROKEN, b'{"id": "x", "id": "y", "choices": []}', b'{"id": "\xff"}', b'{"a": NaN}'])
def test_a_whole_answer_that_violates_is_withheld_where_that_is_enforced(
    enforcing: Gateway, capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    answered = ask(enforcing, CHAT, answer)
    assert (answered.status, answered.code) == (502, "upstream_invalid_response")
    line = request_line(capsys)
    assert (line["status"], line["code"], len(line["response_violations"])) == (502, "upstream_invalid_response", 1)


def test_the_used_tokens_of_a_withheld_answer_are_charged(make: MakeGateway, store: Emulator) -> None:
    gateway = make(frozen, SALLYPORT_VERIFICATION="enforce ignore off", SALLYPORT_TOKENS_PER_MINUTE="100000")
    answered = ask(gateway, CHAT, json.dumps({"id": 1, "choices": "none", "usage": USAGE}).encode())
    assert (answered.code, counters(store, KEY)[TOKENS]) == ("upstream_invalid_response", USAGE["total_tokens"])


def test_an_answer_longer_than_can_be_held_is_withheld_where_enforced_and_passes_else(
    make: MakeGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    long = whole("x" * 6_300_000)
    answered = ask(make(SALLYPORT_VERIFICATION="enforce ignore off"), CHAT, long)
    assert (answered.status, answered.code) == (502, "upstream_invalid_response")
    assert "size 1" in request_line(capsys)["response_violations"]
    assert ask(make(), CHAT, long).body == long
    assert request_line(capsys)["response_unchecked"] == "size"


FAULTS = {
    "schema": [event("a"), b'data: {"id": "c", "choices": "zebra"}\n\n', DONE],
    "termination": [event("a"), DONE],
    "order": [event("a"), event(ends=True), DONE, event("b")],
    "encoding": [event("a"), b"data: {\n\n"],
    "utf-8": [event("a"), b'data: {"id": "\xff"}\n\n'],
    "cut": [event("a"), event(ends=True)],
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_stream_that_violates_ends_with_an_error_and_no_done(
    enforcing: Gateway, capsys: pytest.CaptureFixture[str], fault: list[bytes]
) -> None:
    answered = ask(enforcing, STREAMED, fault)
    assert (answered.status, answered.broke_off) == (200, True)
    assert json.loads(answered.in_band.strip().removeprefix(b"data: "))["error"]["code"] == "upstream_invalid_response"
    assert b"".join(fault).startswith(answered.body)
    assert fault[0] in answered.body
    line = request_line(capsys)
    assert (line["complete"], line["code"]) == (False, "upstream_invalid_response")
    assert line["response_violations"]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_stream_that_violates_is_reported_and_passes(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], fault: list[bytes]
) -> None:
    answered = ask(gateway, STREAMED, fault)
    assert (answered.body, answered.broke_off) == (b"".join(fault), False)
    assert request_line(capsys)["response_violations"]


def test_a_stream_whose_first_event_violates_is_a_502(enforcing: Gateway) -> None:
    answered = ask(enforcing, STREAMED, [b'data: {"choices": 1}\n\n', DONE])
    assert (answered.status, answered.code) == (502, "upstream_invalid_response")


def test_the_usage_of_a_stream_that_violates_later_is_charged(make: MakeGateway, store: Emulator) -> None:
    gateway = make(frozen, SALLYPORT_VERIFICATION="enforce ignore off", SALLYPORT_TOKENS_PER_MINUTE="100000")
    ask(gateway, STREAMED, [event("a", usage=USAGE), b"data: {\n\n"])
    assert counters(store, KEY)[TOKENS] == USAGE["total_tokens"]


def test_what_was_seen_so_far_is_told_where_the_client_hangs_up(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.upstream.chunks = [b'data: {"choices": 1}\n\n', *WELL]
    context = Context()
    response = gateway.begin(STREAMED, context)
    next(iter(response.body))
    response.body.close()  # type: ignore[attr-defined]
    context.finish()
    assert request_line(capsys)["response_violations"] == ["schema choices 1"]


def test_a_whole_answer_is_looked_at_when_its_client_has_it(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.upstream.body = BROKEN
    context = Context()
    response = gateway.begin(CHAT, context)
    assert drain(response).body == BROKEN
    context.remaining_ms = 2500
    context.finish()
    line = request_line(capsys)
    assert (line["response_unchecked"], "response_violations" in line) == ("time", False)


def test_every_chunking_of_a_stream_gives_the_same_bytes(enforcing: Gateway) -> None:
    stream = b": hi\n\n" + b"".join(WELL)
    for size in (1, 2, 3, 7, 64):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert ask(enforcing, STREAMED, pieces).body == stream


@pytest.fixture
def applied(store: Emulator, make: MakeGateway) -> Iterator[Any]:
    def apply(text: str, **changes: str) -> Gateway:
        apply_policy(store, text)
        return make(**changes)

    return apply  # type: ignore[return-value]


def test_a_leak_is_reported_and_passes(applied: Any, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = applied(MASKED % "report")
    assert ask(gateway, CHAT, whole(f"use {KEY_ID}")).body == whole(f"use {KEY_ID}")
    told = lines(capsys)
    assert next(line for line in told if line.get("message") == "request")["response_findings"] == [
        "leaks/secrets/aws_access_key 1"
    ]
    assert [line["LeakFound"] for line in told if "LeakFound" in line] == [1]
    assert KEY_ID not in str(told)


def test_a_leak_is_redacted_in_a_whole_answer_and_a_stream(applied: Any, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = applied(MASKED % "redact")
    answered = ask(gateway, CHAT, whole(f"use {KEY_ID} now"))
    assert json.loads(answered.body)["choices"][0]["message"]["content"] == "use [aws_access_key] now"
    split = [event("use AKIAIOS"), event("FODNN7EXA"), event("MPLE now"), event(ends=True), DONE]
    streamed = ask(gateway, STREAMED, split)
    assert text_of(streamed.body) == "use [aws_access_key] now"
    assert streamed.body.endswith(DONE)
    assert KEY_ID not in str(lines(capsys))


def test_a_leak_is_blocked_before_the_first_byte_and_in_a_stream(applied: Any) -> None:
    gateway = applied(MASKED % "block")
    answered = ask(gateway, CHAT, whole(f"use {KEY_ID} now"))
    assert (answered.status, answered.code) == (502, "response_blocked")
    streamed = ask(gateway, STREAMED, [event("use "), event("AKIAIOS"), event("FODNN7EXAMPLE now"), *WELL])
    assert b"response_blocked" in (streamed.in_band or streamed.body)
    assert "AKIA" not in text_of(streamed.body)
    assert DONE not in streamed.body + streamed.in_band


def test_an_upstreams_refusal_may_not_leak_either(applied: Any) -> None:
    gateway = applied(MASKED % "redact")
    gateway.upstream.status = 400
    answered = ask(gateway, CHAT, json.dumps({"error": {"message": f"bad key {KEY_ID}"}}).encode())
    assert answered.status == 400
    assert json.loads(answered.body)["error"]["message"] == "bad key [aws_access_key]"


@pytest.mark.parametrize("action", ["redact", "block"])
def test_json_that_can_be_read_in_two_ways_hides_nothing(applied: Any, action: str) -> None:
    gateway = applied(MASKED % action)
    escaped = KEY_ID.replace("A", "\\u0041").encode()
    hidden = b'{"x": 1, "x": 2, "choices": [{"index": 0, "delta": {"content": "%s"}}]}' % escaped
    streamed = ask(gateway, STREAMED, [event("sound "), event("text "), b"data: " + hidden + b"\n\n", *WELL])
    assert (streamed.broke_off, text_of(streamed.body)) == (True, "sound text ")
    assert escaped not in streamed.body + streamed.in_band
    gateway.upstream.status = 400
    refused = ask(gateway, CHAT, b'{"error": {"message": "a", "message": "%s"}}' % escaped)
    assert (refused.status, refused.code) == (502, "upstream_invalid_response")


def test_fields_are_taken_out_of_answers(applied: Any) -> None:
    gateway = applied(
        "verification: {routes: {chat_completions: {strip: [system_fingerprint, 'choices[*].logprobs']}}}\n"
    )
    body = json.loads(ANSWER) | {"system_fingerprint": "fp"}
    body["choices"][0]["logprobs"] = {"content": []}
    assert json.loads(ask(gateway, CHAT, json.dumps(body).encode()).body) == json.loads(ANSWER)
    stream = [event("a", system_fingerprint="fp"), event(ends=True), DONE]
    assert ask(gateway, STREAMED, stream).body == b"".join([event("a"), event(ends=True), DONE])


def sent(gateway: Gateway) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in gateway.upstream.received]


def test_an_unknown_field_goes_on_is_left_out_or_refused(make: MakeGateway) -> None:
    asked = {**CHAT, "zebra": 1}
    assert make().post(asked).status == 200
    gateway = make(SALLYPORT_VERIFICATION="report strip off")
    assert gateway.post(asked).status == 200
    assert sent(gateway) == [asked, CHAT]
    answered = make(SALLYPORT_VERIFICATION="report refuse off").post(asked)
    assert (answered.status, json.loads(answered.body)["error"]["param"]) == (400, "zebra")
    assert len(gateway.upstream.received) == 2


REFUSING = {
    "forbidden": ("request: {forbidden: [logit_bias]}", {"logit_bias": {}}, "logit_bias"),
    "messages": ("request: {max_messages: 1}", {"messages": [*CHAT["messages"]] * 2}, "messages"),
    "bytes": ("request: {max_prompt_bytes: 5}", {}, "messages"),
    "output": ("request: {max_output_tokens: 5}", {"max_tokens": 6}, "max_tokens"),
    "tools": (
        "request: {max_tools: 0}",
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "tools",
    ),
    "tenant": ("tenants: {acme: {request: {max_messages: 1}}}", {"messages": [*CHAT["messages"]] * 2}, "messages"),
    "schema": (
        "request: {schema: {type: object, properties: {temperature: {maximum: 0.5}}}}",
        {"temperature": 1},
        "temperature",
    ),
}


@pytest.mark.parametrize(("rules", "changes", "param"), REFUSING.values(), ids=REFUSING.keys())
def test_an_operators_rule_refuses_and_nothing_goes_on_or_is_charged(
    applied: Any, store: Emulator, rules: str, changes: dict[str, Any], param: str
) -> None:
    tenants = "tenants: {acme: {}}\n" if rules.startswith("tenants") else ""
    gateway = applied(f"{tenants}verification: {{{rules}}}\n")
    answered = gateway.post({**CHAT, **changes})
    assert (answered.status, json.loads(answered.body)["error"]["param"]) == (400, param)
    assert "prompt-secret" not in answered.body.decode()
    assert (gateway.upstream.received, counters(store, KEY)) == ([], {})


def test_a_forced_field_goes_upstream_whatever_the_client_said(applied: Any) -> None:
    gateway = applied("verification: {request: {forced: {temperature: 0}}}\n")
    gateway.post({**CHAT, "temperature": 1})
    assert sent(gateway) == [{**CHAT, "temperature": 0}]


def test_prompt_rules_report_or_block(applied: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rule = "verification: {prompts: [{name: jailbreak, roles: [user], deny: ['(?i)PROMPT-'], action: %s}]}\n"
    assert applied(rule % "report").post(CHAT).status == 200
    assert request_line(capsys)["request_findings"] == ["prompts/jailbreak/deny 1"]
    answered = applied(rule % "block").post(CHAT)
    assert (answered.status, answered.code) == (400, "prompt_refused")
    assert "secret" not in answered.body.decode()
    assert request_line(capsys)["request_findings"] == ["prompts/jailbreak/deny 1"]


def test_a_leak_in_a_request_is_redacted_or_blocked(applied: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rule = "verification: {leaks: [{name: s, detectors: [credentials], action: %s, where: [requests]}]}\n"
    asked = {**CHAT, "messages": [{"role": "user", "content": f"my key is {KEY_ID}"}]}
    gateway = applied(rule % "redact")
    assert gateway.post(asked).status == 200
    assert sent(gateway)[0]["messages"][0]["content"] == "my key is [aws_access_key]"
    answered = applied(rule % "block").post(asked)
    assert (answered.status, answered.code) == (400, "leak_blocked")
    told = lines(capsys)
    assert [line.get("request_findings") for line in told if line.get("message") == "request"] == [
        ["leaks/s/aws_access_key 1"]
    ] * 2
    assert KEY_ID not in str(told)
    assert len(gateway.upstream.received) == 1


def test_a_changed_policy_counts_for_the_next_request(applied: Any, store: Emulator, make: MakeGateway) -> None:
    clock = [NOW_S]
    apply_policy(store, "verification: {response: report}\n")
    gateway = make(lambda: clock[0])
    assert ask(gateway, CHAT, BROKEN).status == 200
    apply_policy(store, "verification: {response: enforce}\n")
    clock[0] += 60
    assert ask(gateway, CHAT, BROKEN).status == 502
