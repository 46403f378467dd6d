"""What goes to an OpenAI-compatible upstream, and what of its answers may come back."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from sallyport.errors import (
    RequestError,
    UnsupportedFieldError,
    UpstreamCredentialsError,
    UpstreamError,
    UpstreamInvalidResponseError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.providers.openai import OpenAiProvider
from sallyport.providers.openai_responses import ResponsesStreamUsage
from sallyport.providers.provider import SERVED, Call, Provider
from sallyport.providers.usage import BodyUsage, StreamUsage
from tests.support.operations import ANY_BODY, EVERY, is_made

RULES = UpstreamRules("openai-eu", "openai", "https://eu.api.openai.com/v1/", "eu-west-1")
CHAT = {"model": "gpt-a", "messages": [{"role": "user", "content": "hällo"}]}
RESPONSE = {"model": "gpt-a", "input": "hello", "store": False}


class FakeResponse(NamedTuple):
    """An answer whose header has come."""

    status: int = 200
    content_type: str = "application/json"
    more: Mapping[str, str] = {}

    @property
    def headers(self) -> Mapping[str, str]:
        return {"content-type": self.content_type, **self.more}

    def chunks(self) -> Iterator[bytes]:
        return iter([b"{", b"}"])

    def close(self) -> None:
        """Nothing is held."""


def provider(**rules: Any) -> Provider:
    return OpenAiProvider(RULES._replace(**rules))


def call(body: Mapping[str, Any], operation: str = "chat_completions", **fields: Any) -> Call:
    raw = json.dumps(body, indent=1).encode()
    return Call(operation, body, **{"raw": raw, "model": body["model"], "stream": False, "headers": {}, **fields})


def sent(asked: Call, **rules: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(provider(**rules).request(asked).body)
    return body


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("chat_completions", "/v1/chat/completions"),
        ("responses", "/v1/responses"),
        ("embeddings", "/v1/embeddings"),
    ],
)
def test_each_operation_has_its_path(operation: str, path: str) -> None:
    request = provider().request(call(RESPONSE, operation))
    assert (request.method, request.target, request.headers["host"]) == ("POST", path, "eu.api.openai.com")


def test_requests_are_made_of_its_own_operations_alone() -> None:
    made = {name for name in EVERY if is_made(provider(), call(RESPONSE, name)._replace(body=ANY_BODY))}
    assert made == SERVED["openai"]


@pytest.mark.parametrize("operation", ["chat_completions", "responses", "embeddings"])
def test_a_body_that_nothing_is_changed_of_keeps_its_bytes(operation: str) -> None:
    asked = call(RESPONSE, operation)
    assert provider().request(asked).body == asked.raw


def test_an_alias_is_replaced_by_the_model_s_name_there() -> None:
    assert provider().request(call(CHAT, model="gpt-4o")).body == (
        '{"model":"gpt-4o","messages":[{"role":"user","content":"hällo"}]}'.encode()
    )


def test_a_body_that_was_changed_before_is_serialised() -> None:
    assert sent(call({**CHAT, "max_completion_tokens": 5}, raw=None))["max_completion_tokens"] == 5


def test_a_stream_s_usage_is_asked_for_where_the_client_did_not() -> None:
    body = {**CHAT, "stream": True, "stream_options": {"x": 1}}
    assert sent(call(body, stream=True, ask_usage=True))["stream_options"] == {"x": 1, "include_usage": True}
    assert "stream_options" not in sent(call({**RESPONSE, "stream": True}, "responses", stream=True, ask_usage=True))


@pytest.mark.parametrize(
    ("operation", "store", "expected"),
    [
        ("responses", {}, False),
        ("responses", {"store": None}, False),
        ("responses", {"store": True}, False),
        ("responses", {"store": 0}, False),
        ("chat_completions", {"store": True}, False),
        ("chat_completions", {"store": None}, None),
        ("chat_completions", {}, "absent"),
        ("embeddings", {}, "absent"),
    ],
)
def test_nothing_is_kept_there_unless_the_rules_permit_it(operation: str, store: dict[str, Any], expected: Any) -> None:
    asked = call({"model": "gpt-a", "input": "a", **store}, operation)
    assert sent(asked).get("store", "absent") is expected
    assert provider(store=True).request(asked).body == asked.raw


@pytest.mark.parametrize(
    ("operation", "fields", "param"),
    [
        ("responses", {"background": True}, "background"),
        ("responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
        ("responses", {"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ("chat_completions", {"web_search_options": {}}, "web_search_options"),
    ],
)
def test_what_is_not_permitted_there_is_refused(operation: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        provider().request(call({**RESPONSE, **fields}, operation))
    assert caught.value.param == param


def test_named_hosted_tools_pass() -> None:
    asked = call({**RESPONSE, "tools": [{"type": "web_search"}]}, "responses")
    assert provider(hosted_tools=("web_search",)).request(asked).body == asked.raw


def test_only_listed_headers_go_upstream() -> None:
    headers = {"idempotency-key": "k", "authorization": "Bearer sp_x", "cookie": "c", "x-forwarded-for": "1.2.3.4"}
    request = provider().request(call(CHAT, headers=headers))
    assert dict(request.headers) == {
        "idempotency-key": "k",
        "host": "eu.api.openai.com",
        "user-agent": "sallyport",
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "identity",
    }
    assert provider().request(call(CHAT, stream=True)).headers["accept"] == "text/event-stream"


def test_a_header_that_can_not_be_forwarded_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        provider().request(call(CHAT, headers={"openai-beta": "a\r\nhost: b"}))
    assert caught.value.param == "openai-beta"


@pytest.mark.parametrize(
    ("header", "name", "value"),
    [
        ("", "authorization", "Bearer s3"),
        ("authorization", "authorization", "Bearer s3"),
        ("api-key", "api-key", "s3"),
        ("x-api-key", "x-api-key", "s3"),
    ],
)
def test_the_credential_goes_where_the_rules_say(header: str, name: str, value: str) -> None:
    speaker = provider(credential_header=header)
    request = speaker.request(call(CHAT))
    assert name not in request.headers
    assert speaker.authorize(request, "s3").headers == {**request.headers, name: value}
    assert speaker.authorize(request, "") == request


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (FakeResponse(401), UpstreamCredentialsError),
        (FakeResponse(407), UpstreamCredentialsError),
        (FakeResponse(400, "text/html"), UpstreamRefusedError),
        (FakeResponse(429, more={"content-encoding": "gzip"}), UpstreamRefusedError),
        (FakeResponse(500), UpstreamError),
        (FakeResponse(503), UpstreamUnavailableError),
        (FakeResponse(529), UpstreamUnavailableError),
        (FakeResponse(302), UpstreamInvalidResponseError),
        (FakeResponse(200, "text/html"), UpstreamInvalidResponseError),
        (FakeResponse(200, "text/event-stream"), UpstreamInvalidResponseError),
        (FakeResponse(200, more={"content-encoding": "br"}), UpstreamInvalidResponseError),
    ],
)
def test_an_answer_that_may_not_be_passed_on_is_an_error(response: FakeResponse, error: type[UpstreamError]) -> None:
    with pytest.raises(error):
        provider().check(response, call(CHAT))


@pytest.mark.parametrize("response", [FakeResponse(), FakeResponse(404), FakeResponse(429), FakeResponse(201)])
def test_a_success_and_a_refusal_in_json_pass(response: FakeResponse) -> None:
    provider().check(response, call(CHAT))
    provider().check_start(b'{"', response, call(CHAT))
    assert list(provider().chunks(response, call(CHAT))) == [b"{", b"}"]


@pytest.mark.parametrize(
    ("start", "stream", "is_good"),
    [
        (b"{", False, True),
        (b"<html>", False, False),
        (b"", False, False),
        (b"data: {", True, True),
        (b"da", True, True),
        (b": note", True, True),
        (b"\xef\xbb\xbfevent: x", True, True),
        (b"{", True, False),
        (b"", True, False),
    ],
)
def test_first_bytes_tell_what_an_answer_is(start: bytes, stream: bool, is_good: bool) -> None:
    response = FakeResponse(200, "text/event-stream" if stream else "application/json")
    try:
        provider().check_start(start, response, call(CHAT, stream=stream))
    except UpstreamInvalidResponseError:
        assert not is_good
    else:
        assert is_good


def test_usage_is_read_in_the_operation_s_way() -> None:
    assert type(provider().usage(call(CHAT))) is BodyUsage
    assert type(provider().usage(call(CHAT, stream=True))) is StreamUsage
    assert type(provider().usage(call(RESPONSE, "responses", stream=True))) is ResponsesStreamUsage
    reader = provider().usage(call(RESPONSE, "responses"))
    reader.feed(b'{"usage":{"input_tokens":3,"output_tokens":4}}')
    assert reader.reported == (3, 4, 0)


def test_only_listed_headers_come_back() -> None:
    more = {"x-request-id": "u1", "set-cookie": "a=b", "openai-organization": "acme", "retry-after": "", "server": "x"}
    long = {"openai-model": "m" * 2000, "openai-version": "2020-10-01"}
    assert provider().returned_headers(FakeResponse(more={**more, **long}), call(CHAT)) == {
        "content-type": "application/json",
        "x-upstream-request-id": "u1",
        "openai-version": "2020-10-01",
    }
