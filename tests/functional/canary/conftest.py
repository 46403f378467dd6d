"""The commands, run in this process against emulated tables, and outcomes counted as the routers count them."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_canaries import DynamoDbCanaryStateStore
from sallyport.adapters.dynamodb_canary_counts import DynamoDbCanaryCounts
from sallyport.policy.canary_counts import BOUNDS_MS, KEPT_S, Outcomes, Place
from sallyport_cli.main import main
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE, LOCAL_AWS, Emulator

type Run = Callable[..., Result]

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
    guard: {max_error_increase: 0.02, min_requests: 200, min_subjects: 20}
  - name: later
    route: responses
    parameters: {temperature: 0.2}
    steps: [{weight: 5}]
    start: command
"""


class Traffic:
    """Counts outcomes as a router does, and reads states as the guard does."""

    def __init__(self, emulator: Emulator) -> None:
        client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})
        self.counts = DynamoDbCanaryCounts(client, COUNTERS_TABLE)
        self.states = DynamoDbCanaryStateStore(client, CONFIG_TABLE)

    def count(self, run: str, arm: str, failed: int, requests: int = 20, buckets: Sequence[int] = range(40)) -> None:
        """Count so many requests in each bucket, each of 200 ms with the first byte after 50 ms."""
        histogram = (0, requests, *(0,) * (len(BOUNDS_MS) - 1))
        outcomes = Outcomes(requests, failed, 0, 0, 100, 30, 200 * requests, 50 * requests, histogram)
        for bucket in buckets:
            self.counts.add(Place("next", run, arm, bucket), outcomes, int(time.time()) + KEPT_S)


@pytest.fixture
def traffic(emulator: Emulator) -> Traffic:
    emulator.empty_tables()
    return Traffic(emulator)


@pytest.fixture
def bare(traffic: Traffic, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `sallyport` in an empty directory on empty tables; `text` is written to policy.yaml first."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, text: str | None = None) -> Result:
        if text is not None:
            (tmp_path / "policy.yaml").write_text(text)
        result = CliRunner(mix_stderr=False).invoke(main, [*arguments, "--endpoint-url", emulator.url])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def run(bare: Run) -> Run:
    """The same, with the policy in force."""
    result = bare("policy", "apply", "policy.yaml", text=POLICY)
    assert result.exit_code == 0, result.stderr
    return bare


@pytest.fixture
def canary(run: Run) -> Callable[..., str]:
    """What `sallyport canary` prints when all goes well."""

    def canary(*arguments: str) -> str:
        result = run("canary", *arguments)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return canary


@pytest.fixture
def status(canary: Callable[..., str]) -> Callable[[str], Any]:
    """What `status NAME --json` says."""

    return lambda name: json.loads(canary("status", name, "--json"))
