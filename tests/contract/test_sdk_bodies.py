"""Bodies that the real SDKs write pass the routes' schemas, and the rules of hosted tools as they should."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic
from openai import OpenAI

from sallyport.errors import UnsupportedFieldError
from sallyport.providers.hosted_tools import check_hosted_tools
from sallyport.verification.schema import RequestSchema

ROUTES = {
    "/v1/responses": "responses",
    "/v1/chat/completions": "chat_completions",
    "/v1/messages": "messages",
    "/v1/messages/count_tokens": "count_tokens",
}
IMAGE = "iVBORw0KGgo="
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}


def sent(ask: Callable[[OpenAI, Anthropic], object]) -> tuple[str, dict[str, Any]]:
    """Give the route and the body of the one request that `ask` makes."""
    written: list[tuple[str, dict[str, Any]]] = []

    def take(request: httpx2.Request) -> httpx2.Response:
        written.append((ROUTES[request.url.path], json.loads(request.content)))
        return httpx2.Response(400, json={"error": {"message": "taken"}})

    with httpx2.Client(transport=httpx2.MockTransport(take)) as client:
        openai = OpenAI(api_key="k", base_url="http://gateway/v1", http_client=client, max_retries=0)
        anthropic = Anthropic(api_key="k", base_url="http://gateway", http_client=client, max_retries=0)
        with pytest.raises(Exception, match="taken"):
            ask(openai, anthropic)
    return written[0]


CALLS: list[Callable[[OpenAI, Anthropic], object]] = [
    lambda openai, _: openai.responses.create(model="m", input="hello", instructions="Be brief."),
    lambda openai, _: openai.responses.create(model="m", input="hello", stream=True, max_output_tokens=16),
    lambda openai, _: openai.responses.create(
        model="m",
        input=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}", "detail": "low"},
                ],
            },
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        ],
        tools=[{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}],
        reasoning={"effort": "low"},
        text={"format": {"type": "text"}},
        include=["reasoning.encrypted_content"],
        store=False,
    ),
    lambda openai, _: openai.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}]),
    lambda _, anthropic: anthropic.messages.create(
        model="m", max_tokens=5, messages=[{"role": "user", "content": "hello"}], system="Be brief.", stream=True
    ),
    lambda _, anthropic: anthropic.messages.create(
        model="m",
        max_tokens=2048,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
                ],
            },
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}]},
        ],
        tools=[{"name": "weather", "input_schema": SCHEMA}, {"type": "bash_20250124", "name": "bash"}],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 1024},
        stop_sequences=["END"],
        metadata={"user_id": "u"},
    ),
    lambda _, anthropic: anthropic.messages.count_tokens(
        model="m", messages=[{"role": "user", "content": "hello"}], tools=[{"name": "f", "input_schema": SCHEMA}]
    ),
]

HOSTED: list[tuple[Callable[[OpenAI, Anthropic], object], str]] = [
    (lambda openai, _: openai.responses.create(model="m", input="a", tools=[{"type": "web_search"}]), "web_search"),
    (
        lambda openai, _: openai.responses.create(
            model="m",
            input="a",
            tools=[{"type": "mcp", "server_label": "x", "server_url": "https://mcp.example.com"}],
        ),
        "mcp",
    ),
    (
        lambda openai, _: openai.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "a"}], web_search_options={}
        ),
        "web_search",
    ),
    (
        lambda _, anthropic: anthropic.messages.create(
            model="m",
            max_tokens=5,
            messages=[{"role": "user", "content": "a"}],
            tools=[{"type": "web_search_20250305", "name": "web_search"}],
        ),
        "web_search",
    ),
]


@pytest.mark.parametrize("ask", CALLS)
def test_a_body_of_an_sdk_passes(ask: Callable[[OpenAI, Anthropic], object]) -> None:
    route, body = sent(ask)
    RequestSchema.built_in(route).check(body)
    check_hosted_tools(route, body, ())


@pytest.mark.parametrize(("ask", "kind"), HOSTED)
def test_a_hosted_tool_of_an_sdk_passes_if_it_is_named(ask: Callable[[OpenAI, Anthropic], object], kind: str) -> None:
    route, body = sent(ask)
    RequestSchema.built_in(route).check(body)
    with pytest.raises(UnsupportedFieldError):
        check_hosted_tools(route, body, ())
    check_hosted_tools(route, body, (kind,))
