"""A route to an upstream, called with events: real upstream, real store, real secrets, all on loopback."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from sallyport.errors import SallyportError
from sallyport.gateway.provider_route import ProviderRoute
from sallyport.policy.limit_rules import Window, counter_id
from sallyport.runtime.streaming import StreamedResponse
from sallyport_cli.policy.documents import read_document
from sallyport_cli.policy.table import PolicyTable
from tests.support.aws import ANCHORS_TABLE, CONFIG_TABLE, COUNTERS_TABLE, LOCAL_AWS, Emulator
from tests.support.events import Context, proxy_event
from tests.support.servers import Peer, Received

CHAT = {"model": "gpt-a", "messages": [{"role": "user", "content": "prompt-secret"}]}
ANSWER = (
    b'{"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"},'
    b' "finish_reason": "stop"}]}'
)
EVENTS = [b'data: {"n": 1}\n\n', b'data: {"n": 2}\n\n', b"data: [DONE]\n\n"]
UPSTREAM_KEY = "sk-upstream-secret"
"""Behind the name `stack/openai` in the emulator's Secrets Manager."""

NOW_S = 1_800_000_000.0
"""What `frozen` clocks say: tests that count don't see a window end."""
KEY = "key#KeyId00000000001"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
TOKENS = counter_id("key-tokens-1m", "tokens", Window(60))
REQUESTS = counter_id("key-requests-1m", "requests", Window(60))


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
        self.wanted_key: str | None = None

    def __call__(self, peer: Peer) -> None:
        while (request := peer.read()) is not None:
            self.received.append(request)
            if self.silent:
                return peer.wait_closed()
            if self.wanted_key and request.headers["authorization"] != f"Bearer {self.wanted_key}":
                peer.answer(401, b"{}", content_type="application/json")
                continue
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
        answered = drain(self.begin(body, context, **options))
        context.finish()
        return answered

    def begin(self, body: Any, context: Context, **options: Any) -> StreamedResponse:
        """Ask, and give the answer before anything of it is read."""
        return self.route(proxy_event("POST", "/v1/chat/completions", body, **options), context)


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


def frozen() -> float:
    return NOW_S


def apply_policy(emulator: Emulator, text: str) -> None:
    """Put a document into force, as `sallyport policy apply` does."""
    document = read_document("version: 1\n" + text, "policy.yaml", local=True)
    PolicyTable(emulator.dynamodb, CONFIG_TABLE).apply(document, by="test", note="")


def counters(emulator: Emulator, member: str) -> dict[str, int]:
    """Give a member's current counts by rule: the name of the counter is that of the rule's."""
    key = {"pk": {"S": f"limit#{member}"}, "sk": {"S": "window"}}
    item = emulator.dynamodb.get_item(TableName=COUNTERS_TABLE, Key=key).get("Item", {})
    return {name[1:]: int(value["N"]) for name, value in item.items() if name[0] == "c" and "N" in value}


def environ(emulator: Emulator, upstream_url: str, **changes: str) -> dict[str, str]:
    return {
        **LOCAL_AWS,
        "AWS_ENDPOINT_URL": emulator.url,
        "SALLYPORT_CONFIG_TABLE": CONFIG_TABLE,
        "SALLYPORT_COUNTERS_TABLE": COUNTERS_TABLE,
        "SALLYPORT_ANCHORS_TABLE": ANCHORS_TABLE,
        "SALLYPORT_SECRET_PREFIX": "stack/upstreams/",
        "SALLYPORT_ALLOWED_REGIONS": "us-east-1",
        "SALLYPORT_UPSTREAM_RETRIES": "0",
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
