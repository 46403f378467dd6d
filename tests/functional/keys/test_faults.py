"""`sallyport keys` where the table isn't there, isn't DynamoDB, or does not answer: one line, and no key reported."""

from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from sallyport.identity.api_keys import parse
from sallyport_cli.key_items import KeyGrant
from sallyport_cli.keys.table import KeyTable
from sallyport_cli.main import main
from tests.functional.keys.command import Keys
from tests.support.aws import CONFIG_TABLE
from tests.support.servers import ScriptedServer, refused_url, serve

KEY_ID = "0" * 16
COMMANDS = (
    ("create", "--tenant", "acme", "--name", "app"),
    ("list",),
    ("show", KEY_ID),
    ("revoke", KEY_ID),
    ("rotate", KEY_ID),
)
NO_ITEMS = b'{"Items": [], "Count": 0}'
BODIES = [b"", b"OK", b"{}", b"[]", b"null", b'"yes"', b"<html></html>", b'{"Item": {}}', b'{"Items": [{}]}', NO_ITEMS]


def run(url: str, *arguments: str) -> Result:
    return CliRunner(mix_stderr=False).invoke(main, ["keys", *arguments, "--endpoint-url", url])


def error_of(url: str, *arguments: str) -> str:
    """The one line on stderr of a command that fails, and nothing on stdout."""
    result = run(url, *arguments)
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@pytest.fixture(params=BODIES, ids=repr)
def yes_man(request: pytest.FixtureRequest) -> Iterator[str]:
    """Answers 200 and the same body to anything."""
    answer = serve(lambda _, peer: peer.answer(200, request.param, content_type="application/x-amz-json-1.0"), [])
    with ScriptedServer(answer) as server:
        yield server.url


def test_what_answers_200_to_anything_has_made_no_key_and_holds_none(
    yes_man: str, request: pytest.FixtureRequest
) -> None:
    for command in (COMMANDS[0], *COMMANDS[2:]):
        message = error_of(yes_man, *command)
        assert "sp_" not in message
        assert message.startswith(("Error: table ConfigTable: ", "Error: no such key: "))
    if request.node.callspec.params["yes_man"] == NO_ITEMS:
        assert run(yes_man, "list", "--output", "json").stdout == "[]\n"
    else:
        assert "isn't DynamoDB" in error_of(yes_man, "list")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_table_that_is_missing_is_told_in_a_line(keys: Keys, command: tuple[str, ...]) -> None:
    message = error_of(keys.url, *command, "--table", "nowhere")
    assert message.startswith("Error: table nowhere: ")
    assert "ResourceNotFoundException" in message


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_emulator_that_is_down_is_told_in_a_line(command: tuple[str, ...]) -> None:
    assert error_of(refused_url(), *command).startswith("Error: table ConfigTable: ")


def test_a_list_without_the_counters_is_a_list_all_the_same(keys: Keys) -> None:
    made = keys.create()
    properties = keys.emulator.dynamodb.describe_table(TableName="CountersTable")["Table"]
    keys.emulator.dynamodb.delete_table(TableName="CountersTable")
    try:
        result = keys.run("list")
        assert (result.exit_code, made["key_id"] in result.stdout) == (0, True)
        assert "when keys were last used can't be told: " in result.stderr
    finally:
        keys.emulator.dynamodb.create_table(
            TableName="CountersTable",
            AttributeDefinitions=properties["AttributeDefinitions"],
            KeySchema=properties["KeySchema"],
            BillingMode="PAY_PER_REQUEST",
        )


class Repeating:
    """A client whose writes arrive twice, as after an answer that was lost."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.exceptions = client.exceptions

    def transact_write_items(self, **request: Any) -> Any:
        self._client.transact_write_items(**request)
        return self._client.transact_write_items(**request)

    def update_item(self, **request: Any) -> Any:
        self._client.update_item(**request)
        return self._client.update_item(**request)

    def get_item(self, **request: Any) -> Any:
        return self._client.get_item(**request)


def test_a_write_that_arrived_twice_is_a_write(keys: Keys) -> None:
    client: Any = Repeating(keys.emulator.dynamodb)
    table = KeyTable(client, CONFIG_TABLE)
    key, _ = table.create(KeyGrant("acme", "app"), 1_800_000_000)
    assert parse(key.text) is not None
    assert keys.verdict(key.text) == "good"
    revoked = table.revoke(key.key_id, "me", 1_800_000_000)
    assert revoked is not None
    assert revoked[1]


class Throttled:
    """A client whose transactions are made or not, and told to have been cancelled in any case."""

    def __init__(self, client: Any, *, makes_them: bool) -> None:
        self._client = client
        self._makes_them = makes_them
        self.exceptions = client.exceptions

    def transact_write_items(self, **request: Any) -> Any:
        if self._makes_them:
            self._client.transact_write_items(**request)
        error = {"Code": "TransactionCanceledException", "Message": "cancelled: [ThrottlingError, None]"}
        raise self.exceptions.TransactionCanceledException({"Error": error}, "TransactWriteItems")

    def get_item(self, **request: Any) -> Any:
        return self._client.get_item(**request)


def test_a_key_that_is_there_is_made_whatever_was_said_of_it(keys: Keys) -> None:
    client: Any = Throttled(keys.emulator.dynamodb, makes_them=True)
    key, _ = KeyTable(client, CONFIG_TABLE).create(KeyGrant("acme", "app"), 1_800_000_000)
    assert keys.verdict(key.text) == "good"
    assert keys.count() == 1


def test_a_key_that_was_not_made_is_told_with_the_reason(keys: Keys) -> None:
    client: Any = Throttled(keys.emulator.dynamodb, makes_them=False)
    with pytest.raises(click.ClickException, match=r"table ConfigTable: .*cancelled: \[ThrottlingError, None\]"):
        KeyTable(client, CONFIG_TABLE).create(KeyGrant("acme", "app"), 1_800_000_000)
    assert keys.count() == 0


def test_a_list_that_cannot_be_read_to_its_end_is_an_error(keys: Keys) -> None:
    keys.create()
    pauses: list[float] = []
    client: Any = Busy(keys.emulator.dynamodb)
    with pytest.raises(click.ClickException, match="table ConfigTable: too busy, items left unread: 1"):
        KeyTable(client, CONFIG_TABLE, pause=pauses.append).items()
    assert pauses == [0.1, 0.2, 0.4, 0.8]


class Busy:
    """A client that reads no batch."""

    def __init__(self, client: Any) -> None:
        self.get_paginator = client.get_paginator

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        return {"Responses": {}, "UnprocessedKeys": RequestItems}


def test_neither_a_stack_nor_a_table_is_a_usage_error() -> None:
    result = CliRunner(mix_stderr=False).invoke(main, ["keys", "list"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "give --table or --stack" in result.stderr
