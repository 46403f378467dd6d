"""Targets in turn, over real sockets: what is tried again, what isn't, and that nothing leaves the caller's regions."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from sallyport.gateway.assembly.provider_route import Clocks, provider_route
from sallyport.gateway.operations import CHAT_COMPLETIONS
from tests.functional.router.gateway import (
    ANSWER,
    CHAT,
    EVENTS,
    KEY,
    NOW_S,
    TOKENS,
    Gateway,
    Upstream,
    apply_policy,
    counters,
    environ,
)
from tests.support.aws import Emulator
from tests.support.events import ACME, Context
from tests.support.servers import ScriptedServer, refused_url

EU = ACME._replace(residency=("us-east-1", "eu-central-1"))
US = ACME._replace(residency=("us-east-1",))
STREAM = {**CHAT, "stream": True}
BOTH = "[{upstream: near}, {upstream: far}]"


class Chance:
    """Draws the most there is, and notes it; sleeps notes only."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def uniform(self, _least: float, most: float) -> float:
        return most


class Stage:
    """Two upstreams in two regions and the gateway before them."""

    def __init__(self, store: Emulator, servers: ExitStack) -> None:
        self._store = store
        self.first, self.second = Upstream(), Upstream()
        self.urls = [servers.enter_context(ScriptedServer(upstream)).url for upstream in (self.first, self.second)]
        self.chance = Chance()

    def gateway(self, *, first_url: str = "", targets: str = BOTH, more: str = "", **env: str) -> Gateway:
        apply_policy(
            self._store,
            f"""
upstreams:
  near: {{provider: openai, base_url: "{first_url or self.urls[0]}/v1", region: us-east-1}}
  far: {{provider: openai, base_url: "{self.urls[1]}/v1", region: eu-central-1}}
{more}
models:
  gpt-a: {{targets: {targets}}}
""",
        )
        changes = {"SALLYPORT_ALLOWED_REGIONS": "us-east-1,eu-central-1", "SALLYPORT_UPSTREAM_RETRIES": "2", **env}
        clocks = Clocks(lambda: NOW_S, self.chance.slept.append, self.chance.uniform)
        route = provider_route(CHAT_COMPLETIONS, clocks)(environ(self._store, self.urls[0], **changes))
        return Gateway(route, self.first)

    @property
    def reached(self) -> tuple[int, int]:
        return len(self.first.received), len(self.second.received)


@pytest.fixture
def stage(store: Emulator) -> Iterator[Stage]:
    with ExitStack() as servers:
        yield Stage(store, servers)


def audit(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line.get("message") == "audit"]


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_the_next_target_answers_where_one_fails(stage: Stage, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    stage.first.status = status
    answered = stage.gateway().post(CHAT, principal=EU)
    assert (answered.status, answered.body, stage.reached) == (200, ANSWER, (1, 1))
    assert answered.headers["x-sallyport-region"] == "eu-central-1"
    assert stage.chance.slept == []
    decisions = [record for record in audit(capsys) if record["kind"] == "decision"]
    assert [(record["upstream"], record["attempt"]) for record in decisions] == [("near", 1), ("far", 2)]


def test_nothing_is_charged_where_the_next_target_has_no_credential(stage: Stage, store: Emulator) -> None:
    stage.first.status = 429
    more = f'  locked: {{provider: openai, base_url: "{stage.urls[1]}/v1", region: us-east-1, secret: missing}}'
    targets = "[{upstream: near}, {upstream: locked}]"
    gateway = stage.gateway(targets=targets, more=more, SALLYPORT_TOKENS_PER_MINUTE="100000")
    assert gateway.post(CHAT, principal=EU).status == 429
    assert (stage.reached, counters(store, KEY)[TOKENS]) == ((3, 0), 0)


def test_the_next_target_answers_where_one_cannot_be_connected_to(stage: Stage) -> None:
    answered = stage.gateway(first_url=refused_url()).post(CHAT, principal=EU)
    assert (answered.status, stage.reached) == (200, (0, 1))


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_refusal_is_not_put_to_another_target(stage: Stage, status: int) -> None:
    stage.first.status, stage.first.body = status, b'{"error": {"message": "no"}}'
    assert stage.gateway().post(CHAT, principal=EU).status == status
    assert stage.reached == (1, 0)


def test_a_silent_upstream_is_not_asked_again(stage: Stage) -> None:
    stage.first.silent = True
    answered = stage.gateway(SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S="0.3").post(CHAT, principal=EU)
    assert (answered.code, stage.reached) == ("upstream_timeout", (1, 0))


def test_a_stream_that_has_begun_is_not_begun_again(stage: Stage) -> None:
    stage.first.chunks, stage.first.cut = EVENTS[:1], True
    answered = stage.gateway().post(STREAM, principal=EU)
    assert (answered.broke_off, stage.reached) == (True, (1, 0))


def test_no_failure_makes_a_target_outside_the_residency_eligible(stage: Stage) -> None:
    stage.first.status = 503
    answered = stage.gateway().post(CHAT, principal=US)
    assert (answered.code, stage.reached) == ("upstream_unavailable", (3, 0))


def test_no_redirect_is_followed(stage: Stage) -> None:
    stage.first.status, stage.first.headers["location"] = 307, f"{stage.urls[1]}/v1/chat/completions"
    answered = stage.gateway().post(CHAT, principal=EU)
    assert (answered.code, stage.reached) == ("upstream_invalid_response", (1, 0))


def test_without_a_target_inside_nothing_is_sent_and_it_is_on_record(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = stage.gateway(targets="[{upstream: far}]").post(CHAT, principal=US)
    assert (answered.status, answered.code, stage.reached) == (403, "residency_violation", (0, 0))
    decision, outcome = audit(capsys)
    assert (decision["verdict"], decision["code"]) == ("refuse", "residency_violation")
    assert decision["considered"] == ["far/ eu-central-1 outside_residency"]
    assert (outcome["status"], outcome["tenant"]) == (403, "acme")


def test_the_stacks_allowed_regions_hold_for_everyone(stage: Stage) -> None:
    stage.first.status = 503
    answered = stage.gateway(SALLYPORT_ALLOWED_REGIONS="us-east-1").post(CHAT, principal=EU)
    assert (answered.code, stage.reached) == ("upstream_unavailable", (3, 0))


def test_one_target_is_tried_again_with_jitter(stage: Stage) -> None:
    stage.first.status = 500
    stage.gateway(targets="[{upstream: near}]").post(CHAT, principal=US)
    assert stage.reached == (3, 0)
    assert stage.chance.slept == [0.1, 0.2]


def test_an_upstreams_retry_after_is_waited_for(stage: Stage) -> None:
    stage.first.status, stage.first.headers["retry_after"] = 429, "2"
    answered = stage.gateway(targets="[{upstream: near}]").post(CHAT, principal=US)
    assert (answered.status, answered.headers["retry-after"]) == (429, "2")
    assert stage.reached == (3, 0)
    assert all(1.5 < wait_s <= 2 for wait_s in stage.chance.slept)


def test_a_long_retry_after_goes_to_the_client(stage: Stage) -> None:
    stage.first.status, stage.first.headers["retry_after"] = 429, "60"
    answered = stage.gateway(targets="[{upstream: near}]").post(CHAT, principal=US)
    assert (answered.status, answered.headers["retry-after"], stage.reached) == (429, "60", (1, 0))


def test_an_upstream_that_says_not_to_is_not_asked_again(stage: Stage) -> None:
    stage.first.status, stage.first.headers["x_should_retry"] = 503, "false"
    stage.gateway(targets="[{upstream: near}]").post(CHAT, principal=US)
    assert stage.reached == (1, 0)


def test_targets_that_are_all_down_are_503_and_nothing_is_charged(stage: Stage) -> None:
    gateway = stage.gateway(targets="[{upstream: near}]")
    stage.first.status = 500
    gateway.post(CHAT, principal=US)
    gateway.post(CHAT, principal=US)
    reached = stage.reached
    answered = gateway.post(CHAT, principal=US)
    assert (answered.status, answered.code) == (503, "no_target_available")
    assert int(answered.headers["retry-after"]) in range(1, 11)
    assert stage.reached == reached
    assert "x-ratelimit-remaining-requests" not in answered.headers


def test_time_that_is_used_up_ends_the_tries(stage: Stage) -> None:
    stage.first.status, stage.first.headers["retry_after"] = 503, "4"
    gateway = stage.gateway(targets="[{upstream: near}]")
    assert gateway.post(CHAT, Context(remaining_ms=6_000), principal=US).code == "upstream_unavailable"
    assert stage.reached == (1, 0)


def test_an_alias_goes_upstream_under_the_targets_name(stage: Stage) -> None:
    gateway = stage.gateway(targets="[{upstream: near, model: gpt-a-2026}]")
    gateway.post(CHAT, principal=US)
    assert json.loads(stage.first.received[0].body) == {**CHAT, "model": "gpt-a-2026"}


def test_a_hosted_tool_is_refused_unless_the_upstream_may_run_it(stage: Stage) -> None:
    answered = stage.gateway().post({**CHAT, "web_search_options": {}}, principal=US)
    assert (answered.status, answered.code, stage.reached) == (400, "unsupported_field", (0, 0))


def test_a_target_that_stays_silent_time_after_time_is_left_alone(stage: Stage) -> None:
    stage.first.silent = True
    gateway = stage.gateway(SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S="0.1")
    for _ in range(5):
        assert gateway.post(CHAT, principal=EU).code == "upstream_timeout"
    assert gateway.post(CHAT, principal=EU).status == 200
    assert stage.reached == (5, 1)


def test_a_target_that_cannot_take_the_request_is_passed_over(stage: Stage) -> None:
    stage.first.status = 500
    policy = "[{upstream: near}, {upstream: claude, model: claude-a}, {upstream: far}]"
    upstream = f'  claude: {{provider: anthropic, base_url: "{refused_url()}", region: us-east-1}}\n'
    answered = stage.gateway(targets=policy, more=upstream).post({**CHAT, "logprobs": True}, principal=EU)
    assert (answered.status, stage.reached) == (200, (1, 1))


def test_a_request_that_no_target_can_take_is_the_clients_to_mend(stage: Stage) -> None:
    upstream = f'  claude: {{provider: anthropic, base_url: "{stage.urls[0]}", region: us-east-1}}\n'
    gateway = stage.gateway(targets="[{upstream: claude, model: claude-a}]", more=upstream)
    answered = gateway.post({**CHAT, "logprobs": True}, principal=EU)
    assert (answered.status, answered.code, stage.reached) == (400, "unsupported_field", (0, 0))
    assert json.loads(answered.body)["error"]["param"] == "logprobs"


def test_a_target_whose_credential_cannot_be_read_is_passed_over(stage: Stage) -> None:
    secretive = f'  secretive: {{provider: openai, base_url: "{stage.urls[0]}/v1", region: us-east-1, secret: none}}\n'
    gateway = stage.gateway(targets="[{upstream: secretive}, {upstream: far}]", more=secretive)
    assert gateway.post(CHAT, principal=EU).status == 200
    assert stage.reached == (0, 1)
    assert gateway.post(CHAT, principal=US).code == "upstream_secret_unavailable"
