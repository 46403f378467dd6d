"""The commands, run in this process against emulated tables, and instances that anchor in them."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_anchors import DynamoDbAnchorStore
from sallyport_cli.main import main
from tests.functional.residency.chain_of import Instance
from tests.support.aws import LOCAL_AWS, Emulator, table_properties

type Run = Callable[..., Result]

ANCHORS_TABLE = "AnchorsTable"


class Gateway:
    """A stack whose instances anchor in the emulator; `lines` are what its functions printed."""

    def __init__(self, emulator: Emulator) -> None:
        self.dynamodb = emulator.dynamodb
        self.client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})
        self.lines: list[str] = []
        self.begun_s = time.time() - 3600

    def store(self, retention_days: int = 0) -> DynamoDbAnchorStore:
        return DynamoDbAnchorStore(self.client, ANCHORS_TABLE, retention_days)

    def instance(self, chain: str = "s-chat/0a") -> Instance:
        return Instance(self.lines, self.store(), chain, self.begun_s)

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


@pytest.fixture
def gateway(emulator: Emulator) -> Gateway:
    emulator.empty_tables()
    if ANCHORS_TABLE in emulator.dynamodb.list_tables()["TableNames"]:
        emulator.dynamodb.delete_table(TableName=ANCHORS_TABLE)
    emulator.dynamodb.create_table(TableName=ANCHORS_TABLE, **table_properties(ANCHORS_TABLE))
    return Gateway(emulator)


@pytest.fixture
def run(gateway: Gateway, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `sallyport` in an empty directory; `text` is written to policy.yaml first."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str | None = None, text: str | None = None) -> Result:
        if text is not None:
            (tmp_path / "policy.yaml").write_text(text)
        arguments = (*arguments, "--endpoint-url", emulator.url)
        result = CliRunner(mix_stderr=False).invoke(main, arguments, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run
