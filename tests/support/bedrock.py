"""Bedrock for the tests: answers without a network, and the echo's Bedrock on loopback."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from starlette.applications import Starlette

from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.providers.aws_event_stream import CONTENT_TYPE
from sallyport.providers.bedrock import BedrockProvider
from sallyport.providers.provider import Call
from sallyport.providers.transport import UpstreamRequest
from sallyport_cli.echo.bedrock import routes
from sallyport_cli.echo.faults import Faults
from sallyport_cli.serving import listen, serve

MODEL = "anthropic.claude-3-5-sonnet-20240620-v1:0"
RULES = UpstreamRules("bedrock-fra", "bedrock", "https://bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1")
NOW_S = 1_790_000_000.0


class FakeResponse(NamedTuple):
    """An answer whose header has come."""

    body: tuple[bytes, ...] = (b"{}",)
    status: int = 200
    content_type: str = "application/json"
    more: Mapping[str, str] = {"x-amzn-requestid": "11111111-2222-3333-4444-555555555555"}

    @property
    def headers(self) -> Mapping[str, str]:
        return {"content-type": self.content_type, **self.more}

    def chunks(self) -> Iterator[bytes]:
        return iter(self.body)

    def close(self) -> None:
        """Nothing is held."""


def streamed(*chunks: bytes) -> FakeResponse:
    return FakeResponse(chunks, content_type=CONTENT_TYPE)


def unsigned(request: UpstreamRequest) -> UpstreamRequest:
    return request


def provider(**rules: Any) -> BedrockProvider:
    return BedrockProvider(RULES._replace(**rules), unsigned, lambda: NOW_S)


def chat(stream: bool = False, ask_usage: bool = False, **fields: Any) -> Call:
    body = {"model": "claude", "messages": [{"role": "user", "content": "hello there"}], "stream": stream, **fields}
    return Call("chat_completions", body, None, MODEL, stream, {}, ask_usage)


def messages(stream: bool = False, headers: Mapping[str, str] | None = None, **fields: Any) -> Call:
    asked = [{"role": "user", "content": "hello there"}]
    body = {"model": "claude", "max_tokens": 50, "messages": asked, "stream": stream, **fields}
    return Call("messages", body, None, MODEL, stream, headers or {})


@contextmanager
def echo_bedrock(faults: Faults | None = None) -> Iterator[str]:
    """Serve the echo's Bedrock, and give its URL."""
    listener = listen(0)
    ready = threading.Event()
    stopping: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        stopping.append((asyncio.get_running_loop(), stop))
        await serve(Starlette(routes=routes(faults or Faults(), None)), listener, stop, ready.set)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        assert ready.wait(30)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for loop, stop in stopping:
            loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        listener.close()
