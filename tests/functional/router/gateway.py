"""A route to an upstream, called with events: real upstream, real store, real secrets, all on loopback."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from sallyport.errors import SallyportError
from sallyport.gateway.provider_route import ProviderRoute
from sallyport.runtime.streaming import StreamedResponse
from tests.support.aws import COUNTERS_TABLE, LOCAL_AWS, Emulator
from tests.support.events import Context, proxy_event
from tests.support.servers import Peer, Received

CHAT = {"model": "gpt-a", "messages": [{"role": "user", "content": "prompt-secret"}]}
ANSWER = b'{"id": "chatcmpl-1", "choices": []}'
EVENTS = [b'data: {"n": 1}\n\n', b'data: {"n": 2}\n\n', b"data: [DONE]\n\n"]
UPSTREAM_KEY = "sk-upstream-secret"
"""Behind the name `stack/openai` in the emulator's Secrets Manager."""


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    broke_off: bool
    in_band: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


class Upstream:
    """An OpenAI-compatible upstream that answers as the test says."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 200
        self.body = ANSWER
        self.headers = {"content_type": "application/json", "x_request_id": "req_upstream"}
        self.chunks: list[bytes] | None = None
        self.cut = False
        self.silent = False

    def __call__(self, peer: Peer) -> None:
        while (request := peer.read()) is not None:
            self.received.append(request)
            if self.silent:
                return peer.wait_closed()
            if self.chunks is None:
                peer.answer(self.status, self.body, **self.headers)
                continue
            peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n")
            for chunk in self.chunks:
                peer.chunk(chunk)
            if self.cut:
                return None
            peer.chunk(b"")
        return None


type MakeGateway = Callable[..., Gateway]


class Gateway:
    """The chat function, called with events."""

    def __init__(self, route: ProviderRoute, upstream: Upstream) -> None:
        self.route = route
        self.upstream = upstream

    def post(self, body: Any, context: Context | None = None, **options: Any) -> Answered:
        context = context or Context()
        answered = drain(self.route(proxy_event("POST", "/v1/chat/completions", body, **options), context))
        context.finish()
        return answered


def drain(response: StreamedResponse) -> Answered:
    body, broke_off, in_band = b"", False, b""
    try:
        for chunk in response.body:
            body += chunk
    except SallyportError as caught:
        broke_off = True
        in_band = response.error_event(caught) if response.error_event else b""
    finally:
        getattr(response.body, "close", lambda: None)()
    return Answered(response.status, dict(response.headers), body, broke_off, in_band)


def environ(emulator: Emulator, upstream_url: str, **changes: str) -> dict[str, str]:
    return {
        **LOCAL_AWS,
        "AWS_ENDPOINT_URL": emulator.url,
        "SALLYPORT_COUNTERS_TABLE": COUNTERS_TABLE,
        "SALLYPORT_REQUESTS_PER_MINUTE": "1000",
        "SALLYPORT_UPSTREAM_BASE_URL": upstream_url + "/v1",
        "SALLYPORT_UPSTREAM_REGION": "us-east-1",
        "SALLYPORT_UPSTREAM_SECRET": "stack/openai",
        "SALLYPORT_UPSTREAM_CONNECT_TIMEOUT_S": "1",
        "SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S": "20",
        "SALLYPORT_MODELS": "",
        "SALLYPORT_LOG_LEVEL": "INFO",
        **changes,
    }
