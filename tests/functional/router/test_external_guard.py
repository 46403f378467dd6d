"""An external guard before the chat route: asked after the limits and before the upstream, charged for by nobody."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sallyport.gateway.assembly.provider_route import Clocks, provider_route
from sallyport.gateway.operations import CHAT_COMPLETIONS
from tests.functional.router.gateway import (
    CHAT,
    KEY,
    NOW_S,
    REQUESTS,
    Gateway,
    Upstream,
    apply_policy,
    counters,
    environ,
)
from tests.support.aws import Emulator
from tests.support.events import ACME
from tests.support.servers import ScriptedServer

ALLOW, BLOCK = b'{"action": "allow"}', b'{"action": "block", "reason_code": "jailbreak"}'
EU = ACME._replace(residency=("us-east-1", "eu-central-1"))


class Stage:
    """An upstream, a guard, and the gateway between them."""

    def __init__(self, store: Emulator, upstream_url: str, guard_url: str, guard: Upstream, upstream: Upstream) -> None:
        self._store = store
        self._urls = (upstream_url, guard_url)
        self.guard, self.upstream = guard, upstream

    def gateway(self, on_failure: str = "closed", region: str = "us-east-1", more: str = "", **changes: str) -> Gateway:
        upstream_url, guard_url = self._urls
        apply_policy(
            self._store,
            f"""
upstreams:
  near: {{provider: openai, base_url: "{upstream_url}/v1", region: us-east-1}}
  checker: {{provider: guard, base_url: "{guard_url}/check", region: {region}}}
models:
  gpt-a: {{targets: [{{upstream: near}}]}}
verification:
  guards:
    - {{name: external, upstream: checker, timeout_ms: 5000, on_failure: {on_failure}}}
{more}
""",
        )
        changes = {"SALLYPORT_ALLOWED_REGIONS": "us-east-1,eu-central-1", **changes}
        route = provider_route(CHAT_COMPLETIONS, Clocks(lambda: NOW_S))(environ(self._store, upstream_url, **changes))
        return Gateway(route, self.upstream)

    @property
    def reached(self) -> tuple[int, int]:
        return len(self.guard.received), len(self.upstream.received)


@pytest.fixture
def stage(store: Emulator) -> Iterator[Stage]:
    guard, upstream = Upstream(), Upstream()
    guard.body = ALLOW
    with ScriptedServer(upstream) as server, ScriptedServer(guard) as checker:
        yield Stage(store, server.url, checker.url, guard, upstream)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_prompt_is_shown_to_the_guard_and_goes_on(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    answered = stage.gateway().post(CHAT)
    assert (answered.status, stage.reached) == (200, (1, 1))
    asked = json.loads(stage.guard.received[0].body)
    assert asked["texts"] == [{"role": "user", "text": "prompt-secret"}]
    assert (asked["route"], asked["model"], asked["tenant"]) == ("chat_completions", "gpt-a", "acme")
    told = lines(capsys)
    decisions = [line for line in told if line.get("kind") == "decision"]
    assert [line["upstream"] for line in decisions] == ["checker", "near"]
    assert "prompt-secret" not in str(told)


def test_what_the_guard_blocks_goes_nowhere_and_is_not_charged(
    stage: Stage, store: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.guard.body = BLOCK
    answered = stage.gateway().post(CHAT)
    assert (answered.status, answered.code, stage.reached) == (400, "prompt_refused", (1, 0))
    assert counters(store, KEY).get(REQUESTS, 0) == 0
    line = next(line for line in lines(capsys) if line.get("message") == "request")
    assert line["request_findings"] == ["guards/external/jailbreak 1"]


def test_what_a_limit_refuses_is_not_shown_to_the_guard(stage: Stage) -> None:
    gateway = stage.gateway(SALLYPORT_REQUESTS_PER_MINUTE="1")
    assert [gateway.post(CHAT).status, gateway.post(CHAT).status] == [200, 429]
    assert stage.reached == (1, 1)


@pytest.mark.parametrize(("on_failure", "status", "reached"), [("closed", 503, (1, 0)), ("open", 200, (1, 1))])
def test_a_guard_that_fails_closes_or_opens_the_way_and_is_told_of(
    stage: Stage,
    store: Emulator,
    capsys: pytest.CaptureFixture[str],
    on_failure: str,
    status: int,
    reached: tuple[int, int],
) -> None:
    stage.guard.status, stage.guard.body = 500, b"{}"
    answered = stage.gateway(on_failure).post(CHAT)
    assert (answered.status, stage.reached) == (status, reached)
    assert counters(store, KEY).get(REQUESTS, 0) == (1 if status == 200 else 0)
    told = lines(capsys)
    assert [line["ExternalGuardFailure"] for line in told if "ExternalGuardFailure" in line] == [1]
    assert [line["RequestFinding"] for line in told if "RequestFinding" in line] == [1]


def test_a_guard_outside_of_the_callers_residency_never_sees_the_prompt(stage: Stage) -> None:
    gateway = stage.gateway(region="eu-central-1")
    answered = gateway.post(CHAT, principal=ACME._replace(residency=("us-east-1",)))
    assert (answered.status, answered.code, stage.reached) == (403, "residency_violation", (0, 0))
    assert gateway.post(CHAT, principal=EU).status == 200
    assert stage.reached == (1, 1)


def test_the_guard_is_shown_the_clients_words_that_a_canary_puts_aside(stage: Stage) -> None:
    """Where the canary's upstream refuses the gateway, the stable one gets the client's own body."""
    stage.guard.body = BLOCK
    ours = '{type: content, content: "ours"}'
    gateway = stage.gateway(
        more=f"canaries: [{{name: next, model: gpt-a, parameters: {{prediction: {ours}}}, weight: 99.99}}]"
    )
    prediction = {"type": "content", "content": "prompt-aside"}
    assert gateway.post({**CHAT, "prediction": prediction}).code == "prompt_refused"
    texts = [text["text"] for text in json.loads(stage.guard.received[0].body)["texts"]]
    assert "prompt-aside" in texts
