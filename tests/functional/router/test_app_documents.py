"""Apps with an OpenAPI document: what reaches the app, and the client, and what the log is told."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sallyport.policy.upstream_rules import AppRules
from sallyport.policy.verification_rules import (
    ANSWERS,
    BLOCK,
    ENFORCE,
    OFF,
    REDACT,
    REPORT,
    REQUESTS,
    AnswerRules,
    LeakRules,
    Pattern,
    Scope,
    VerificationRules,
)
from sallyport_cli.policy.openapi import compile_openapi
from tests.functional.router.app_gateway import App, AppGateway, problem
from tests.support.events import Context
from tests.support.servers import ScriptedServer

DOCUMENT = """\
openapi: 3.1.0
info: {title: Summaries, version: "1"}
paths:
  /v1/run:
    parameters:
      - {name: lang, in: query, schema: {type: string, enum: [de, en]}}
    post:
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "#/components/schemas/Text"}}
      responses:
        "200":
          description: done
          content:
            application/json: {schema: {$ref: "#/components/schemas/Summary"}}
            text/event-stream: {}
            application/octet-stream: {}
    head: {responses: {"200": {description: there, content: {application/json: {}}}}}
  /v1/jobs/{id}:
    get:
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
components:
  schemas:
    Text: {type: object, required: [text], properties: {text: {type: string}}, additionalProperties: false}
    Summary: {type: object, required: [summary], properties: {summary: {type: string}}}
"""
COMPILED = json.loads(json.dumps(compile_openapi(DOCUMENT)))
GOOD, BAD = b'{"summary":  "s"}', b'{"summary": 5, "of": "jane"}'
BODY = '{"text":  "t"}'
AS_JSON = {"content-type": "application/json"}


@pytest.fixture
def gateway() -> Iterator[AppGateway]:
    app = App()
    app.body = GOOD
    with ScriptedServer(app) as server:
        yield AppGateway(app, server.url)


def held(gateway: AppGateway, mode: str = REPORT, *leaks: LeakRules) -> AppGateway:
    """Hold the app to its document."""
    app = AppRules("my-app", openapi=COMPILED, answers=AnswerRules(mode))
    return gateway.under(apps={"summarizer": app}, verification=VerificationRules(leaks=leaks))


def searched(gateway: AppGateway, action: str, where: str = ANSWERS, scope: Scope | None = None) -> AppGateway:
    """Search what an app without a document answers, or is asked."""
    rule = LeakRules("ours", (), (Pattern("ticket", "ACME-[0-9]{6}", 11),), (), action, (where,), scope or Scope())
    return gateway.under(apps={"summarizer": AppRules("my-app")}, verification=VerificationRules(leaks=(rule,)))


def ask(gateway: AppGateway, body: Any = BODY, **options: Any) -> Any:
    """Ask for a summary."""
    return gateway.ask("POST", body=body, **{"headers": AS_JSON, **options})


def test_request_as_described_reaches_the_app_byte_for_byte(gateway: AppGateway) -> None:
    assert ask(held(gateway), query={"lang": ["de"]}).body == GOOD
    assert (gateway.sent().body, gateway.sent().target) == (BODY.encode(), "/base/v1/run?lang=de")
    assert "response_violations" not in gateway.log_line()


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("POST", "v1/other", {}, 404, "operation_not_found"),
        ("POST", "v1/run/", {}, 404, "operation_not_found"),
        ("POST", "v1/run;a", {}, 404, "operation_not_found"),
        ("GET", "v1/jobs/x", {}, 400, "invalid_request"),
        ("DELETE", "v1/run", {}, 405, "method_not_allowed"),
        ("OPTIONS", "v1/run", {}, 405, "method_not_allowed"),
        ("HEAD", "v1/jobs/1", {}, 405, "method_not_allowed"),
        ("GET", "v1/run", {"headers": {"x-http-method-override": "POST"}}, 405, "method_not_allowed"),
        ("POST", "v1/run", {"query": {"lang": ["fr"]}}, 400, "invalid_request"),
        ("POST", "v1/run", {"query": {"lang": ["de", "en"]}}, 400, "invalid_request"),
        ("POST", "v1/run", {"body": ""}, 400, "invalid_request"),
        ("POST", "v1/run", {"body": "{}"}, 400, "invalid_request"),
        ("POST", "v1/run", {"body": "{"}, 400, "invalid_json"),
        ("POST", "v1/run", {"headers": {"content-type": ""}}, 415, "unsupported_media_type"),
        ("POST", "v1/run", {"headers": {"content-type": "text/plain"}}, 415, "unsupported_media_type"),
        ("GET", "v1/jobs/1", {"body": "{}"}, 400, "invalid_request"),
    ],
)
def test_other_request_is_refused_before_the_app_is_asked(
    gateway: AppGateway, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    options = {"body": BODY if method == "POST" else None, "headers": AS_JSON, **options}
    assert problem(held(gateway, OFF).ask(method, path, **options)) == (status, code)
    assert gateway.app.received == []
    assert gateway.trail.decisions == []


def test_refusal_names_the_field_and_no_value(gateway: AppGateway) -> None:
    answered = ask(held(gateway), body='{"text": ["my-secret"]}')
    assert "body.text must be of type string" in json.loads(answered.body)["detail"]
    assert b"my-secret" not in answered.body
    assert "my-secret" not in "".join(gateway.lines)


def test_report_lets_a_violation_pass_and_tells_the_log(gateway: AppGateway) -> None:
    gateway.app.body = BAD
    assert ask(held(gateway, REPORT)).body == BAD
    assert gateway.log_line()["response_violations"] == ["schema summary 1"]
    assert any('"ResponseViolation"' in line for line in gateway.lines)
    assert "jane" not in "".join(gateway.lines)


def test_off_does_not_look(gateway: AppGateway) -> None:
    gateway.app.body = BAD
    assert ask(held(gateway, OFF)).body == BAD
    assert "response_violations" not in gateway.log_line()


@pytest.mark.parametrize(
    ("body", "status", "content_type", "told"),
    [
        (BAD, 200, "application/json", "schema summary 1"),
        (b"{", 200, "application/json", "encoding 1"),
        (b"\xff", 200, "application/json", "encoding 1"),
        (GOOD, 200, "application/json; charset=utf-16", "encoding content-type 1"),
        (GOOD, 200, "text/html", "media_type content-type 1"),
        (GOOD, 500, "application/json", "status 1"),
        (b'{"summary": "' + b"x" * 6_291_456 + b'"}', 200, "application/json", "size 1"),
    ],
)
def test_enforce_answers_502_before_the_first_byte(
    gateway: AppGateway, body: bytes, status: int, content_type: str, told: str
) -> None:
    gateway.app.body, gateway.app.status, gateway.app.headers = body, status, {"content_type": content_type}
    assert problem(ask(held(gateway, ENFORCE))) == (502, "upstream_invalid_response")
    assert gateway.log_line()["response_violations"] == [told]


def test_enforce_passes_a_sound_answer_byte_for_byte(gateway: AppGateway) -> None:
    assert ask(held(gateway, ENFORCE)).body == GOOD


def test_enforce_does_not_hold_what_it_does_not_look_into(gateway: AppGateway) -> None:
    gateway.app.body, gateway.app.headers = b"\x00" * 7_000_000, {"content_type": "application/octet-stream"}
    assert len(ask(held(gateway, ENFORCE)).body) == 7_000_000


def test_report_says_nothing_of_a_large_body_that_nobody_would_look_into(gateway: AppGateway) -> None:
    gateway.app.body, gateway.app.headers = b"\x00" * 2_000_000, {"content_type": "application/octet-stream"}
    assert len(ask(held(gateway, REPORT)).body) == 2_000_000
    assert "response_unchecked" not in gateway.log_line()


def test_report_looks_at_no_more_than_a_bounded_copy(gateway: AppGateway) -> None:
    gateway.app.body = b'{"summary": 5, "x": "' + b"x" * 1_048_576 + b'"}'
    assert ask(held(gateway, REPORT)).body == gateway.app.body
    assert gateway.log_line()["response_unchecked"] == "size"
    assert "response_violations" not in gateway.log_line()


@pytest.mark.parametrize("mode", [REPORT, ENFORCE])
def test_head_has_no_body_to_look_into(gateway: AppGateway, mode: str) -> None:
    answered = held(gateway, mode).ask("HEAD")
    assert (answered.status, answered.body) == (200, b"")
    assert "response_violations" not in gateway.log_line()


@pytest.mark.parametrize("mode", [REPORT, ENFORCE])
def test_stream_of_events_passes_event_by_event(gateway: AppGateway, mode: str) -> None:
    gateway.app.chunks = [b": hello\n\n", b"data: 1", b"\n\ndata: 2\n", b"\n"]
    context = Context()
    response = held(gateway, mode).begin("POST", body=BODY, headers=AS_JSON, context=context)
    pieces = list(response.body)
    context.finish()
    assert b"".join(pieces) == b": hello\n\ndata: 1\n\ndata: 2\n\n"
    assert len(pieces) >= 3
    assert "response_violations" not in gateway.log_line()


def test_stream_that_is_not_utf_8_ends_where_it_is_enforced(gateway: AppGateway) -> None:
    gateway.app.chunks = [b"data: 1\n\n", b"data: \xff\n\n", b"data: 3\n\n"]
    answered = ask(held(gateway, ENFORCE))
    assert answered.body.startswith(b"data: 1\n\n")
    assert b"\xff" not in answered.body
    assert b"data: 3" not in answered.body
    assert answered.broke_off
    assert gateway.log_line()["response_violations"] == ["encoding 1"]


def test_stream_that_is_not_utf_8_passes_where_it_is_reported(gateway: AppGateway) -> None:
    gateway.app.chunks = [b"data: 1\n\n", b"data: \xff\n\n", b"data: 3\n\n"]
    assert ask(held(gateway, REPORT)).body == b"".join(gateway.app.chunks)
    assert gateway.log_line()["response_violations"] == ["encoding 1"]


def test_document_is_prepared_once_and_anew_when_a_policy_brings_another(gateway: AppGateway) -> None:
    assert problem(held(gateway).ask("GET", "v2/new")) == (404, "operation_not_found")
    other = compile_openapi("openapi: 3.1.0\npaths: {/v2/new: {get: {}}}")
    gateway.under(apps={"summarizer": AppRules("my-app", openapi=other)})
    assert gateway.ask("GET", "v2/new").status == 200


def test_document_of_another_format_is_a_503(gateway: AppGateway) -> None:
    gateway.under(apps={"summarizer": AppRules("my-app", openapi={**COMPILED, "format": 2})})
    assert problem(ask(gateway))[0] == 503
    assert gateway.app.received == []


LEAKING = b'{"summary": "see ACME-123456", "n": 1}'


def test_leak_is_reported_and_passes(gateway: AppGateway) -> None:
    gateway.app.body = LEAKING
    assert ask(searched(gateway, REPORT)).body == LEAKING
    assert gateway.log_line()["response_findings"] == ["leaks/ours/ticket 1"]


def test_leak_is_redacted_in_json_and_in_text(gateway: AppGateway) -> None:
    gateway.app.body = LEAKING
    assert json.loads(ask(searched(gateway, REDACT)).body) == {"summary": "see [ticket]", "n": 1}
    gateway.app.body, gateway.app.headers = b"\xff ACME-123456\n", {"content_type": "text/csv"}
    assert ask(gateway).body == b"\xff [ticket]\n"


def test_leak_is_blocked_before_the_first_byte(gateway: AppGateway) -> None:
    gateway.app.body = LEAKING
    answered = ask(searched(gateway, BLOCK))
    assert problem(answered) == (502, "response_blocked")
    assert b"ACME" not in answered.body
    assert gateway.log_line()["response_findings"] == ["leaks/ours/ticket 1"]


def test_leak_can_not_be_asked_for_in_pieces(gateway: AppGateway) -> None:
    ask(searched(gateway, BLOCK), headers={"range": "bytes=0-20", "accept": "*/*"})
    assert "range" not in gateway.sent().headers
    assert "accept" in gateway.sent().headers


def test_leak_is_redacted_in_a_stream(gateway: AppGateway) -> None:
    gateway.app.chunks = [b'data: {"text": "see ACME-1', b'23456"}\n\n', b"data: ok\n\n"]
    answered = ask(searched(gateway, REDACT))
    assert b"ACME" not in answered.body
    assert b"[ticket]" in answered.body
    assert answered.body.endswith(b"data: ok\n\n")


def test_leak_ends_a_stream(gateway: AppGateway) -> None:
    gateway.app.chunks = [b"data: ok\n\n", b"data: ACME-123456\n\n", b"data: more\n\n"]
    answered = ask(searched(gateway, BLOCK))
    assert answered.body.startswith(b"data: ok\n\n")
    assert b"ACME" not in answered.body
    assert b"more" not in answered.body
    assert answered.broke_off


def test_rule_for_another_app_or_tenant_does_not_count(gateway: AppGateway) -> None:
    gateway.app.body = LEAKING
    for scope in (Scope(("apps",), ("other",)), Scope(("chat_completions",)), Scope(tenants=("globex",))):
        assert ask(searched(gateway, BLOCK, scope=scope)).body == LEAKING
    for scope in (Scope(("apps",), ("summarizer",)), Scope(("apps",)), Scope(tenants=("acme",))):
        assert ask(searched(gateway, BLOCK, scope=scope)).status == 502


@pytest.mark.parametrize(("action", "sent"), [(REPORT, b'{"text":  "ACME-123456"}'), (REDACT, b'{"text": "[ticket]"}')])
def test_leak_in_a_request_goes_on_as_its_rule_says(gateway: AppGateway, action: str, sent: bytes) -> None:
    ask(searched(gateway, action, REQUESTS), body='{"text":  "ACME-123456"}')
    assert gateway.sent().body == sent
    assert gateway.log_line()["request_findings"] == ["leaks/ours/ticket 1"]


def test_leak_in_a_request_is_blocked(gateway: AppGateway) -> None:
    assert problem(ask(searched(gateway, BLOCK, REQUESTS), body='{"text":  "ACME-123456"}')) == (400, "leak_blocked")
    assert gateway.app.received == []
    assert gateway.log_line()["request_findings"] == ["leaks/ours/ticket 1"]
