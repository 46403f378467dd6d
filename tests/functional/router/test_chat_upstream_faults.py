"""Every way an upstream can fail, told in the route's shape."""

import pytest

from tests.functional.router.gateway import CHAT, Gateway, MakeGateway
from tests.support.aws import Emulator
from tests.support.events import Context
from tests.support.servers import refused_url


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


def test_a_compressed_answer_is_invalid(gateway: Gateway) -> None:
    gateway.upstream.headers["content_encoding"] = "gzip"
    assert gateway.post(CHAT).code == "upstream_invalid_response"


def test_an_upstream_that_is_down_is_502(make: MakeGateway) -> None:
    answered = make(SALLYPORT_UPSTREAM_BASE_URL=refused_url()).post(CHAT)
    assert (answered.status, answered.code) == (502, "upstream_unreachable")


def test_an_upstream_that_is_silent_is_504(make: MakeGateway) -> None:
    gateway = make(SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S="0.3")
    gateway.upstream.silent = True
    answered = gateway.post(CHAT)
    assert (answered.status, answered.code) == (504, "upstream_timeout")


def test_a_function_out_of_time_does_not_call_upstream(gateway: Gateway) -> None:
    answered = gateway.post(CHAT, Context(remaining_ms=1_900))
    assert (answered.status, answered.code) == (504, "gateway_timeout")
    assert gateway.upstream.received == []


def test_a_credential_that_the_upstream_refuses_is_read_anew_once(make: MakeGateway, store: Emulator) -> None:
    store.secrets.create_secret(Name="stack/rotated", SecretString="sk-old")
    gateway = make(SALLYPORT_UPSTREAM_SECRET="stack/rotated")
    store.secrets.put_secret_value(SecretId="stack/rotated", SecretString="sk-new")
    gateway.upstream.wanted_key = "sk-new"
    assert gateway.post(CHAT).status == 200
    sent = [request.headers["authorization"] for request in gateway.upstream.received]
    assert sent == ["Bearer sk-old", "Bearer sk-new"]


def test_a_credential_that_is_refused_and_has_not_changed_is_not_sent_again(gateway: Gateway) -> None:
    gateway.upstream.status = 401
    assert gateway.post(CHAT).code == "upstream_credentials_rejected"
    assert len(gateway.upstream.received) == 1


def test_a_credential_that_is_refused_twice_is_not_sent_a_third_time(make: MakeGateway, store: Emulator) -> None:
    store.secrets.create_secret(Name="stack/rotated-badly", SecretString="sk-old")
    gateway = make(SALLYPORT_UPSTREAM_SECRET="stack/rotated-badly")
    store.secrets.put_secret_value(SecretId="stack/rotated-badly", SecretString="sk-wrong")
    gateway.upstream.wanted_key = "sk-new"
    assert gateway.post(CHAT).code == "upstream_credentials_rejected"
    assert len(gateway.upstream.received) == 2


@pytest.mark.parametrize("value", ["x" * 2000, "caf\u00e9"])
def test_an_upstreams_header_that_could_spoil_the_answer_is_left_out(gateway: Gateway, value: str) -> None:
    gateway.upstream.headers["openai_model"] = value
    answered = gateway.post(CHAT)
    assert answered.status == 200
    assert "openai-model" not in answered.headers
