"""Anthropic as a provider: what goes there, what may come back, in which words."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import (
    RequestError,
    SallyportError,
    UnsupportedFieldError,
    UpstreamCredentialsError,
    UpstreamError,
    UpstreamInvalidResponseError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.providers.anthropic import AnthropicProvider
from sallyport.providers.anthropic_answer import MAX_ANSWER_BYTES
from sallyport.providers.provider import (
    CHAT_COMPLETIONS,
    COUNT_TOKENS,
    MESSAGES,
    SERVED,
    Call,
    Provider,
)
from sallyport.providers.transport import UpstreamRequest
from sallyport.providers.usage import ReportedUsage
from tests.support.operations import ANY_BODY, EVERY, is_made

RULES = UpstreamRules("claude", "anthropic", "https://api.anthropic.com", "us-east-1")
TURNS = [{"role": "user", "content": "Hello"}]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "content": [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": None},
}


class Answer:
    def __init__(self, *chunks: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.status = status
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.headers: Mapping[str, str] = {"content-type": kind, **named}
        self._chunks = chunks

    def chunks(self) -> Iterator[bytes]:
        yield from self._chunks

    def close(self) -> None:
        pass


def provider(**rules: Any) -> AnthropicProvider:
    return AnthropicProvider(RULES._replace(**rules), now=lambda: 17.9)


def call(operation: str = MESSAGES, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Call:
    body = {"model": "alias", "messages": TURNS, **fields}
    raw = json.dumps(body, indent=1).encode()
    return Call(operation, body, raw, "claude-x", body.get("stream") is True, headers or {})


def same_name(asked: Call) -> Call:
    return asked._replace(model="alias")


def sent(asked: Call, **rules: Any) -> UpstreamRequest:
    return provider(**rules).request(asked)


def test_provider_is_one() -> None:
    anthropic: Provider = provider()
    asked = call()
    made = {name for name in EVERY if is_made(anthropic, asked._replace(operation=name, body=ANY_BODY))}
    assert made == SERVED["anthropic"]


@pytest.mark.parametrize(
    ("operation", "target"),
    [
        (CHAT_COMPLETIONS, "/base/v1/messages"),
        (MESSAGES, "/base/v1/messages"),
        (COUNT_TOKENS, "/base/v1/messages/count_tokens"),
    ],
)
def test_request_goes_below_the_base_url(operation: str, target: str) -> None:
    request = sent(call(operation), base_url="https://ai.example.com:8443/base/")
    assert (request.method, request.target, request.headers["host"]) == ("POST", target, "ai.example.com:8443")


def test_body_that_nothing_is_changed_of_keeps_its_bytes() -> None:
    asked = same_name(call())
    assert sent(asked).body == asked.raw
    assert json.loads(sent(asked._replace(raw=None)).body) == asked.body


def test_alias_is_replaced_by_the_targets_name() -> None:
    assert json.loads(sent(call(COUNT_TOKENS)).body) == {"model": "claude-x", "messages": TURNS}


def test_chat_is_translated() -> None:
    assert json.loads(sent(call(CHAT_COMPLETIONS, max_tokens=5)).body) == {
        "model": "claude-x",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }


@pytest.mark.parametrize(("stream", "accepted"), [(True, "text/event-stream"), (False, "application/json")])
def test_request_accepts_what_is_asked_for(stream: bool, accepted: str) -> None:
    request = sent(call(CHAT_COMPLETIONS, stream=stream))
    assert request.headers["accept"] == accepted
    assert json.loads(request.body).get("stream", False) is stream


def test_clients_versions_go_upstream_on_anthropics_own_routes_alone() -> None:
    given = {"anthropic-version": "2024-10-22", "anthropic-beta": "a-2025-01-01,b", "x-other": "x", "cookie": "c"}
    own = sent(call(headers=given)).headers
    assert (own["anthropic-version"], own["anthropic-beta"]) == ("2024-10-22", "a-2025-01-01,b")
    assert not {"x-other", "cookie"} & set(own)
    chat = sent(call(CHAT_COMPLETIONS, headers=given)).headers
    assert chat["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in chat


def test_version_that_is_no_date_is_replaced() -> None:
    assert sent(call(headers={"anthropic-version": "latest"})).headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("beta", ["a\r\nx-api-key: b", "a;b", "ä", "x" * 1025])
def test_beta_that_cannot_be_one_is_refused(beta: str) -> None:
    with pytest.raises(RequestError) as caught:
        sent(call(headers={"anthropic-beta": beta}))
    assert caught.value.param == "anthropic-beta"


@pytest.mark.parametrize(
    ("header", "name", "value"),
    [("", "x-api-key", "sk"), ("api-key", "api-key", "sk"), ("authorization", "authorization", "Bearer sk")],
)
def test_credential_goes_where_the_rules_say(header: str, name: str, value: str) -> None:
    anthropic = provider(credential_header=header)
    request = anthropic.request(call())
    assert anthropic.authorize(request, "sk").headers == {**request.headers, name: value}
    assert anthropic.authorize(request, "") == request


def test_place_of_processing_is_not_the_clients_to_choose() -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        sent(call(inference_geo="global"))
    assert caught.value.param == "inference_geo"


def test_hosted_tools_need_permission() -> None:
    asked = call(tools=[{"type": "web_search_20250305", "name": "web_search"}])
    with pytest.raises(UnsupportedFieldError) as caught:
        sent(asked)
    assert caught.value.param == "tools[0].type"
    assert sent(asked, hosted_tools=("web_search",))


def test_character_that_cannot_be_forwarded_is_refused() -> None:
    function = {"name": "f", "arguments": '{"a": "\\ud800"}'}
    turn = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]}
    with pytest.raises(RequestError):
        sent(call(CHAT_COMPLETIONS, messages=[turn]))


CALLED = {"name": "f", "arguments": "{}"}
RICH = {
    "model": "alias",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": CALLED}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "Rain"}]},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "stream_options": {"include_usage": True},
    "stop": ["a"],
    "max_tokens": 5,
    "temperature": 0.5,
    "parallel_tool_calls": False,
    "user": "u",
    "n": 1,
    "response_format": {"type": "text"},
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "x"]), inner),
    max_leaves=5,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths(inner, (*path, key))


@given(st.sampled_from(list(paths(RICH))), ANYTHING)
def test_request_with_anything_in_any_place_is_translated_or_refused(path: tuple[Any, ...], anything: Any) -> None:
    body = json.loads(json.dumps(RICH))
    holder = body
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = anything
    assert is_translated_or_refused(Call(CHAT_COMPLETIONS, body, None, "claude-x", False, {}))


def is_translated_or_refused(asked: Call) -> bool:
    try:
        return bool(json.loads(sent(asked).body))
    except SallyportError as error:
        return error.status == 400


def answered(answer: Answer, asked: Call) -> bytes:
    anthropic = provider()
    anthropic.check(answer, asked)
    body = list(anthropic.chunks(answer, asked))
    anthropic.check_start(body[0] if body else b"", answer, asked)
    return b"".join(body)


def test_message_is_translated_and_its_usage_found() -> None:
    asked = call(CHAT_COMPLETIONS)
    text = json.dumps(MESSAGE).encode()
    body = answered(Answer(text[:50], text[50:]), asked)
    read = json.loads(body)
    assert (read["id"], read["created"], read["model"]) == ("chatcmpl-msg_1", 17, "alias")
    (choice,) = read["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", "Hi")
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Köln"}'}
    usage = provider().usage(asked)
    usage.feed(body)
    assert usage.reported == ReportedUsage(11, 3, 4)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"type": "error"}',
        b'{"type": "message"}',
        b'{"type": "message", "content": [{"type": "text"}]}',
        b'{"type": "message", "content": [{"type": "tool_use", "id": 1}]}',
        b"x" * (MAX_ANSWER_BYTES + 1),
    ],
)
def test_what_is_no_message_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponseError):
        answered(Answer(body), call(CHAT_COMPLETIONS))


def test_message_with_surprises_is_translated() -> None:
    surprising = {"type": "message", "id": "a b", "content": [5, {"type": "new"}], "stop_reason": [], "usage": 1}
    read = json.loads(answered(Answer(json.dumps(surprising).encode()), call(CHAT_COMPLETIONS)))
    assert read["id"].startswith("chatcmpl-")
    assert read["choices"][0]["message"]["content"] == ""
    assert "usage" not in read


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


STREAM = (
    event("message_start", message={"id": "m", "usage": {"input_tokens": 2, "output_tokens": 1}})
    + event("content_block_start", index=0, content_block={"type": "text", "text": "Hi"})
    + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5})
    + event("message_stop")
)
OVERLOADED = event("error", error={"type": "overloaded_error", "message": "x"})


@pytest.mark.parametrize(
    ("fields", "ask_usage", "has_usage"),
    [({}, False, False), ({}, True, True), ({"stream_options": {"include_usage": True}}, False, True)],
)
def test_stream_of_a_chat_ends_with_usage_if_anyone_asked(
    fields: dict[str, Any], ask_usage: bool, has_usage: bool
) -> None:
    asked = call(CHAT_COMPLETIONS, stream=True, **fields)._replace(ask_usage=ask_usage)
    body = answered(Answer(STREAM, kind="text/event-stream; charset=utf-8"), asked)
    usage = provider().usage(asked)
    usage.feed(body)
    assert usage.reported == (ReportedUsage(2, 5) if has_usage else None)
    assert b'"usage"' in body or not has_usage


def test_stream_of_messages_passes_byte_for_byte_and_its_usage_is_found() -> None:
    asked = call(stream=True)
    body = answered(Answer(STREAM[:9], STREAM[9:200], STREAM[200:], kind="text/event-stream"), asked)
    assert body == STREAM
    usage = provider().usage(asked)
    usage.feed(body)
    assert usage.reported == ReportedUsage(2, 5)


def test_stream_of_messages_is_passed_on_as_it_arrives() -> None:
    chunks = provider().chunks(Answer(STREAM[:9], STREAM[9:], b": more\n\n"), call(stream=True))
    assert list(chunks) == [STREAM, b": more\n\n"]


@pytest.mark.parametrize("operation", [CHAT_COMPLETIONS, MESSAGES])
@pytest.mark.parametrize("at", [0, 3, 20, len(OVERLOADED)])
def test_stream_that_begins_with_an_error_raises_it(operation: str, at: int) -> None:
    with pytest.raises(UpstreamUnavailableError):
        list(provider().chunks(Answer(OVERLOADED[:at], OVERLOADED[at:]), call(operation, stream=True)))


@pytest.mark.parametrize(
    "stream", [event("error"), event("error", error=5), event("error", error={"type": []}), b"data: 5\n\n"]
)
def test_stream_that_begins_with_an_odd_error_raises_one(stream: bytes) -> None:
    with pytest.raises(UpstreamError):
        list(provider().chunks(Answer(stream), call(stream=True)))


def test_messages_and_counts_pass_byte_for_byte() -> None:
    body = b'{"input_tokens": 9}'
    for operation in (MESSAGES, COUNT_TOKENS):
        assert answered(Answer(body), call(operation)) == body
    usage = provider().usage(call(COUNT_TOKENS))
    usage.feed(body)
    assert usage.reported == ReportedUsage(0, 0)


def error_body(kind: Any, message: Any = "max_tokens: too many") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("invalid_request_error", ("invalid_request_error", "invalid_request_error")),
        ("rate_limit_error", ("rate_limit_error", "rate_limit_error")),
        ("not_found_error", ("invalid_request_error", "not_found_error")),
        ("no kind!", ("invalid_request_error", None)),
        (None, ("invalid_request_error", None)),
    ],
)
def test_refusal_of_a_chat_is_translated(kind: Any, expected: tuple[str, str | None], stream: bool) -> None:
    body = answered(Answer(error_body(kind), status=400), call(CHAT_COMPLETIONS, stream=stream))
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == expected
    assert error["message"] == "max_tokens: too many"


@pytest.mark.parametrize("body", [b"{}", b"", b"[]", b"<html>", error_body("x", 5), b"{" * 100_000])
def test_refusal_that_is_not_anthropics_is_not_shown(body: bytes) -> None:
    with pytest.raises(UpstreamRefusedError) as caught:
        answered(Answer(body, status=422), call(CHAT_COMPLETIONS))
    assert caught.value.status == 422


def test_refusal_of_messages_passes_as_it_is() -> None:
    body = error_body("invalid_request_error")
    assert answered(Answer(body, status=400), call(stream=True)) == body


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(status=401), UpstreamCredentialsError),
        (Answer(status=529), UpstreamUnavailableError),
        (Answer(status=500), UpstreamError),
        (Answer(status=400, kind="text/html"), UpstreamRefusedError),
        (Answer(status=302), UpstreamInvalidResponseError),
        (Answer(kind="text/html"), UpstreamInvalidResponseError),
        (Answer(kind="text/event-stream"), UpstreamInvalidResponseError),
    ],
)
def test_answers_are_judged_by_status_and_kind(answer: Answer, error: type[SallyportError]) -> None:
    with pytest.raises(error):
        provider().check(answer, call(CHAT_COMPLETIONS))


def test_headers_are_returned_by_an_allow_list() -> None:
    answer = Answer(
        request_id="req_1",
        retry_after="2",
        anthropic_organization_id="org",
        anthropic_ratelimit_tokens_limit="5",
        set_cookie="a=b",
    )
    common = {"content-type": "application/json", "retry-after": "2", "x-upstream-request-id": "req_1"}
    assert provider().returned_headers(answer, call(CHAT_COMPLETIONS)) == common
    assert provider().returned_headers(answer, call()) == {**common, "request-id": "req_1"}


def test_a_first_event_that_comes_byte_by_byte_is_not_searched_anew_for_each() -> None:
    begun = time.process_time()
    pieces = [b": ", *[b"x"] * 70_000]
    given = provider().chunks(Answer(*pieces, kind="text/event-stream"), call(stream=True))
    assert b"".join(given) == b"".join(pieces)
    assert time.process_time() - begun < 5  # half a minute otherwise
