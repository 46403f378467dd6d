"""A stable upstream, a canary's, and the gateway before them; what was counted of both arms is read from the table."""

import json
from contextlib import ExitStack
from typing import Any

import pytest

from sallyport.gateway.assembly.provider_route import Clocks, provider_route
from sallyport.gateway.operations import CHAT_COMPLETIONS, Operation
from sallyport.routing.breaker import FAILURES_TO_OPEN
from tests.functional.router.gateway import CHAT, Gateway, Upstream, apply_policy, environ, frozen
from tests.support.aws import COUNTERS_TABLE, Emulator
from tests.support.events import ACME
from tests.support.servers import ScriptedServer, refused_url

EU = ACME._replace(residency=("us-east-1", "eu-central-1"))
TESTER = ACME._replace(scopes=("chat", "canary"))
WHOLE = "{name: next, model: gpt-a, target: {upstream: new}, weight: 99.99}"
NONE = "{name: next, model: gpt-a, target: {upstream: new}, weight: 0.01}"
US = "provider: openai, store: true, region: us-east-1"
AWAY = "provider: openai, store: true, region: eu-central-1"
ANTHROPIC = "provider: anthropic, region: us-east-1"
FIELDS = ("canary", "arm", "canary_note", "canary_override")

type Counts = dict[str, dict[str, int]]
"""By arm, the sums of all buckets' attributes."""


class CanaryStage:
    """Makes gateways; each reads the policy that it is made with."""

    def __init__(self, store: Emulator, servers: ExitStack) -> None:
        self.store = store
        self.stable, self.canary = Upstream(), Upstream()
        self.stable.body, self.canary.body = b'{"id": "stable"}', b'{"id": "canary"}'
        self.urls = [servers.enter_context(ScriptedServer(each)).url for each in (self.stable, self.canary)]

    def gateway(
        self,
        canary: str = WHOLE,
        *,
        targets: str = "[{upstream: old}]",
        canary_url: str = "",
        old: str = US,
        new: str = US,
        more: str = "",
        operation: Operation = CHAT_COMPLETIONS,
        **env: str,
    ) -> Gateway:
        """Apply a policy with this canary, or several with commas between. `old`, `new`: fields of the upstreams."""
        old_url, new_url = (
            url + ("/v1" if "openai" in fields else "")
            for url, fields in ((self.urls[0], old), (canary_url or self.urls[1], new))
        )
        apply_policy(
            self.store,
            f"""
upstreams:
  old: {{{old}, base_url: "{old_url}"}}
  new: {{{new}, base_url: "{new_url}"}}
models:
  gpt-a: {{targets: {targets}, max_output_tokens: 100, price: {{input: 1, output: 4}}}}
  gpt-b: {{targets: {targets}}}
canaries: [{canary}]
{more}
""",
        )
        route = provider_route(operation, Clocks(now_s=frozen, sleep=lambda _: None))
        changes = {"SALLYPORT_ALLOWED_REGIONS": "us-east-1,eu-central-1", **env}
        return Gateway(route(environ(self.store, self.urls[0], **changes)), self.stable)

    @property
    def reached(self) -> tuple[int, int]:
        return len(self.stable.received), len(self.canary.received)

    def counts(self) -> Counts:
        return counts(self.store)


def counts(store: Emulator) -> Counts:
    found: Counts = {}
    for item in store.dynamodb.scan(TableName=COUNTERS_TABLE)["Items"]:
        if item["pk"]["S"].startswith("canary#"):
            arm = found.setdefault(item["sk"]["S"].partition("#")[0], {})
            for name, value in item.items():
                if "N" in value and name != "expires_at":
                    arm[name] = arm.get(name, 0) + int(value["N"])
    return found


def outcomes(found: Counts) -> dict[str, tuple[int, int]]:
    """Give requests and failures by arm."""
    return {arm: (amounts["n"], amounts.get("e", 0)) for arm, amounts in found.items()}


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def request_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Give the last log line of a request."""
    return [line for line in lines(capsys) if line.get("message") == "request"][-1]


def part(line: dict[str, Any]) -> tuple[Any, ...]:
    """Give a line's four fields of a canary."""
    return tuple(line.get(name) for name in FIELDS)


def dead_canary(stage: CanaryStage, fault: str, **options: Any) -> Gateway:
    """Give a gateway whose canary can't serve anyone, once that is known.

    `down`: its breaker is open; `locked`: its credential can't be read; `key`: its upstream refuses the credential.
    """
    if fault == "down":
        gateway = stage.gateway(canary_url=refused_url(), **options)
        for _ in range(FAILURES_TO_OPEN):
            assert gateway.post(CHAT).status == 502
        return gateway
    stage.canary.wanted_key = "another" if fault == "key" else None
    return stage.gateway(new=f"{US}, secret: {'missing' if fault == 'locked' else 'canary'}", **options)


def plain_gateway(stage: CanaryStage, **settings: str) -> Gateway:
    """Give a gateway without a policy document."""
    variables = environ(stage.store, stage.urls[0], **settings)
    return Gateway(provider_route(CHAT_COMPLETIONS)(variables), stage.stable)
