"""The embedded DynamoDB and Secrets Manager: tables as the template has them, calls strictly one after another."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from sallyport.identity.api_keys import parse
from sallyport_cli.local.children import Child
from sallyport_cli.local.emulated_data import create_secret, create_tables, emulator_clients
from sallyport_cli.local.guardian import Guardian
from sallyport_cli.local.seed import seed_demo_key
from sallyport_cli.local.stack import load_stack
from sallyport_cli.main import main
from tests.functional.local.stub import write_stack


@asynccontextmanager
async def open_emulator() -> AsyncIterator[str]:
    with Guardian() as guardian:
        child = await Child.start(["sallyport_cli.local.moto_process"], guardian)
        try:
            yield child.url
        finally:
            await child.stop()


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[str], Any]], None]:
    """Runs a blocking scenario, with an emulator that has the stub stack's tables."""
    stack = load_stack(write_stack(tmp_path), {})

    async def run(scenario: Callable[[str], Any]) -> None:
        async with open_emulator() as url:
            await asyncio.to_thread(create_tables, emulator_clients(url, "us-east-1")[0], stack)
            await asyncio.to_thread(scenario, url)

    return lambda scenario: asyncio.run(run(scenario))


type Play = Callable[[Callable[[str], Any]], None]


def test_concurrent_updates_are_all_counted(play: Play) -> None:
    def scenario(url: str) -> None:
        client, _ = emulator_clients(url, "us-east-1")

        def add(_: int) -> None:
            client.update_item(
                TableName="ConfigTable",
                Key={"pk": {"S": "c"}, "sk": {"S": "c"}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(add, range(200)))
        found = client.get_item(TableName="ConfigTable", Key={"pk": {"S": "c"}, "sk": {"S": "c"}})
        assert found["Item"]["n"] == {"N": "200"}

    play(scenario)


def test_a_silent_connection_holds_nobody_up(play: Play) -> None:
    def scenario(url: str) -> None:
        parts = urlsplit(url)
        with socket.create_connection((str(parts.hostname), parts.port or 0)):
            client, _ = emulator_clients(url, "us-east-1")
            assert client.list_tables()["TableNames"] == ["ConfigTable"]

    play(scenario)


def test_the_demo_key_is_stored_as_a_hash(play: Play) -> None:
    def scenario(url: str) -> None:
        client, secrets = emulator_clients(url, "us-east-1")
        text = seed_demo_key(client, "ConfigTable")
        parts = parse(text)
        assert parts is not None
        found = client.get_item(TableName="ConfigTable", Key={"pk": {"S": f"key#{parts.key_id}"}, "sk": {"S": "key"}})
        assert found["Item"]["secret_sha256"] == {"S": parts.secret_sha256}
        assert text not in json.dumps(found["Item"])
        create_secret(secrets, "s/openai", "one")
        create_secret(secrets, "s/openai", "two")
        assert secrets.get_secret_value(SecretId="s/openai")["SecretString"] == "two"

    play(scenario)


@pytest.mark.parametrize("url", ["https://dynamodb.us-east-1.amazonaws.com", "http://192.0.2.1:8000", "http://h:1"])
def test_nothing_is_written_to_another_machine(url: str) -> None:
    with pytest.raises(ValueError, match="isn't on this machine"):
        emulator_clients(url, "us-east-1")


def test_a_created_key_is_shown_once_and_stored_with_what_it_grants(play: Play) -> None:
    def scenario(url: str) -> None:
        arguments = [
            "keys",
            "create",
            "--tenant",
            "acme",
            "--name",
            "ci",
            "--models",
            "a,b",
            "--residency",
            "eu-west-1",
        ]
        arguments += ["--requests-per-minute", "5", "--expires-in", "90d", "--scopes", "chat", "--table", "ConfigTable"]
        arguments += ["--region", "us-east-1", "--endpoint-url", url, "--output", "json"]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        made = json.loads(result.stdout)
        client, _ = emulator_clients(url, "us-east-1")
        key = {"pk": {"S": f"key#{made['key_id']}"}, "sk": {"S": "key"}}
        item = client.get_item(TableName="ConfigTable", Key=key)["Item"]
        parts = parse(made["key"])
        assert parts is not None
        assert {
            name: next(iter(value.values()))
            for name, value in item.items()
            if name not in ("created_at", "created_by", "not_after")
        } == {
            "pk": f"key#{made['key_id']}",
            "sk": "key",
            "secret_sha256": parts.secret_sha256,
            "tenant": "acme",
            "name": "ci",
            "subject": "ci",
            "scopes": "chat",
            "models": "a,b",
            "residency": "eu-west-1",
            "requests_per_minute": "5",
        }
        assert int(item["not_after"]["N"]) - int(item["created_at"]["N"]) == 90 * 86_400

    play(scenario)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tenant", "a"],
        ["--tenant", "a", "--name", "b"],
        ["--tenant", "a", "--name", "b", "--table", "t", "--stack", "s"],
        ["--tenant", "a b", "--name", "b", "--table", "t"],
        ["--tenant", "a", "--name", "b", "--table", "t", "--expires-in", "soon"],
        ["--tenant", "a", "--name", "b", "--table", "t", "--scopes", "admin"],
        ["--tenant", "a", "--name", "b", "--table", "t", "--residency", "mars"],
    ],
)
def test_a_broken_key_request_is_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["keys", "create", *arguments]).exit_code == 2
