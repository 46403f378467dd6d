"""The commands, run in this process against emulated tables, and the router's own limiter on the same ones."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.adapters.dynamodb_totals import DynamoDbTotalsStore
from sallyport.limits.rules import Decision
from sallyport.limits.sliding import SlidingLimiter
from sallyport.policy.limit_rules import LimitRule
from sallyport_cli.main import main
from tests.support.aws import COUNTERS_TABLE, LOCAL_AWS, Emulator

type Run = Callable[..., Result]


class Counting:
    """Charges as a router does, at the present time."""

    def __init__(self, emulator: Emulator) -> None:
        self._client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})
        self._dynamodb = emulator.dynamodb
        self.now_ms = time.time_ns() // 1_000_000

    def charge(self, member: str, rules: Sequence[LimitRule], cost: Mapping[str, int]) -> Decision:
        decision = self.limiter().admit(member, rules, cost)
        assert decision.admitted
        return decision

    def limiter(self) -> SlidingLimiter:
        """A limiter that remembers nothing, as in a new instance."""
        return SlidingLimiter(DynamoDbCounterStore(self._client, COUNTERS_TABLE), lambda: self.now_ms)

    def totals(self) -> DynamoDbTotalsStore:
        return DynamoDbTotalsStore(self._client, COUNTERS_TABLE)

    def item(self, member: str) -> dict[str, Any]:
        """A member's attributes, numbers as they are; empty if there is no item."""
        key = {"pk": {"S": f"limit#{member}"}, "sk": {"S": "window"}}
        item = self._dynamodb.get_item(TableName=COUNTERS_TABLE, Key=key).get("Item", {})
        return {name: int(value["N"]) for name, value in item.items() if "N" in value}

    def pks(self) -> set[str]:
        """The partitions of the table."""
        return {item["pk"]["S"] for item in self._dynamodb.scan(TableName=COUNTERS_TABLE)["Items"]}


@pytest.fixture
def counting(emulator: Emulator) -> Counting:
    emulator.empty_tables()
    return Counting(emulator)


@pytest.fixture
def run(counting: Counting, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `sallyport` in an empty directory on empty tables; `text` is written to policy.yaml first."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, text: str | None = None, stdin: str | None = None) -> Result:
        arguments = (*arguments, "--endpoint-url", emulator.url)
        if text is not None:
            (tmp_path / "policy.yaml").write_text(text)
        result = CliRunner(mix_stderr=False).invoke(main, arguments, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def shown(run: Run) -> Callable[..., list[dict[str, Any]]]:
    """What `limits show` says, as JSON's rows."""

    def shown(*arguments: str) -> list[dict[str, Any]]:
        result = run("limits", "show", *arguments, "--output", "json")
        assert result.exit_code == 0, result.stderr
        rows = json.loads(result.stdout)["limits"]
        assert isinstance(rows, list)
        return rows

    return shown
