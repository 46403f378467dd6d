"""External guards on a whole route: they see the prompt before the upstream does, or nobody does."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from sallyport.gateway.assembly.provider_route import Clocks, provider_route
from sallyport.gateway.operations import CHAT_COMPLETIONS
from tests.functional.router.gateway import (
    CHAT,
    KEY,
    REQUESTS,
    Gateway,
    Upstream,
    apply_policy,
    counters,
    environ,
    frozen,
)
from tests.support.aws import Emulator
from tests.support.servers import Received, ScriptedServer, refused_url, serve

DOCUMENT = """\
upstreams:
  up: {{provider: openai, base_url: "{up}", region: us-east-1}}
  checker: {{provider: guard, base_url: "{guard}/check", region: {region}}}
models: {{gpt-a: {{targets: [{{upstream: up}}]}}}}
limits: [{{scope: key, unit: requests, limit: {limit}, window: 1m}}]
verification:
  request: {{forced: {{temperature: 0}}}}
  guards: [{{name: external, upstream: checker, on_failure: {on_failure}{more}}}]
"""


METRICS = ("RequestFinding", "ExternalGuardFailure")


class Scene(NamedTuple):
    gateway: Gateway
    guard: list[Received]
    store: Emulator

    def post(self) -> Any:
        return self.gateway.post(CHAT)

    @property
    def upstream(self) -> list[Received]:
        return self.gateway.upstream.received


type Stage = Callable[..., Scene]


@pytest.fixture
def stage(store: Emulator) -> Iterator[Stage]:
    upstream, asked = Upstream(), list[Received]()
    answers = {"body": b'{"action":"allow"}'}
    answer = serve(lambda _, peer: peer.answer(200, answers["body"], content_type="application/json"), asked)
    with ScriptedServer(upstream) as up, ScriptedServer(answer) as guard:

        def start(
            body: bytes = b'{"action":"allow"}',
            *,
            region: str = "us-east-1",
            on_failure: str = "closed",
            url: str = "",
            more: str = "",
            limit: int = 1000,
        ) -> Scene:
            answers["body"] = body
            places = {"up": f"{up.url}/v1", "guard": url or guard.url, "region": region}
            apply_policy(store, DOCUMENT.format(**places, on_failure=on_failure, more=more, limit=limit))
            route = provider_route(CHAT_COMPLETIONS, Clocks(now_s=frozen))(environ(store, up.url))
            return Scene(Gateway(route, upstream), asked, store)

        yield start


def told(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Give the audit trail's records, and the request's log line with its metrics."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    metrics = {name: line[name] for line in lines for name in METRICS if name in line}
    audit = [line for line in lines if line.get("message") == "audit" and "verdict" in line]
    [request] = [line for line in lines if line.get("message") == "request"]
    return audit, {**request, **metrics}


def test_a_guard_sees_the_prompt_and_then_the_upstream_does(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    scene = stage()
    assert scene.post().status == 200
    [asked] = scene.guard
    assert json.loads(asked.body)["texts"] == [{"role": "user", "text": "prompt-secret"}]
    assert len(scene.upstream) == 1
    audit, request = told(capsys)
    assert [(one["upstream"], one.get("guard"), one["verdict"]) for one in audit] == [
        ("checker", "external", "forward"),
        ("up", None, "forward"),
    ]
    assert all("checker/ us-east-1 eligible" in one["considered"] for one in audit)
    assert not {"request_findings", *METRICS} & set(request)


def test_what_a_guard_blocks_goes_nowhere_and_costs_nothing(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    scene = stage(b'{"action":"block","reason_code":"jailbreak"}')
    answered = scene.post()
    assert (answered.status, answered.code) == (400, "prompt_refused")
    assert answered.headers["x-should-retry"] == "false"
    assert scene.upstream == []
    assert counters(scene.store, KEY).get(REQUESTS, 0) == 0
    audit, request = told(capsys)
    assert [(one["verdict"], one.get("code")) for one in audit[:2]] == [("forward", None), ("refuse", "prompt_refused")]
    assert request["request_findings"] == ["guards/external/jailbreak 1"]
    assert [request.get(name) for name in METRICS] == [1, None]
    assert "prompt-secret" not in json.dumps([audit, request])


@pytest.mark.parametrize("on_failure", ["closed", "open"])
def test_a_guard_that_is_down(stage: Stage, capsys: pytest.CaptureFixture[str], on_failure: str) -> None:
    scene = stage(on_failure=on_failure, url=refused_url())
    answered = scene.post()
    _, request = told(capsys)
    assert request["request_findings"] == ["guards/external/unavailable 1", "guards/external/unreachable 1"]
    assert [request[name] for name in METRICS] == [1, 1]
    if on_failure == "open":
        assert (answered.status, len(scene.upstream)) == (200, 1)
    else:
        assert (answered.status, answered.code, scene.upstream) == (503, "guard_unavailable", [])
        assert counters(scene.store, KEY).get(REQUESTS, 0) == 0


@pytest.mark.parametrize("on_failure", ["closed", "open"])
def test_a_guard_elsewhere_gets_nothing(stage: Stage, on_failure: str) -> None:
    scene = stage(region="eu-west-1", on_failure=on_failure)
    answered = scene.post()
    assert scene.guard == []
    if on_failure == "open":
        assert (answered.status, len(scene.upstream)) == (200, 1)
    else:
        assert (answered.status, answered.code, scene.upstream) == (403, "residency_violation", [])


def test_a_guard_for_others_isnt_asked(stage: Stage) -> None:
    scene = stage(b"broken", more=", routes: [messages]")
    assert (scene.post().status, scene.guard) == (200, [])
    scene = stage(b"broken", more=", tenants: [globex]")
    assert (scene.post().status, scene.guard) == (200, [])


def test_what_a_limit_refuses_isnt_shown_to_a_guard(stage: Stage) -> None:
    scene = stage(limit=1)
    assert [scene.post().status, scene.post().status] == [200, 429]
    assert (len(scene.guard), len(scene.upstream)) == (1, 1)
