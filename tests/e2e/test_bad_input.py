"""What is wrong with a request, over raw HTTP: each refusal's status, code, shape and request id."""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.support.local_stack import LocalStack
from tests.support.servers import Peer, ScriptedServer, refused_url

pytestmark = pytest.mark.e2e

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])


def call(
    stack: LocalStack, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=30)
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {stack.key}", **(headers or {})})
        response = connection.getresponse()
        raw = response.read()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, json.loads(raw))
    finally:
        connection.close()


def post(stack: LocalStack, body: bytes, **headers: str) -> Answer:
    return call(stack, "POST", "/v1/chat/completions", body, {**JSON, **headers})


def expect(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code)
    assert answer.body["error"]["message"]
    assert answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/chat", "/v1/chat/completions/x", "/v2/models", "/%2e%2e/etc"])
def test_an_unknown_route_is_404(stack: LocalStack, path: str) -> None:
    expect(call(stack, "GET", path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("DELETE", "/v1/embeddings"),
        ("POST", "/v1/models"),
        ("PUT", "/v1/models/gpt-a"),
        ("POST", "/healthz"),
    ],
)
def test_a_wrong_method_is_405(stack: LocalStack, method: str, path: str) -> None:
    answer = call(stack, method, path)
    expect(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] in {"GET", "POST"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/nowhere"])
def test_without_a_credential_every_route_is_401(stack: LocalStack, path: str) -> None:
    answer = call(stack, "POST", path, b"{}", {"Authorization": ""})
    expect(answer, 401, "invalid_credentials")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer a b", "sp_x", "Bearer sp_x", "Bearer e30.e30.e30"]
)
def test_a_malformed_authorization_is_401(stack: LocalStack, header: str) -> None:
    expect(call(stack, "GET", "/v1/models", None, {"Authorization": header}), 401, "invalid_credentials")


def test_two_credentials_are_401(stack: LocalStack) -> None:
    expect(call(stack, "GET", "/v1/models", None, {"x-api-key": "sp_other"}), 401, "invalid_credentials")


def test_health_needs_no_credential(stack: LocalStack) -> None:
    answer = call(stack, "GET", "/healthz", None, {"Authorization": ""})
    assert (answer.status, answer.body) == (200, {"status": "ok"})


@pytest.mark.parametrize("size", [5 * 1024 * 1024 + 1, 7 * 1024 * 1024, 11 * 1024 * 1024])
def test_a_body_over_the_limit_is_413(stack: LocalStack, size: int) -> None:
    expect(post(stack, b'"' + b"x" * (size - 2) + b'"'), 413, "request_too_large")


@pytest.mark.parametrize("body", [b"", b"{", b"model=echo", b'{"model": NaN}', b'{"a": 1, "a": 2}', b"[" * 10_000])
def test_what_is_not_json_is_400(stack: LocalStack, body: bytes) -> None:
    expect(post(stack, body), 400, "invalid_json")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_a_wrong_content_type_is_415(stack: LocalStack, headers: dict[str, str]) -> None:
    expect(post(stack, json.dumps(CHAT).encode(), **headers), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("change", "param"),
    [({"model": 7}, "model"), ({"messages": [{"role": "king"}]}, "messages[0].role"), ({"n": 0}, "n")],
)
def test_a_schema_violation_is_400_and_names_the_field(stack: LocalStack, change: dict[str, Any], param: str) -> None:
    answer = post(stack, json.dumps({**CHAT, **change}).encode())
    expect(answer, 400, "invalid_request")
    assert answer.body["error"]["param"] == param


def test_identity_headers_of_a_client_count_for_nothing(stack: LocalStack) -> None:
    forged = {"x-tenant": "acme", "x-sallyport-tenant": "acme", "X-Amzn-Principal": "root", "Authorization": ""}
    expect(call(stack, "GET", "/v1/models", None, forged), 401, "invalid_credentials")


@pytest.fixture(scope="module")
def dead_end() -> Iterator[LocalStack]:
    with LocalStack("--upstream", f"{refused_url()}/v1") as running:
        yield running


def test_an_upstream_that_is_down_is_502(dead_end: LocalStack) -> None:
    expect(post(dead_end, json.dumps(CHAT).encode()), 502, "upstream_unreachable")


def test_an_upstream_that_is_silent_is_504(stack: LocalStack) -> None:
    expect(post(stack, json.dumps({**CHAT, "model": "fault-silent"}).encode()), 504, "upstream_timeout")


def test_the_first_byte_arrives_while_the_upstream_is_still_sending() -> None:
    arrived = threading.Event()

    def script(peer: Peer) -> None:
        while peer.read() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n")
            peer.chunk(b'data: {"n": 1}\n\n')
            assert arrived.wait(30), "the first chunk was held back"
            peer.chunk(b"data: [DONE]\n\n")
            peer.chunk(b"")

    with ScriptedServer(script) as upstream, LocalStack("--upstream", f"{upstream.url}/v1") as stack:
        connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=30)
        headers = {**JSON, "Authorization": f"Bearer {stack.key}"}
        connection.request("POST", "/v1/chat/completions", json.dumps({**CHAT, "stream": True}), headers)
        response = connection.getresponse()
        assert response.read1() == b'data: {"n": 1}\n\n'
        arrived.set()
        assert response.read() == b"data: [DONE]\n\n"
        connection.close()
