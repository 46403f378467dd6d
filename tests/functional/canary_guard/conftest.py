"""The guard beside emulated tables, with a clock, a policy and a topic that a test holds."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_canaries import DynamoDbCanaryStateStore
from sallyport.adapters.dynamodb_canary_counts import DynamoDbCanaryCounts
from sallyport.gateway.canary_announcements import Announcements
from sallyport.gateway.canary_guard import CanaryGuard, Rooms
from sallyport.observability.log import Logger
from sallyport.policy.canary_counts import BOUNDS_MS, KEPT_S, Outcomes, Place
from sallyport.policy.canary_rules import CanaryRules, CanaryState, CanaryStep, GuardRules
from sallyport.policy.canary_states import Change, with_state
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_rules import Target
from sallyport.routing.canary import run_in_force, state_of
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE, LOCAL_AWS, Emulator

STACK = "guarded"
START_S = 1_800_000_000
HOUR_S = 3600
PATIENCE_S = 60.0
RULES = CanaryRules(
    name="next",
    models=("gpt-4o",),
    routes=(),
    apps=(),
    target=Target("eu", "gpt-next", ("eu-west-1",)),
    parameters={},
    steps=(CanaryStep(100, 600), CanaryStep(1000, HOUR_S), CanaryStep(10_000)),
    guard=GuardRules(min_subjects=8),
)
LATER = RULES._replace(name="later", models=("gpt-4o-mini",))


class HeldPolicy:
    """A policy that a test sets; an exception is raised."""

    def __init__(self, *canaries: CanaryRules) -> None:
        self.canaries = canaries
        self.error: Exception | None = None

    def get(self) -> RouterRules:
        if self.error is not None:
            raise self.error
        return RouterRules(version=1, limits=(), tenant_limits={}, models=None, canaries=self.canaries)


class HeldTopic:
    """Remembers what was published; an exception is raised."""

    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, Any], Mapping[str, str]]] = []
        self.error: Exception | None = None

    def publish(self, subject: str, message: str, attributes: Mapping[str, str]) -> None:
        if self.error is not None:
            raise self.error
        self.published.append((subject, json.loads(message), attributes))


class Context:
    """An invocation's, with a minute left."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class Scene:
    """Tables, a clock, and what guards say."""

    def __init__(self, emulator: Emulator, *canaries: CanaryRules) -> None:
        environ = {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url}
        client = AwsClient(DYNAMODB, environ, left_s=lambda: PATIENCE_S, timeout_s=PATIENCE_S, total_s=PATIENCE_S)
        self.states = DynamoDbCanaryStateStore(client, CONFIG_TABLE)
        self.counts = DynamoDbCanaryCounts(client, COUNTERS_TABLE)
        self.policy = HeldPolicy(*canaries)
        self.topic = HeldTopic()
        self.now_s = float(START_S)
        self.lines: list[dict[str, Any]] = []
        self._emulator = emulator
        logger = Logger("guard", STACK, write=lambda line: self.lines.append(json.loads(line)))
        announcements = Announcements(logger, self.topic, STACK)
        self.rooms = Rooms(self.policy, self.states, self.counts, announcements, STACK, lambda: self.now_s)

    def guard(self, **rooms: Any) -> CanaryGuard:
        """Make a guard as a new process does."""
        return CanaryGuard(self.rooms._replace(**rooms))

    def run(self, guard: CanaryGuard | None = None) -> dict[str, str]:
        """Let a minute pass, have a guard look, a new one unless it is named, and give what became of each canary."""
        self.now_s += 60
        answer = (guard or self.guard())({}, Context())
        actions: dict[str, str] = answer["canaries"]
        return actions

    def state(self, name: str = "next") -> CanaryState:
        """Give what is stored of a canary."""
        return self.states.read().states[name]

    def set_state(self, name: str = "next", **fields: Any) -> None:
        """Change a canary's state as an operator does."""
        states = self.states.read()
        after = with_state(states, name, states.states[name]._replace(**fields), STACK)
        self.states.write(states, after, Change(int(self.now_s), "jane", "set", name, "by hand"))

    def count(
        self, rules: CanaryRules = RULES, *, failed: int = 0, of: int = 20, buckets: Sequence[int] = range(12)
    ) -> None:
        """Count what routers would now: on the canary `failed` of so many requests fail in each bucket, else none."""
        run = run_in_force(rules, state_of(rules, self.states.read()), self.now_s)
        for bucket in buckets:
            for arm, bad in (("stable", 0), ("canary", failed)):
                outcomes = Outcomes(of, bad, 0, 0, 0, 0, 0, 0, (of, *[0] * len(BOUNDS_MS)))
                self.counts.add(Place(rules.name, run, arm, bucket), outcomes, int(self.now_s) + KEPT_S)

    def history(self) -> list[tuple[str, str, str]]:
        """Give who changed what of which canary, the oldest first."""
        items = self._emulator.dynamodb.scan(TableName=CONFIG_TABLE)["Items"]
        entries = sorted(
            (item for item in items if item["pk"]["S"] == "canaryhistory"), key=lambda item: item["sk"]["S"]
        )
        return [(entry["by"]["S"], entry["what"]["S"], entry["canary"]["S"]) for entry in entries]

    def metrics(self, name: str) -> list[dict[str, str]]:
        """Give the dimensions of each time a metric was written."""
        written = [line for line in self.lines if name in line and "_aws" in line]
        return [{key: line[key] for key in line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]} for line in written]

    def said(self, message: str) -> list[dict[str, Any]]:
        """Give the log lines of a message."""
        return [line for line in self.lines if line.get("message") == message]


@pytest.fixture
def scene(emulator: Emulator) -> Scene:
    """One canary in the policy."""
    emulator.empty_tables()
    return Scene(emulator, RULES)


@pytest.fixture
def begun(scene: Scene) -> Scene:
    """The same, seen by the guard for the first time."""
    assert scene.run() == {"next": "hold"}
    return scene
