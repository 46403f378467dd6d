"""The guard as its function makes it of its environment: the real policy, the real tables, a real topic."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from sallyport.adapters.sns import SnsTopic
from sallyport.gateway.assembly.canary_guard import canary_guard
from sallyport.gateway.canary_guard import CanaryGuard
from sallyport.observability.topic import PublishError
from sallyport.policy.canary_rules import ROLLED_BACK, RUNNING, CanaryRules
from sallyport.policy.guard_parameters import read_guard_settings
from sallyport.policy.variables import ConfigurationError
from sallyport_cli.main import main
from tests.functional.canary_guard.conftest import HOUR_S, STACK, Context, Scene
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE, LOCAL_AWS, Emulator

ENVIRON = {
    **LOCAL_AWS,
    "SALLYPORT_STACK": STACK,
    "SALLYPORT_CONFIG_TABLE": CONFIG_TABLE,
    "SALLYPORT_COUNTERS_TABLE": COUNTERS_TABLE,
    "SALLYPORT_SECRET_PREFIX": "guarded/upstreams/",
    "SALLYPORT_UPSTREAM_BASE_URL": "https://api.openai.com/v1",
    "SALLYPORT_UPSTREAM_REGION": "us-east-1",
    "SALLYPORT_UPSTREAM_CONNECT_TIMEOUT_S": "5",
    "SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S": "60",
    "SALLYPORT_LOG_LEVEL": "INFO",
}
OWN_CANARY = {"SALLYPORT_CANARY_WEIGHT": "5", "SALLYPORT_CANARY_MODEL": "gpt-next"}
POLICY = """\
version: 1
upstreams:
  eu: {provider: openai, base_url: https://eu.example.com/v1, region: eu-west-1}
models:
  gpt-4o: {targets: [{upstream: eu, model: gpt-4o}]}
canaries:
  - name: next
    model: gpt-4o
    target: {upstream: eu, model: gpt-next}
    steps: [{weight: 1, hold: 10m}, {weight: 10, hold: 1h}, {weight: 100}]
    guard: {min_requests: 100, min_subjects: 8}
"""

type Make = Callable[..., CanaryGuard]
type Apply = Callable[[str], None]


@pytest.fixture
def make(scene: Scene, emulator: Emulator) -> Make:
    """Make a guard of an environment, with the scene's clock."""
    return lambda **more: canary_guard({**ENVIRON, "AWS_ENDPOINT_URL": emulator.url, **more}, lambda: scene.now_s)


@pytest.fixture
def apply(emulator: Emulator, tmp_path: Path) -> Apply:
    """Put a policy into force."""

    def apply(text: str) -> None:
        (tmp_path / "policy.yaml").write_text(text)
        command = ["policy", "apply", str(tmp_path / "policy.yaml"), "--endpoint-url", emulator.url]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output

    return apply


@pytest.fixture
def letters(emulator: Emulator) -> Callable[[], list[dict[str, Any]]]:
    """A topic, whose messages come to a queue: what has come since the last time."""
    topics = boto3.client("sns", endpoint_url=emulator.url, region_name="eu-west-1")
    queues = boto3.client("sqs", endpoint_url=emulator.url, region_name="eu-west-1")
    topic = topics.create_topic(Name="canaries")["TopicArn"]
    url = queues.create_queue(QueueName="canaries")["QueueUrl"].replace("https://", "http://")
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    queues.purge_queue(QueueUrl=url)

    def read() -> list[dict[str, Any]]:
        return [json.loads(one["Body"]) for one in queues.receive_message(QueueUrl=url).get("Messages", [])]

    return read


TOPIC = "arn:aws:sns:eu-west-1:123456789012:canaries"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_without_a_policy_or_a_canary_there_is_nothing_to_do(
    scene: Scene, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scene.run(make()) == {}
    assert scene.states.read().states == {}
    said = lines(capsys)
    assert [line for line in said if "CanaryGuardRuns" in line]
    assert not [line for line in said if "CanaryGuardFailure" in line or line.get("level") == "ERROR"]


def test_the_parameters_canary_is_watched(scene: Scene, make: Make) -> None:
    guard = make(**OWN_CANARY)
    assert scene.run(guard) == {"parameters": "hold"}
    scene.count(_own_rules(), failed=20, buckets=range(30))
    assert scene.run(guard) == {"parameters": "roll_back"}
    assert scene.state("parameters").phase == ROLLED_BACK
    assert scene.run(make(**OWN_CANARY | {"SALLYPORT_CANARY_WEIGHT": "50"})) == {"parameters": "hold"}
    assert scene.state("parameters").phase == ROLLED_BACK


def _own_rules() -> CanaryRules:
    """What the environment's canary is counted as."""
    (rules,) = read_guard_settings({**ENVIRON, **OWN_CANARY}).canaries
    return rules


def test_a_documents_canaries_take_the_place_of_the_parameters(scene: Scene, make: Make, apply: Apply) -> None:
    guard = make(**OWN_CANARY)
    assert scene.run(guard) == {"parameters": "hold"}
    apply(POLICY)
    assert scene.run(guard) == {"next": "hold"}
    assert sorted(scene.states.read().states) == ["next", "parameters"]


def test_a_rollback_outlives_documents_and_processes(scene: Scene, make: Make, apply: Apply) -> None:
    apply(POLICY)
    guard = make()
    assert scene.run(guard) == {"next": "hold"}
    scene.count(failed=10)
    assert scene.run(guard) == {"next": "roll_back"}
    apply(POLICY.replace("weight: 1,", "weight: 2,"))
    assert scene.run(guard) == scene.run(make()) == {"next": "hold"}
    apply("version: 1\n")
    assert scene.run(guard) == {}
    apply(POLICY)
    scene.now_s += 100 * HOUR_S
    assert scene.run(guard) == scene.run(make()) == {"next": "hold"}
    assert scene.state().phase == ROLLED_BACK


def test_a_new_target_in_the_document_begins_the_step_anew(scene: Scene, make: Make, apply: Apply) -> None:
    apply(POLICY)
    guard = make()
    scene.run(guard)
    scene.count(failed=10)
    apply(POLICY.replace("gpt-next", "gpt-newer"))
    assert [scene.run(guard) for _ in range(2)] == [{"next": "hold"}] * 2
    assert scene.state().phase == RUNNING
    assert scene.history()[-1] == ("guard", "guard", "next")


@pytest.mark.parametrize("applied", [True, False], ids=["after a good one", "at first"])
def test_a_policy_that_can_not_be_read_stops_everything(
    scene: Scene,
    make: Make,
    apply: Apply,
    emulator: Emulator,
    capsys: pytest.CaptureFixture[str],
    applied: bool,
) -> None:
    apply(POLICY)
    guard = make()
    scene.run(guard)
    scene.count(failed=10)
    pointer = {"pk": {"S": "policy"}, "sk": {"S": "current"}}
    emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item={**pointer, "version": {"N": "2"}})
    capsys.readouterr()
    assert scene.run(guard if applied else make(**OWN_CANARY)) == {}
    assert scene.state().phase == RUNNING
    said = lines(capsys)
    assert len([line for line in said if "CanaryGuardFailure" in line]) == 1
    assert [line["reason"] for line in said if line.get("level") == "ERROR"] == [
        "the pointer to the applied policy is broken"
    ]


def test_a_verdict_comes_to_the_topic_in_its_own_region(
    scene: Scene, make: Make, apply: Apply, letters: Callable[[], list[dict[str, Any]]]
) -> None:
    apply(POLICY)
    guard = make(SALLYPORT_CANARY_TOPIC=TOPIC)
    scene.run(guard)
    scene.count(failed=10)
    assert scene.run(guard) == {"next": "roll_back"}
    (letter,) = letters()
    assert letter["Subject"] == "Canary next rolled back in guarded"
    assert json.loads(letter["Message"])["reason"] == scene.state().reason
    attributes = {name: value["Value"] for name, value in letter["MessageAttributes"].items()}
    assert attributes == {"stack": STACK, "canary": "next", "action": "roll_back"}
    scene.run(guard)
    assert letters() == []


def test_a_topic_that_is_gone_is_told_and_changes_no_verdict(
    scene: Scene, make: Make, apply: Apply, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(POLICY)
    guard = make(SALLYPORT_CANARY_TOPIC=TOPIC.replace("canaries", "gone"))
    scene.run(guard)
    scene.count(failed=10)
    capsys.readouterr()
    assert scene.run(guard) == {"next": "roll_back"}
    said = lines(capsys)
    assert [line["reason"] for line in said if line.get("level") == "ERROR"] == ["NotFound"]
    assert len([line for line in said if "CanaryGuardFailure" in line]) == 1
    assert scene.state().phase == ROLLED_BACK


def test_a_topic_that_can_not_be_reached_is_an_error() -> None:
    topic = SnsTopic(TOPIC, {**LOCAL_AWS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with pytest.raises(PublishError, match="EndpointConnectionError"):
        topic.publish("subject", "message", {"stack": STACK})


def test_nothing_is_read_before_the_first_event(emulator: Emulator) -> None:
    guard = canary_guard({**ENVIRON, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert guard({}, Context()) == {"canaries": {}}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SALLYPORT_CONFIG_TABLE", ""),
        ("SALLYPORT_COUNTERS_TABLE", ""),
        ("SALLYPORT_CANARY_TOPIC", "canaries"),
        ("SALLYPORT_CANARY_TOPIC", "arn:aws:sqs:eu-west-1:123456789012:canaries"),
        ("SALLYPORT_CANARY_WEIGHT", "101"),
        ("AWS_REGION", ""),
    ],
)
def test_a_broken_environment_is_refused_at_the_start(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match="AWS" if variable == "AWS_REGION" else variable):
        canary_guard({**ENVIRON, **OWN_CANARY, variable: value})
