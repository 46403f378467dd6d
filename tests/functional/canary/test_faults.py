"""`sallyport canary` where what answers isn't AWS, or a stored state is broken: one line, no traceback."""

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from sallyport_cli.main import main
from tests.functional.canary.conftest import Run
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE, Emulator
from tests.support.servers import ScriptedServer, serve

PARAMETERS = ("--parameter", "CanaryWeight=5", "--parameter", "CanaryModel=gpt-next")
COMMANDS = (
    ("list", *PARAMETERS), ("status", *PARAMETERS), ("history",), ("abort", "parameters", *PARAMETERS),
)  # fmt: skip
BODIES = [
    b"", b"OK", b"[]", b"null", b"<html></html>", b'{"Item": 5}', b'{"Item": {}}', b'{"Items": [{}]}',
    b'{"Items": 5}', b'{"Items": [], "Count": 0}',
]  # fmt: skip


def run_at(url: str, *arguments: str) -> Result:
    result = CliRunner(mix_stderr=False).invoke(main, ["canary", *arguments, "--endpoint-url", url])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


@pytest.fixture(params=BODIES, ids=repr)
def yes_man(request: pytest.FixtureRequest) -> Iterator[str]:
    """Answers 200 and the same body to anything."""
    answer = serve(lambda _, peer: peer.answer(200, request.param, content_type="application/x-amz-json-1.0"), [])
    with ScriptedServer(answer) as server:
        yield server.url


def test_what_answers_200_to_anything_holds_no_canaries(yes_man: str, request: pytest.FixtureRequest) -> None:
    is_empty = request.node.callspec.params["yes_man"] == BODIES[-1]
    for command in COMMANDS:
        result = run_at(yes_man, *command)
        if not is_empty or command[0] == "abort":
            assert (command, result.exit_code, len(result.stderr.splitlines())) == (command, 1, 1)
            assert result.stderr.startswith("Error: table ConfigTable: ")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("states", {"S": "[]"}), ("states", {"S": "{"}), ("version", {"S": "1"}), ("key", {"S": "zz"})],
)
def test_a_broken_state_is_told_and_left_as_it_is(
    run: Run, canary: Callable[..., str], emulator: Emulator, attribute: str, value: dict[str, str]
) -> None:
    canary("pause", "next")
    key = {"pk": {"S": "policy#canaries"}, "sk": {"S": "state"}}
    item = emulator.dynamodb.get_item(TableName=CONFIG_TABLE, Key=key)["Item"]
    broken = {**item, attribute: value}
    emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item=broken)
    result = run("canary", "abort", "next")
    assert (result.exit_code, result.stderr) == (1, "Error: table ConfigTable: the stored canary states are broken\n")
    assert emulator.dynamodb.get_item(TableName=CONFIG_TABLE, Key=key)["Item"] == broken


def test_a_broken_history_and_broken_counts_are_told(run: Run, canary: Callable[..., str], emulator: Emulator) -> None:
    emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item={"pk": {"S": "canaryhistory"}, "sk": {"S": "x"}})
    assert run("canary", "history").stderr == "Error: table ConfigTable: the history of canaries is broken\n"
    name = canary("status", "next").split("run     ")[1].split()[0]
    item = {"pk": {"S": f"canary#next#{name}"}, "sk": {"S": "stable#x"}}
    emulator.dynamodb.put_item(TableName=COUNTERS_TABLE, Item=item)
    assert run("canary", "status").stderr == "Error: table CountersTable: the stored canary counts are broken\n"


def test_counters_that_can_t_be_found_are_asked_for(run: Run) -> None:
    result = run("canary", "status", "--table", "Other")
    assert result.exit_code in {1, 2}
    assert run("canary", "status", "--counters-table", "Missing").stderr.startswith("Error: table Missing: ")
