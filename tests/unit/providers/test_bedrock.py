"""What goes to Bedrock, and how its answers' heads are judged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import (
    ModelNotFoundError,
    RequestError,
    SallyportError,
    UnsupportedFieldError,
    UpstreamCredentialsError,
    UpstreamError,
    UpstreamInvalidResponseError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from sallyport.providers.anthropic_usage import AnthropicBodyUsage, AnthropicStreamUsage
from sallyport.providers.aws_event_stream import CONTENT_TYPE
from sallyport.providers.bedrock import BedrockProvider
from sallyport.providers.provider import SERVED, Call, Provider
from sallyport.providers.transport import UpstreamRequest
from sallyport.providers.usage import BodyUsage, StreamUsage
from tests.support.bedrock import RULES, FakeResponse, chat, messages, provider
from tests.support.operations import ANY_BODY, EVERY, is_made

TOOLS = [{"type": "function", "function": {"name": "look"}}]
HELLO = {"role": "user", "content": [{"text": "hello there"}]}


def sent(call: Call, **rules: Any) -> Any:
    return json.loads(provider(**rules).request(call).body)


def test_bedrock_is_a_provider_of_chats_and_messages() -> None:
    asked: Provider = provider()
    made = {name for name in EVERY if is_made(asked, chat()._replace(operation=name, body=ANY_BODY))}
    assert made == SERVED["bedrock"]


@pytest.mark.parametrize(
    ("call", "action"),
    [
        (chat(), "converse"),
        (chat(stream=True), "converse-stream"),
        (messages(), "invoke"),
        (messages(stream=True), "invoke-with-response-stream"),
    ],
)
def test_a_request_goes_to_its_models_action(call: Call, action: str) -> None:
    request = provider().request(call)
    assert request.method == "POST"
    assert request.target == f"/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/{action}"
    assert request.headers["host"] == "bedrock-runtime.eu-central-1.amazonaws.com"
    assert request.headers["accept"] == (CONTENT_TYPE if call.stream else "application/json")
    assert "authorization" not in request.headers


@pytest.mark.parametrize("model", ["", "../x", ".", "a b", "a?b", "a%2fb", "ä", "a\n", "x" * 2049])
def test_what_cannot_be_a_models_id_makes_no_path(model: str) -> None:
    with pytest.raises(ModelNotFoundError):
        provider().request(chat()._replace(model=model))


def test_a_request_is_signed_right_before_it_is_sent() -> None:
    def sign(request: UpstreamRequest) -> UpstreamRequest:
        return request._replace(headers={**request.headers, "authorization": "signed"})

    signing = BedrockProvider(RULES, sign)
    assert signing.authorize(signing.request(chat()), "ignored").headers["authorization"] == "signed"


def test_a_plain_chat_is_a_converse_request() -> None:
    assert sent(chat()) == {"messages": [HELLO]}


def test_no_more_of_the_inference_is_set_than_was_asked() -> None:
    body = sent(chat(max_completion_tokens=9, temperature=0, stop="END", n=1, store=False))
    assert body == {
        "messages": [HELLO],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0, "stopSequences": ["END"]},
    }


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (None, None),
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "look"}}, {"tool": {"name": "look"}}),
    ],
)
def test_a_tool_choice_has_its_counterpart(choice: Any, written: Any) -> None:
    config = sent(chat(tools=TOOLS, tool_choice=choice))["toolConfig"]
    assert config.get("toolChoice") == written
    schema = {"type": "object", "properties": {}}
    assert config["tools"] == [{"toolSpec": {"name": "look", "inputSchema": {"json": schema}}}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": TOOLS, "tool_choice": "none"}, "tool_choice"),
        ({"tools": TOOLS, "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"temperature": 1.5}, "temperature"),
        ({"n": 2}, "n"),
        ({"seed": 1}, "seed"),
        ({"user": "d\u00e9j\u00e0"}, "user"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"web_search_options": {}}, "web_search_options"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
    ],
)
def test_what_converse_has_no_counterpart_for_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedFieldError) as refused:
        provider().request(chat(**fields))
    assert refused.value.param == param


def test_an_end_user_is_named_in_the_requests_metadata() -> None:
    assert sent(chat(user="user-7"))["requestMetadata"] == {"user": "user-7"}


def test_choices_without_tools_say_nothing() -> None:
    assert sent(chat(tool_choice="none", parallel_tool_calls=False)) == {"messages": [HELLO]}


@pytest.mark.parametrize(
    "arguments", ['{"a":"\\ud800"}', '{"a":' * 100_000 + "1" + "}" * 100_000], ids=["half", "deep"]
)
def test_arguments_that_cannot_be_written_are_the_requests_fault(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": arguments}}
    with pytest.raises(RequestError):
        provider().request(chat(messages=[{"role": "assistant", "tool_calls": [call]}]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["messages", "tools", "tool_choice", "stop", "max_tokens", "temperature", "stream_options"])


@given(st.dictionaries(FIELDS, JSON, max_size=4))
def test_any_chat_is_sent_or_refused(fields: dict[str, Any]) -> None:
    try:
        provider().request(chat(**fields))
    except SallyportError:
        return


def test_a_messages_request_is_anthropics_but_for_its_wrapping() -> None:
    body = sent(messages(stream=True, system="Be brief.", thinking={"type": "disabled"}))
    assert body == {
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "hello there"}],
        "system": "Be brief.",
        "thinking": {"type": "disabled"},
        "anthropic_version": "bedrock-2023-05-31",
    }


def test_a_messages_requests_own_version_does_not_count() -> None:
    assert sent(messages(anthropic_version="x"))["anthropic_version"] == "bedrock-2023-05-31"


def test_betas_move_into_the_body() -> None:
    body = sent(messages(headers={"anthropic-beta": "context-1m-2025-08-07, other-2025-01-01,"}))
    assert body["anthropic_beta"] == ["context-1m-2025-08-07", "other-2025-01-01"]


@pytest.mark.parametrize("header", ["a b", "a,ä", 'a"b', "x" * 65, ",".join(["a"] * 33)])
def test_betas_that_can_be_none_are_refused(header: str) -> None:
    with pytest.raises(RequestError):
        provider().request(messages(headers={"anthropic-beta": header}))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"inference_geo": "global"}, "inference_geo"),
        ({"mcp_servers": [{"type": "url", "url": "https://a.b"}]}, "mcp_servers"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
    ],
)
def test_what_would_carry_messages_elsewhere_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedFieldError) as refused:
        provider().request(messages(**fields))
    assert refused.value.param == param


def test_a_hosted_tool_passes_where_the_upstream_may_run_it() -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    assert sent(messages(tools=tools), hosted_tools=("web_search",))["tools"] == tools


@pytest.mark.parametrize(
    ("status", "name", "expected"),
    [
        (401, "", UpstreamCredentialsError),
        (403, "AccessDeniedException", UpstreamCredentialsError),
        (403, "", UpstreamCredentialsError),
        (400, "ExpiredTokenException", UpstreamCredentialsError),
        (400, "com.amazon#IncompleteSignatureException:http://internal.amazon.com/", UpstreamCredentialsError),
        (400, "ServiceQuotaExceededException", UpstreamUnavailableError),
        (408, "ModelTimeoutException", UpstreamTimeoutError),
        (424, "ModelErrorException", UpstreamError),
        (500, "InternalServerException", UpstreamError),
        (503, "ServiceUnavailableException", UpstreamUnavailableError),
        (302, "", UpstreamInvalidResponseError),
    ],
)
def test_failures_are_told_apart(status: int, name: str, expected: type[UpstreamError]) -> None:
    with pytest.raises(UpstreamError) as failed:
        provider().check(FakeResponse(status=status, more={"x-amzn-errortype": name}), chat())
    assert type(failed.value) is expected


@pytest.mark.parametrize(("status", "name"), [(400, "ValidationException"), (404, "x"), (429, "ThrottlingException")])
def test_a_refusal_of_the_request_may_be_shown(status: int, name: str) -> None:
    provider().check(FakeResponse(status=status, more={"x-amzn-errortype": name}), chat(stream=True))


def test_a_refusal_that_is_no_json_is_not_shown() -> None:
    with pytest.raises(UpstreamRefusedError):
        provider().check(FakeResponse(status=400, content_type="text/html"), chat())


@pytest.mark.parametrize(
    ("call", "content_type"),
    [(chat(), CONTENT_TYPE), (chat(stream=True), "application/json"), (messages(stream=True), "text/event-stream")],
)
def test_a_success_of_another_kind_is_no_answer(call: Call, content_type: str) -> None:
    with pytest.raises(UpstreamInvalidResponseError):
        provider().check(FakeResponse(content_type=content_type), call)


def test_the_client_gets_its_own_routes_headers() -> None:
    answer = FakeResponse(content_type=CONTENT_TYPE, more={"x-amzn-requestid": "abc", "x-amzn-bedrock-x": "y"})
    chat_headers = provider().returned_headers(answer, chat(stream=True))
    assert chat_headers == {"content-type": "text/event-stream", "x-upstream-request-id": "abc"}
    assert provider().returned_headers(answer, messages()) == {
        "content-type": "application/json",
        "x-upstream-request-id": "abc",
        "request-id": "abc",
    }
    refusal = answer._replace(status=429, more={"retry-after": "2"})
    assert provider().returned_headers(refusal, chat(stream=True)) == {
        "content-type": "application/json",
        "retry-after": "2",
    }


def test_usage_is_read_in_the_routes_own_api() -> None:
    readers = [provider().usage(call) for call in (chat(), chat(True), messages(), messages(True))]
    assert list(map(type, readers)) == [BodyUsage, StreamUsage, AnthropicBodyUsage, AnthropicStreamUsage]
