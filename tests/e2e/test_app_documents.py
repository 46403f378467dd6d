"""An app behind its OpenAPI document, from the files that its operator writes to what its callers get."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.functional.router.app_gateway import App
from tests.support.local_stack import LocalStack
from tests.support.servers import ScriptedServer

pytestmark = pytest.mark.e2e

SECRET = "an-apps-signing-secret-of-40-characters-"
DOCUMENT = """
openapi: 3.0.3
paths:
  /v1/run:
    post:
      requestBody:
        required: true
        content:
          application/json:
            schema: {type: object, required: [text], properties: {text: {type: string, nullable: true}}}
      responses:
        "200":
          description: The summary.
          content:
            application/json: {schema: {type: object, required: [summary]}}
"""
POLICY = """
version: 1
upstreams:
  my-app: {provider: app, base_url: "URL", region: us-east-1, secret: my-app}
apps:
  summarizer: {upstream: my-app, openapi: specs/summarizer.yaml, response: enforce}
"""


@pytest.fixture(scope="module")
def app() -> App:
    return App()


@pytest.fixture(scope="module")
def stack(app: App, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "specs").mkdir()
    (folder / "specs/summarizer.yaml").write_text(DOCUMENT)
    with ScriptedServer(app) as server:
        (folder / "policy.yaml").write_text(POLICY.replace("URL", server.url))
        arguments = ("--policy", str(folder / "policy.yaml"), "--secret", f"upstreams/my-app={SECRET}")
        with LocalStack(*arguments) as running:
            yield running


def ask(stack: LocalStack, path: str, body: str | None) -> tuple[int, dict[str, object]]:
    """Give an answer's status and JSON."""
    headers = {"authorization": f"Bearer {stack.key}", "content-type": "application/json"}
    method = "GET" if body is None else "POST"
    answer = httpx2.request(method, f"{stack.url}/apps/summarizer{path}", content=body, headers=headers, timeout=20)
    return answer.status_code, answer.json()


def test_app_gets_what_its_document_describes_and_nothing_else(stack: LocalStack, app: App) -> None:
    app.received.clear()
    app.body = b'{"summary": "s"}'
    assert ask(stack, "/v1/run", '{"text": null}') == (200, {"summary": "s"})
    refused = [ask(stack, *one) for one in (("/v1/run", "{}"), ("/v1/run", None), ("/v2/run", "{}"))]
    assert [(status, body["code"]) for status, body in refused] == [
        (400, "invalid_request"),
        (405, "method_not_allowed"),
        (404, "operation_not_found"),
    ]
    assert [received.body for received in app.received] == [b'{"text": null}']


def test_answer_that_is_not_as_described_does_not_go_out(stack: LocalStack, app: App) -> None:
    app.body = b'{"password": "hunter2"}'
    status, body = ask(stack, "/v1/run", '{"text": "t"}')
    assert (status, body["code"]) == (502, "upstream_invalid_response")
    assert "hunter2" not in str(body)
