"""What an app receives and what its clients see of its answer."""

import json
from collections.abc import Iterator

import pytest

from sallyport.limits.totals import Total
from sallyport.runtime.errors import DeadlineExceeded
from tests.functional.router.app_gateway import CALLER, SECRET, App, AppGateway
from tests.support.events import REQUEST_ID, Context, proxy_event
from tests.support.servers import ScriptedServer

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@pytest.fixture
def gateway() -> Iterator[AppGateway]:
    app = App()
    with ScriptedServer(app) as server:
        yield AppGateway(app, server.url)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_forwarded_as_it_is(gateway: AppGateway, method: str) -> None:
    answered = gateway.ask(method)
    assert answered.status == 200
    assert answered.body == (b"" if method == "HEAD" else gateway.app.body)
    assert (gateway.sent().method, gateway.sent().target) == (method, "/base/v1/run")


def test_head_is_answered_at_once_though_a_length_is_told_of_a_body_that_never_comes(gateway: AppGateway) -> None:
    answered = gateway.ask("HEAD")
    assert (answered.status, answered.body, answered.broke_off, answered.headers["etag"]) == (200, b"", False, "1")
    assert gateway.log_line()["complete"] is True
    assert gateway.ask("GET").body == gateway.app.body


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (None, "/base"),
        ("", "/base/"),
        ("v1/", "/base/v1/"),
        ("a%20b/%C3%A9;x=1", "/base/a%20b/%C3%A9;x=1"),
    ],
)
def test_a_path_is_forwarded_byte_for_byte(gateway: AppGateway, path: str | None, target: str) -> None:
    context = Context()
    list(gateway.begin("GET", path, context=context).body)
    context.finish()
    assert gateway.sent().target == target


def test_a_slash_at_the_end_that_the_path_variable_lacks_is_kept(gateway: AppGateway) -> None:
    event = {
        **proxy_event("GET", "/apps/summarizer/v1", principal=CALLER),
        "path": "/apps/summarizer/v1/",
        "pathParameters": {"name": "summarizer", "proxy": "v1"},
    }
    list(gateway.route(event, Context()).body)
    assert gateway.sent().target == "/base/v1/"


def test_a_query_is_forwarded_in_its_order(gateway: AppGateway) -> None:
    gateway.ask("GET", query={"tag": ["b", "a"], "q": ["x y&z"]})
    assert gateway.sent().target == "/base/v1/run?tag=b&tag=a&q=x%20y%26z"


@pytest.mark.parametrize("body", ['{"a":  1}', "plain text, \u00e9", "x" * 200_000])
def test_a_body_keeps_its_bytes(gateway: AppGateway, body: str) -> None:
    gateway.ask("POST", body=body)
    assert gateway.sent().body == body.encode()


def test_an_empty_post_says_that_it_is_empty(gateway: AppGateway) -> None:
    gateway.ask("POST")
    assert gateway.sent().headers["content-length"] == "0"


def test_the_usual_headers_and_the_apps_own_go_up(gateway: AppGateway) -> None:
    sent = {"Accept": "text/csv", "X-Custom": "c", "X-Unknown": "u", "Idempotency-Key": "i", "User-Agent": "client/1"}
    gateway.ask("GET", headers=sent)
    received = gateway.sent().headers
    assert {name: received[name] for name in ("accept", "x-custom", "idempotency-key", "user-agent")} == {
        "accept": "text/csv",
        "x-custom": "c",
        "idempotency-key": "i",
        "user-agent": "client/1",
    }
    assert "x-unknown" not in received
    assert received["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "name",
    [
        "X-Sallyport-Tenant",
        "x-sallyport-tenant",
        "X-SALLYPORT-TENANT",
        "X_Sallyport_Tenant",
        "x-sallyport_tenant",
        "X-Sallyport-Signature",
        "X-Sallyport-Timestamp",
        "X-Sallyport-Anything",
        "Authorization",
        "X-API-Key",
        "Api-Key",
        "Cookie",
        "X-Forwarded-For",
        "Forwarded",
        "X-Origin-Verify",
        "Connection",
    ],
)
def test_a_client_cant_say_who_it_is_even_where_the_app_names_the_header(gateway: AppGateway, name: str) -> None:
    assert gateway.policy.rules is not None
    app = gateway.policy.rules.apps["summarizer"]
    gateway.under(apps={"summarizer": app._replace(request_headers=(name, name.lower(), "x-custom"))})
    gateway.ask("GET", headers={name: "victim", "X-Custom": "c"})
    received = gateway.sent().headers
    assert "victim" not in received.values()
    assert received["x-sallyport-tenant"] == "acme"
    assert received["x-custom"] == "c"


def test_the_identity_comes_with_the_request_and_the_secret_never_does(gateway: AppGateway) -> None:
    gateway.ask("POST", body={"q": 1})
    sent = gateway.sent()
    identity = {name: value for name, value in sent.headers.items() if name.startswith("x-sallyport-")}
    assert identity.pop("x-sallyport-signature").startswith("v1=")
    assert identity == {
        "x-sallyport-tenant": "acme",
        "x-sallyport-subject": "demo",
        "x-sallyport-key-id": "KeyId00000000001",
        "x-sallyport-scopes": "apps",
        "x-sallyport-method": "api_key",
        "x-sallyport-request-id": REQUEST_ID,
        "x-sallyport-timestamp": "1800000000",
    }
    assert SECRET not in str(sent)
    assert SECRET not in str(gateway.lines) + str(gateway.trail.decisions) + str(gateway.trail.outcomes)


@pytest.mark.parametrize("status", [201, 204, 206, 301, 302, 304, 307, 400, 401, 404, 409, 418, 429, 500, 503])
def test_a_status_passes_as_it_is_and_no_redirect_is_followed(gateway: AppGateway, status: int) -> None:
    gateway.app.status = status
    gateway.app.body = b"" if status in {204, 304} else b"body"
    gateway.app.headers |= {"location": "/elsewhere", "retry_after": "3", "www_authenticate": "Bearer"}
    answered = gateway.ask("GET")
    assert (answered.status, answered.body) == (status, gateway.app.body)
    assert (answered.headers["location"], answered.headers["retry-after"]) == ("/elsewhere", "3")
    assert "www-authenticate" not in answered.headers
    assert len(gateway.app.received) == 1


def test_of_an_answers_headers_the_usual_ones_and_the_apps_own_come_back(gateway: AppGateway) -> None:
    gateway.app.headers |= {
        "x_other": "o",
        "x_internal": "i",
        "set_cookie": "a=b",
        "server": "s",
        "x_sallyport_region": "mars-1",
        "x_request_id": "theirs",
    }
    headers = gateway.ask("GET").headers
    assert (headers["x-other"], headers["content-type"]) == ("o", "application/json")
    assert (headers["x-sallyport-region"], headers["x-request-id"]) == ("us-east-1", REQUEST_ID)
    assert {"x-internal", "set-cookie", "server"}.isdisjoint(headers)


def test_an_answer_without_a_type_isnt_called_json(gateway: AppGateway) -> None:
    gateway.app.headers.clear()
    assert gateway.ask("GET").headers["content-type"] == "application/octet-stream"


def test_binary_bytes_come_back_as_they_are(gateway: AppGateway) -> None:
    gateway.app.body = bytes(range(256)) * 1000
    assert gateway.ask("GET").body == gateway.app.body


def test_events_pass_whole_and_as_they_are(gateway: AppGateway) -> None:
    gateway.app.chunks = [b"data: 1\n", b"\ndata: ", b"2\n\n"]
    context = Context()
    response = gateway.begin("GET", context=context)
    assert list(response.body) == [b"data: 1\n\n", b"data: 2\n\n"]


def test_a_stream_that_breaks_off_ends_with_a_problem(gateway: AppGateway) -> None:
    gateway.app.chunks, gateway.app.cut = [b"data: 1\n\n", b"data: half"], True
    answered = gateway.ask("GET")
    assert (answered.body, answered.broke_off) == (b"data: 1\n\n", True)
    event, data = answered.in_band.decode().splitlines()[:2]
    assert event == "event: error"
    assert json.loads(data.removeprefix("data: "))["code"] == "upstream_interrupted"
    assert (gateway.trail.outcomes[0]["complete"], gateway.trail.outcomes[0]["code"]) == (False, "upstream_interrupted")


def test_a_stream_that_runs_out_of_time_says_so(gateway: AppGateway) -> None:
    gateway.app.chunks = [b"data: 1\n\n"]
    response = gateway.begin("GET", context=Context())
    assert response.error_event is not None
    assert b"gateway_timeout" in response.error_event(DeadlineExceeded())
    assert b"internal_error" in response.error_event(ValueError("a value"))


def test_an_answer_that_isnt_events_has_no_event_for_errors(gateway: AppGateway) -> None:
    assert gateway.begin("GET", context=Context()).error_event is None


def test_the_decision_is_on_record_before_the_app_hears_of_the_request(gateway: AppGateway) -> None:
    gateway.ask("POST", body={"prompt": "prompt-secret"})
    (decision,) = gateway.trail.decisions
    assert gateway.trail.received == [0]
    assert decision == {
        "request_id": REQUEST_ID,
        "route": "apps",
        "home": "us-east-1",
        "tenant": "acme",
        "residency": ["us-east-1"],
        "policy_version": 0,
        "alias": "app:summarizer",
        "considered": ["my-app/ us-east-1 eligible"],
        "upstream": "my-app",
        "region": "us-east-1",
        "regions": ["us-east-1"],
        "verdict": "forward",
        "host": decision["host"],
        "model": "app:summarizer",
        "basis": "declared",
        "attempt": 1,
    }
    (outcome,) = gateway.trail.outcomes
    assert (outcome["status"], outcome["upstream_status"], outcome["complete"]) == (200, 200, True)
    assert gateway.trail.anchored == 1
    assert "prompt-secret" not in str(gateway.lines) + str(gateway.trail.decisions)


def test_a_request_is_counted_and_uses_no_tokens(gateway: AppGateway) -> None:
    answered = gateway.ask("GET")
    assert answered.headers["x-ratelimit-remaining-requests"] == "999"
    assert gateway.totals.added == [("acme", "app:summarizer", Total(requests=1))]


def test_the_log_line_names_app_and_method_and_no_path(gateway: AppGateway) -> None:
    gateway.ask("GET", "path-secret", query={"q": ["query-secret"]}, headers={"X-Custom": "header-secret"})
    line = gateway.log_line()
    assert (line["route"], line["app"], line["method"], line["upstream"]) == ("apps", "summarizer", "GET", "my-app")
    assert (line["status"], line["complete"], line["tenant"]) == (200, True, CALLER.tenant)
    assert "-secret" not in str(gateway.lines)
