"""The chat route: event in, streamed response out, with a real upstream and a real store on loopback."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from sallyport.errors import SallyportError
from sallyport.gateway.assembly.provider_route import provider_route
from sallyport.gateway.provider_route import CHAT_COMPLETIONS, ProviderRoute
from sallyport.runtime.streaming import StreamedResponse
from tests.support.aws import COUNTERS_TABLE, LOCAL_AWS, Emulator
from tests.support.events import ACME, Context, proxy_event
from tests.support.servers import Peer, Received, ScriptedServer, refused_url

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


class Gateway:
    """The chat function, called with events."""

    def __init__(self, route: ProviderRoute, upstream: Upstream) -> None:
        self._route = route
        self.upstream = upstream

    def post(self, body: Any, context: Context | None = None, **options: Any) -> Answered:
        context = context or Context()
        answered = _drain(self._route(proxy_event("POST", "/v1/chat/completions", body, **options), context))
        context.finish()
        return answered


def _drain(response: StreamedResponse) -> Answered:
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
        "SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S": "0.3",
        "SALLYPORT_MODELS": "",
        "SALLYPORT_LOG_LEVEL": "INFO",
        **changes,
    }


@pytest.fixture(scope="session")
def upstream_secret(emulator: Emulator) -> str:
    emulator.secrets.create_secret(Name="stack/openai", SecretString=UPSTREAM_KEY)
    return UPSTREAM_KEY


@pytest.fixture
def store(emulator: Emulator, upstream_secret: str) -> Emulator:
    emulator.empty_tables()
    return emulator


@pytest.fixture
def make(store: Emulator) -> Iterator[Any]:
    upstream = Upstream()
    with ScriptedServer(upstream) as server:

        def start(**changes: str) -> Gateway:
            return Gateway(provider_route(CHAT_COMPLETIONS)(environ(store, server.url, **changes)), upstream)

        yield start


@pytest.fixture
def gateway(make: Any) -> Gateway:
    started: Gateway = make()
    return started


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
    line = json.loads(capsys.readouterr().out)
    assert (line["code"], line["complete"]) == ("upstream_interrupted", False)


def test_half_an_event_is_dropped_when_the_stream_is_cut(gateway: Gateway) -> None:
    gateway.upstream.chunks, gateway.upstream.cut = [EVENTS[0], b'data: {"n": '], True
    answered = gateway.post({**CHAT, "stream": True})
    assert answered.body == EVENTS[0]
    assert json.loads(answered.in_band.removeprefix(b"data: "))["error"]["code"] == "upstream_interrupted"


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"headers": {"Content-Type": "application/json; charset=latin-1"}}, 415, "unsupported_media_type"),
        ({"headers": {"Content-Encoding": "gzip"}}, 415, "unsupported_media_type"),
        ({"headers": {"Idempotency-Key": "ключ"}}, 400, "invalid_request"),
        ({"headers": {"Content-Type": "application/json", "OpenAI-Beta": "a\r\nx: 1"}}, 400, "invalid_request"),
        ({"principal": ACME._replace(scopes=("models",))}, 403, "insufficient_scope"),
        ({"principal": ACME._replace(models=("gpt-z",))}, 403, "model_not_allowed"),
        ({"principal": ACME._replace(residency=("eu-central-1",))}, 403, "residency_violation"),
        ({"principal": ACME._replace(residency=())}, 403, "residency_violation"),
        ({"principal": None}, 500, "internal_error"),
    ],
)
def test_a_request_that_may_not_pass_is_refused(
    gateway: Gateway, store: Emulator, options: dict[str, Any], status: int, code: str
) -> None:
    answered = gateway.post(CHAT, **options)
    assert (answered.status, answered.code) == (status, code)
    assert answered.headers["x-request-id"]
    assert gateway.upstream.received == []
    assert store.dynamodb.scan(TableName=COUNTERS_TABLE)["Count"] == 0  # nothing was charged


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ("", 400, "invalid_json", None),
        ("{", 400, "invalid_json", None),
        ('{"model": "a", "model": "b"}', 400, "invalid_json", None),
        ("[]", 400, "invalid_request", None),
        ({"messages": []}, 400, "invalid_request", "model"),
        ({**CHAT, "temperature": 3}, 400, "invalid_request", "temperature"),
        ("x" * (5 * 1024 * 1024 + 1), 413, "request_too_large", None),
        ("é" * (3 * 1024 * 1024), 413, "request_too_large", None),
    ],
)
def test_a_bad_body_is_refused_by_name(
    gateway: Gateway, store: Emulator, body: Any, status: int, code: str, param: str | None
) -> None:
    answered = gateway.post(body)
    assert (answered.status, answered.code) == (status, code)
    assert json.loads(answered.body)["error"]["param"] == param
    assert gateway.upstream.received == []
    assert store.dynamodb.scan(TableName=COUNTERS_TABLE)["Count"] == 0


def test_a_model_outside_the_configured_ones_does_not_exist(make: Any) -> None:
    gateway = make(SALLYPORT_MODELS="gpt-b,gpt-c")
    answered = gateway.post(CHAT)
    assert (answered.status, answered.code) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("upstream_status", "content_type", "status", "code"),
    [
        (200, "text/html", 502, "upstream_invalid_response"),
        (200, "text/event-stream", 502, "upstream_invalid_response"),
        (302, "application/json", 502, "upstream_invalid_response"),
        (401, "application/json", 502, "upstream_credentials_rejected"),
        (404, "text/html", 404, "upstream_refused"),
        (500, "application/json", 502, "upstream_error"),
        (503, "application/json", 503, "upstream_unavailable"),
        (529, "text/html", 503, "upstream_unavailable"),
    ],
)
def test_an_upstreams_failure_is_told_in_the_routes_shape(
    gateway: Gateway, upstream_status: int, content_type: str, status: int, code: str
) -> None:
    gateway.upstream.status = upstream_status
    gateway.upstream.headers["content_type"] = content_type
    answered = gateway.post(CHAT)
    assert (answered.status, answered.code) == (status, code)


@pytest.mark.parametrize("status", [400, 403, 404, 422, 429])
def test_an_upstreams_refusal_in_json_passes_through(gateway: Gateway, status: int) -> None:
    gateway.upstream.status, gateway.upstream.body = status, b'{"error": {"message": "as the upstream says"}}'
    gateway.upstream.headers["retry_after"] = "7"
    answered = gateway.post(CHAT)
    assert (answered.status, answered.body) == (status, gateway.upstream.body)
    assert answered.headers["retry-after"] == "7"


@pytest.mark.parametrize("body", [b"", b"  ", b"garbage", b"[1]", b"\xff\xfe"])
def test_a_body_that_is_no_json_object_is_invalid(gateway: Gateway, body: bytes) -> None:
    gateway.upstream.body = body
    assert gateway.post(CHAT).code == "upstream_invalid_response"


def test_a_refusal_that_only_claims_to_be_json_is_not_shown(gateway: Gateway) -> None:
    gateway.upstream.status, gateway.upstream.body = 400, b"<html>internal</html>"
    answered = gateway.post(CHAT)
    assert (answered.status, answered.code) == (400, "upstream_refused")


@pytest.mark.parametrize("chunks", [[], [b"garbage\n\n"], [b'{"id": 1}'], [b"\x00" * 100]])
def test_a_stream_that_is_no_event_stream_is_invalid(gateway: Gateway, chunks: list[bytes]) -> None:
    gateway.upstream.chunks = chunks
    assert gateway.post({**CHAT, "stream": True}).code == "upstream_invalid_response"


@pytest.mark.parametrize(
    "start", [b"\xef\xbb\xbfdata: 1\n\n", b": hello\n\n", b"\n\ndata: 1\n\n", b"data\n\n", b"retry: 5\n\n"]
)
def test_an_event_stream_may_begin_in_any_way_that_the_standard_has(gateway: Gateway, start: bytes) -> None:
    gateway.upstream.chunks = [start, b"data: [DONE]\n\n"]
    assert gateway.post({**CHAT, "stream": True}).body == start + b"data: [DONE]\n\n"


def test_a_compressed_answer_is_invalid(gateway: Gateway) -> None:
    gateway.upstream.headers["content_encoding"] = "gzip"
    assert gateway.post(CHAT).code == "upstream_invalid_response"


def test_an_upstream_that_is_down_is_502(make: Any) -> None:
    answered = make(SALLYPORT_UPSTREAM_BASE_URL=refused_url()).post(CHAT)
    assert (answered.status, answered.code) == (502, "upstream_unreachable")


def test_an_upstream_that_is_silent_is_504(gateway: Gateway) -> None:
    gateway.upstream.silent = True
    answered = gateway.post(CHAT)
    assert (answered.status, answered.code) == (504, "upstream_timeout")


def test_a_function_out_of_time_does_not_call_upstream(gateway: Gateway) -> None:
    answered = gateway.post(CHAT, Context(remaining_ms=1_900))
    assert (answered.status, answered.code) == (504, "gateway_timeout")
    assert gateway.upstream.received == []


def test_the_limit_admits_its_number_and_says_when_to_come_back(make: Any) -> None:
    gateway = make(SALLYPORT_REQUESTS_PER_MINUTE="2")
    answers = [gateway.post(CHAT) for _ in range(3)]
    assert [answered.status for answered in answers] == [200, 200, 429]
    assert [answered.headers["x-ratelimit-remaining-requests"] for answered in answers] == ["1", "0", "0"]
    assert answers[2].code == "rate_limit_exceeded"
    assert int(answers[2].headers["retry-after"]) >= 1
    assert answers[0].headers["ratelimit-policy"] == '"key-requests_60";q=2;w=60'
    assert "x-should-retry" not in answers[2].headers
    assert len(gateway.upstream.received) == 2


def test_a_key_s_own_limit_beats_the_default(gateway: Gateway) -> None:
    strict = ACME._replace(requests_per_minute=1)
    assert [gateway.post(CHAT, principal=strict).status for _ in range(2)] == [200, 429]


def test_a_jwt_s_subject_is_limited_by_tenant_and_subject(make: Any) -> None:
    gateway = make(SALLYPORT_REQUESTS_PER_MINUTE="1")
    alice = ACME._replace(method="jwt", key_id="", subject="alice")
    assert [gateway.post(CHAT, principal=alice).status for _ in range(2)] == [200, 429]
    assert gateway.post(CHAT, principal=alice._replace(tenant="other")).status == 200


def test_a_store_that_is_down_falls_back_to_memory_and_says_so(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = make(
        SALLYPORT_REQUESTS_PER_MINUTE="1", AWS_ENDPOINT_URL_DYNAMODB=refused_url(), SALLYPORT_UPSTREAM_SECRET=""
    )
    assert [gateway.post(CHAT).status for _ in range(2)] == [200, 429]
    assert '"LimitStoreFailure": 1' in capsys.readouterr().out


def test_a_secret_that_cannot_be_read_is_503_and_charges_nothing(make: Any, store: Emulator) -> None:
    answered = make(SALLYPORT_UPSTREAM_SECRET="stack/missing").post(CHAT)
    assert (answered.status, answered.code) == (503, "upstream_secret_unavailable")
    assert store.dynamodb.scan(TableName=COUNTERS_TABLE)["Count"] == 0


def test_a_credential_that_the_upstream_refuses_is_read_anew(make: Any, store: Emulator) -> None:
    store.secrets.create_secret(Name="stack/rotated", SecretString="sk-old")
    gateway = make(SALLYPORT_UPSTREAM_SECRET="stack/rotated")
    store.secrets.put_secret_value(SecretId="stack/rotated", SecretString="sk-new")
    gateway.upstream.status = 401
    assert gateway.post(CHAT).code == "upstream_credentials_rejected"
    gateway.upstream.status = 200
    assert gateway.post(CHAT).status == 200
    sent = [request.headers["authorization"] for request in gateway.upstream.received]
    assert sent == ["Bearer sk-old", "Bearer sk-new"]


def test_a_text_that_names_no_model_does_not_reach_the_log(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.post({**CHAT, "model": "tell me a secret"})
    assert "secret" not in capsys.readouterr().out


@pytest.mark.parametrize("value", ["x" * 2000, "caf\u00e9"])
def test_an_upstreams_header_that_could_spoil_the_answer_is_left_out(gateway: Gateway, value: str) -> None:
    gateway.upstream.headers["openai_model"] = value
    answered = gateway.post(CHAT)
    assert answered.status == 200
    assert "openai-model" not in answered.headers


def test_one_line_is_logged_without_content_or_secrets(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.post(CHAT, headers={"Authorization": "Bearer sp_client-secret"})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    line = json.loads(lines[0])
    assert (line["message"], line["status"], line["tenant"], line["model"]) == ("request", 200, "acme", "gpt-a")
    assert (line["bytes_out"], line["complete"]) == (len(ANSWER), True)
    assert "secret" not in lines[0]


def test_a_broken_event_is_a_500_in_the_routes_shape(gateway: Gateway) -> None:
    answered = _drain(gateway._route({"requestContext": {"requestId": "r"}}, Context()))
    assert (answered.status, answered.code) == (500, "internal_error")
