"""The function of the route to apps as it is put together: applied policy, real store, real secret, real anchors."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sallyport.gateway.app_route import AppRoute
from sallyport.gateway.assembly.app_route import app_route
from tests.functional.router.app_gateway import CALLER, SECRET, App, problem
from tests.functional.router.gateway import NOW_S, Answered, apply_policy, drain, frozen
from tests.support.aws import ANCHORS_TABLE, CONFIG_TABLE, COUNTERS_TABLE, LOCAL_AWS, Emulator
from tests.support.events import Context, proxy_event
from tests.support.servers import ScriptedServer

POLICY = """
residency:
  zones: {{us: [us-east-1]}}
  default: us
upstreams:
  my-app: {{provider: app, base_url: "{url}/base", region: us-east-1, secret: my-app}}
apps:
  summarizer: {{upstream: my-app, tenants: [acme], request_headers: [x-custom], answer_headers: [x-other]}}
tenants:
  acme: {{residency: us}}
"""


@pytest.fixture(scope="module")
def signing_secret(emulator: Emulator) -> str:
    emulator.secrets.create_secret(Name="stack/upstreams/my-app", SecretString=SECRET)
    return SECRET


@pytest.fixture
def store(emulator: Emulator, signing_secret: str) -> Emulator:
    emulator.empty_tables()
    return emulator


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app: App) -> Iterator[ScriptedServer]:
    with ScriptedServer(app) as running:
        yield running


def made(store: Emulator) -> AppRoute:
    environ = {
        **LOCAL_AWS,
        "AWS_ENDPOINT_URL": store.url,
        "SALLYPORT_CONFIG_TABLE": CONFIG_TABLE,
        "SALLYPORT_COUNTERS_TABLE": COUNTERS_TABLE,
        "SALLYPORT_ANCHORS_TABLE": ANCHORS_TABLE,
        "SALLYPORT_ANCHOR_RETENTION_DAYS": "400",
        "SALLYPORT_ALLOWED_REGIONS": "us-east-1",
        "SALLYPORT_SECRET_PREFIX": "stack/upstreams/",
        "SALLYPORT_REQUESTS_PER_MINUTE": "1000",
        "SALLYPORT_UPSTREAM_CONNECT_TIMEOUT_S": "1",
        "SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S": "20",
        "SALLYPORT_LOG_LEVEL": "INFO",
    }
    return app_route(frozen)(environ)


def ask(route: AppRoute, **options: Any) -> Answered:
    event = proxy_event(
        "POST",
        "/apps/summarizer/v1/run",
        {"q": "prompt-secret"},
        resource="/apps/{name}/{proxy+}",
        path_parameters={"name": "summarizer", "proxy": "v1/run"},
        principal=CALLER,
        **options,
    )
    context = Context()
    answered = drain(route(event, context))
    context.finish()
    return answered


def test_an_applied_policys_app_is_asked_with_a_signature_and_on_record(
    store: Emulator, server: ScriptedServer, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    app.headers["x_other"] = "o"
    apply_policy(store, POLICY.format(url=server.url))
    answered = ask(made(store), headers={"X-Custom": "c"})
    assert (answered.status, answered.body, answered.headers["x-other"]) == (200, app.body, "o")
    (received,) = app.received
    assert (received.target, received.headers["x-custom"]) == ("/base/v1/run", "c")
    assert received.headers["x-sallyport-signature"].startswith("v1=")
    assert received.headers["x-sallyport-timestamp"] == str(int(NOW_S))
    lines = capsys.readouterr().out
    records = [json.loads(line) for line in lines.splitlines() if '"chain"' in line]
    assert [(record["seq"], record["kind"]) for record in records] == [(1, "decision"), (2, "outcome")]
    assert "prompt-secret" not in lines
    assert SECRET not in lines
    (anchor,) = store.dynamodb.scan(TableName=ANCHORS_TABLE)["Items"]
    assert anchor["hash"]["S"] == records[1]["hash"]


def test_without_a_policy_document_there_is_no_app(store: Emulator) -> None:
    assert problem(ask(made(store))) == (404, "not_found")


def test_a_document_about_the_stacks_own_upstream_has_no_app_and_isnt_broken(store: Emulator) -> None:
    apply_policy(store, "models:\n  gpt-a: {targets: [{upstream: default, model: gpt-b}]}\n")
    assert problem(ask(made(store))) == (404, "not_found")
