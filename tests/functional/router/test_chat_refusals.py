"""What is refused, by whom, and that it charges nothing and goes nowhere; limits; the log line."""

import json
from typing import Any

import pytest

from sallyport.policy.limit_texts import per_minute
from tests.functional.router.gateway import ANSWER, CHAT, Gateway, MakeGateway, drain
from tests.support.aws import COUNTERS_TABLE, Emulator
from tests.support.events import ACME, Context
from tests.support.servers import refused_url


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
        ({"principal": ACME._replace(residency=("eu-central-1",))}, 421, "misdirected_region"),
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
        ({**CHAT, "Model": "another"}, 400, "unsupported_field", "Model"),
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


def test_a_model_outside_the_configured_ones_does_not_exist(make: MakeGateway) -> None:
    gateway = make(SALLYPORT_MODELS="gpt-b,gpt-c")
    answered = gateway.post(CHAT)
    assert (answered.status, answered.code) == (404, "model_not_found")


def test_the_limit_admits_its_number_and_says_when_to_come_back(make: MakeGateway) -> None:
    gateway = make(SALLYPORT_REQUESTS_PER_MINUTE="2")
    answers = [gateway.post(CHAT) for _ in range(3)]
    assert [answered.status for answered in answers] == [200, 200, 429]
    assert [answered.headers["x-ratelimit-remaining-requests"] for answered in answers] == ["1", "0", "0"]
    assert answers[2].code == "rate_limit_exceeded"
    assert int(answers[2].headers["retry-after"]) >= 1
    assert answers[0].headers["ratelimit-policy"] == '"key-requests-1m";q=2;w=60'
    assert "x-should-retry" not in answers[2].headers
    assert len(gateway.upstream.received) == 2


def test_a_key_s_own_limit_beats_the_default(gateway: Gateway) -> None:
    strict = ACME._replace(limits=(per_minute(1),))
    assert [gateway.post(CHAT, principal=strict).status for _ in range(2)] == [200, 429]


def test_a_jwt_s_subject_is_limited_by_tenant_and_subject(make: MakeGateway) -> None:
    gateway = make(SALLYPORT_REQUESTS_PER_MINUTE="1")
    alice = ACME._replace(method="jwt", key_id="", subject="alice")
    assert [gateway.post(CHAT, principal=alice).status for _ in range(2)] == [200, 429]
    assert gateway.post(CHAT, principal=alice._replace(tenant="other")).status == 200


def test_a_store_that_is_down_falls_back_to_memory_and_says_so(
    make: MakeGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = make(SALLYPORT_REQUESTS_PER_MINUTE="1", SALLYPORT_COUNTERS_TABLE="missing")
    assert [gateway.post(CHAT).status for _ in range(2)] == [200, 429]
    assert '"LimitStoreFailure": 1' in capsys.readouterr().out


def test_a_store_that_is_down_refuses_where_limits_must_hold(make: MakeGateway) -> None:
    gateway = make(SALLYPORT_LIMIT_STORE_FAILURE="deny", SALLYPORT_COUNTERS_TABLE="missing")
    answered = gateway.post(CHAT)
    assert (answered.status, answered.code) == (503, "limits_unavailable")
    assert gateway.upstream.received == []


def test_without_any_policy_nobody_is_served(make: MakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = make(AWS_ENDPOINT_URL_DYNAMODB=refused_url(), SALLYPORT_UPSTREAM_SECRET="")
    answered = gateway.post(CHAT)
    assert (answered.status, answered.code) == (503, "service_unavailable")
    assert gateway.upstream.received == []
    assert '"PolicyRefreshFailure": 1' in capsys.readouterr().out


def test_a_secret_that_cannot_be_read_is_503_and_charges_nothing(make: MakeGateway, store: Emulator) -> None:
    answered = make(SALLYPORT_UPSTREAM_SECRET="stack/missing").post(CHAT)
    assert (answered.status, answered.code) == (503, "upstream_secret_unavailable")
    assert store.dynamodb.scan(TableName=COUNTERS_TABLE)["Count"] == 0


def test_a_broken_event_is_a_500_in_the_routes_shape(gateway: Gateway) -> None:
    answered = drain(gateway.route({"requestContext": {"requestId": "r"}}, Context()))
    assert (answered.status, answered.code) == (500, "internal_error")


def test_a_text_that_names_no_model_does_not_reach_the_log(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.post({**CHAT, "model": "tell me a secret"})
    assert "secret" not in capsys.readouterr().out


def test_a_decision_its_outcome_and_one_line_are_logged_without_content_or_secrets(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.post(CHAT, headers={"Authorization": "Bearer sp_client-secret"})
    out = capsys.readouterr().out
    decision, line, outcome = map(json.loads, out.splitlines())
    assert (line["message"], line["status"], line["tenant"], line["model"]) == ("request", 200, "acme", "gpt-a")
    assert (line["bytes_out"], line["complete"]) == (len(ANSWER), True)
    assert (decision["message"], decision["kind"], outcome["kind"]) == ("audit", "decision", "outcome")
    assert (outcome["prev"], outcome["status"], outcome["complete"]) == (decision["hash"], 200, True)
    assert "secret" not in out
