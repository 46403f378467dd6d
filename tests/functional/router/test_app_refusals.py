"""What never reaches an app, and that no refusal is charged or told more of than it must be."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sallyport.gateway.request import MAX_BODY_BYTES
from sallyport.policy.limit_parameters import LimitSettings
from sallyport.policy.limit_rules import LimitRule, Window
from sallyport.policy.upstream_rules import AppRules
from tests.functional.router.app_gateway import CALLER, App, AppGateway, problem
from tests.support.events import Context, proxy_event
from tests.support.servers import ScriptedServer, refused_url


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def gateway(app: App) -> Iterator[AppGateway]:
    with ScriptedServer(app) as server:
        yield AppGateway(app, server.url)


def refused(gateway: AppGateway, *args: Any, **options: Any) -> tuple[int, str]:
    """Ask for what is refused: nothing goes to the app, and nothing stays charged."""
    answered = gateway.ask(*args, **options)
    assert gateway.app.received == []
    assert gateway.totals.added == []
    assert gateway.ask("GET").headers["x-ratelimit-remaining-requests"] == "999"
    return problem(answered)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../admin", "invalid_request"),
        ("a/%2e%2e/b", "invalid_request"),
        ("a/%252e%252e/b", "invalid_request"),
        ("a//b", "invalid_request"),
        ("a%2fb", "invalid_request"),
        ("a%5cb", "invalid_request"),
        ("a\\b", "invalid_request"),
        ("a%0d%0ab", "invalid_request"),
        ("caf\u00e9", "invalid_request"),
        ("x" * 2001, "invalid_request"),
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(gateway: AppGateway, path: str, code: str) -> None:
    assert refused(gateway, "GET", path) == (400, code)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "get", "PROPFIND", "GET /x HTTP/1.1\r\n"])
def test_another_method_is_refused(gateway: AppGateway, method: str) -> None:
    assert refused(gateway, method) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Encoding": "gzip"}, "x", 415),
        ({"If-Match": "caf\u00e9"}, "x", 400),
        ({"X-Custom": "a\r\nx-sallyport-tenant: b"}, "x", 400),
        ({}, "\ud800", 400),
        ({}, "x" * (MAX_BODY_BYTES + 1), 413),
    ],
)
def test_a_request_that_cant_be_forwarded_as_it_is_is_refused(
    gateway: AppGateway, headers: dict[str, str], body: str, status: int
) -> None:
    assert refused(gateway, "POST", body=body, headers=headers)[0] == status


def test_a_credential_without_the_scope_is_refused(gateway: AppGateway) -> None:
    principal = CALLER._replace(scopes=("chat",))
    assert refused(gateway, "GET", principal=principal) == (403, "insufficient_scope")


def test_a_request_without_an_authorizer_in_front_is_refused(gateway: AppGateway) -> None:
    assert refused(gateway, "GET", principal=None) == (500, "internal_error")


def test_an_app_of_others_looks_as_one_that_isnt_there(gateway: AppGateway) -> None:
    stranger = gateway.ask("GET", principal=CALLER._replace(tenant="other"))
    nothing = gateway.ask("GET", name="nothing")
    assert problem(stranger) == problem(nothing) == (404, "not_found")
    assert stranger.body == nothing.body
    assert gateway.app.received == []
    assert gateway.trail.decisions == []


@pytest.mark.parametrize("name", ["Summarizer", "summarizer%20", "../summarizer", "", "summarize%72"])
def test_an_apps_name_is_taken_as_it_is_written(gateway: AppGateway, name: str) -> None:
    assert problem(gateway.ask("GET", name=name))[0] == 404


def test_an_app_for_all_tenants_is_for_all(gateway: AppGateway) -> None:
    gateway.under(apps={"summarizer": AppRules("my-app")})
    assert gateway.ask("GET", principal=CALLER._replace(tenant="other")).status == 200
    assert gateway.sent().headers["x-sallyport-tenant"] == "other"


def test_an_app_for_no_tenant_is_for_none(gateway: AppGateway) -> None:
    gateway.under(apps={"summarizer": AppRules("my-app", ())})
    assert problem(gateway.ask("GET"))[0] == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"upstreams": {}},
        {"allowed_regions": frozenset()},
        {"allowed_regions": frozenset({"eu-central-1"})},
    ],
)
def test_an_app_outside_of_the_allowed_regions_is_never_asked(gateway: AppGateway, changes: dict[str, Any]) -> None:
    answered = gateway.under(**changes).ask("POST", body={"q": 1})
    assert problem(answered) == (403, "residency_violation")
    assert gateway.app.received == []
    (decision,) = gateway.trail.decisions
    assert (decision["verdict"], decision["code"]) == ("refuse", "residency_violation")
    assert (len(gateway.trail.outcomes), gateway.trail.outcomes[0]["status"]) == (1, 403)


def test_an_app_outside_of_the_callers_residency_is_never_asked(gateway: AppGateway) -> None:
    upstream = gateway.rules.upstreams["my-app"]._replace(region="us-west-2")
    gateway.under(upstreams={"my-app": upstream}, allowed_regions=frozenset({"us-east-1", "us-west-2"}))
    assert problem(gateway.ask("GET")) == (403, "residency_violation")
    assert gateway.app.received == []
    both = CALLER._replace(residency=("us-east-1", "us-west-2"))
    assert gateway.ask("GET", principal=both).headers["x-sallyport-region"] == "us-west-2"


def test_a_caller_without_residency_may_go_nowhere(gateway: AppGateway) -> None:
    assert refused(gateway, "GET", principal=CALLER._replace(residency=())) == (403, "residency_violation")


def test_a_caller_of_another_region_is_sent_there_and_nothing_of_it_is_kept(gateway: AppGateway) -> None:
    endpoint = "https://abc.execute-api.us-east-1.amazonaws.com/prod"
    gateway.at_home_in("eu-central-1").under(endpoints={"us-east-1": endpoint})
    answered = gateway.ask("POST", body="prompt-secret", name="nothing")
    assert problem(answered) == (421, "misdirected_region")
    assert endpoint in json.loads(answered.body)["detail"]
    assert gateway.trail.decisions == gateway.trail.outcomes == []
    assert CALLER.subject not in str(gateway.lines)


def test_a_model_isnt_an_app_nor_a_provider_an_apps_upstream(gateway: AppGateway) -> None:
    upstream = gateway.rules.upstreams["my-app"]._replace(provider="openai")
    assert problem(gateway.under(upstreams={"my-app": upstream}).ask("GET")) == (400, "unsupported_operation")
    assert gateway.app.received == []


def test_without_a_policy_nothing_is_forwarded(gateway: AppGateway) -> None:
    gateway.policy.rules = None
    assert problem(gateway.ask("GET")) == (503, "service_unavailable")
    assert gateway.app.received == []


@pytest.mark.parametrize("secret", [None, "", "short"])
def test_without_a_secret_to_sign_with_nothing_is_forwarded(app: App, secret: str | None) -> None:
    with ScriptedServer(app) as server:
        gateway = AppGateway(app, server.url, secret=secret)
        assert problem(gateway.ask("GET")) == (503, "upstream_secret_unavailable")
    assert app.received == []


def test_a_limit_counts_requests_to_apps(app: App) -> None:
    with ScriptedServer(app) as server:
        gateway = AppGateway(app, server.url, limits=LimitSettings(requests_per_minute=2))
        answers = [gateway.ask("GET") for _ in range(3)]
    assert [answered.status for answered in answers] == [200, 200, 429]
    assert problem(answers[2]) == (429, "rate_limit_exceeded")
    assert int(answers[2].headers["retry-after"]) > 0
    assert len(app.received) == 2


def test_limits_on_tokens_and_money_let_apps_be(gateway: AppGateway) -> None:
    units = [LimitRule(f"key-{unit}-1m", ("key",), unit, 1, Window(60)) for unit in ("tokens", "usd")]
    assert gateway.under(limits=tuple(units)).ask("GET").status == 200


def test_a_function_out_of_time_doesnt_ask_the_app(gateway: AppGateway) -> None:
    assert problem(gateway.ask("GET", context=Context(remaining_ms=1_900))) == (504, "gateway_timeout")
    assert gateway.app.received == []


def test_an_app_that_is_down_is_tried_twice_and_is_502(app: App) -> None:
    gateway = AppGateway(app, refused_url())
    assert problem(gateway.ask("POST", body={"q": 1})) == (502, "upstream_unreachable")
    assert [decision["attempt"] for decision in gateway.trail.decisions] == [1, 2]
    assert (len(gateway.trail.outcomes), gateway.trail.outcomes[0]["attempts"]) == (1, 2)


def test_an_app_that_is_silent_is_504_and_not_asked_again(gateway: AppGateway) -> None:
    gateway.app.silent = True
    assert problem(gateway.ask("POST", body={"q": 1})) == (504, "upstream_timeout")
    assert len(gateway.app.received) == 1


def test_an_app_that_answers_500_is_not_asked_again(gateway: AppGateway) -> None:
    gateway.app.status = 500
    assert gateway.ask("POST", body={"q": 1}).status == 500
    assert len(gateway.app.received) == 1


@pytest.mark.parametrize(("status", "headers"), [(200, {"content_encoding": "gzip"}), (600, {}), (999, {})])
def test_an_answer_that_cant_be_passed_on_is_502(gateway: AppGateway, status: int, headers: dict[str, str]) -> None:
    gateway.app.status = status
    gateway.app.headers |= headers
    assert problem(gateway.ask("GET")) == (502, "upstream_invalid_response")


def test_what_nobody_expected_is_a_problem_without_its_text(gateway: AppGateway) -> None:
    gateway.secret.text = "not-a-header-\u00e9-but-long-enough-to-sign-with"
    event = {**proxy_event("GET", "/apps/summarizer", principal=CALLER), "pathParameters": {"name": ["x"]}}
    context = Context()
    body = b"".join(gateway.route(event, context).body)
    context.finish()
    assert json.loads(body)["code"] == "internal_error"
    assert gateway.log_line()["failure"] == "TypeError"
