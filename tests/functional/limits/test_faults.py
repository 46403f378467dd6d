"""`sallyport limits` and `sallyport usage` where what answers isn't AWS: one line, no traceback."""

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from sallyport_cli.main import main
from tests.support.servers import ScriptedServer, serve

RESERVED = {
    "message": "reservation",
    "request_id": "r1",
    "tenant": "acme",
    "until": 1,
    "charges": ["tenant#acme 0f00d tokens 5 1"],
}
COMMANDS = (
    ("limits", "show", "--tenant", "acme"),
    ("limits", "show", "--key", "A" * 16),
    ("limits", "reset", "--tenant", "acme", "--parameter", "TenantRequestsPerMinute=5", "--yes"),
    ("usage", "--tenant", "acme"),
)
BODIES = [b"", b"OK", b"[]", b"null", b"<html></html>", b'{"Item": 5}', b'{"Items": [{}]}', b'{"Items": 5}']


def run(url: str, *arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner(mix_stderr=False).invoke(main, [*arguments, "--endpoint-url", url], input=stdin)
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


@pytest.fixture(params=BODIES, ids=repr)
def yes_man(request: pytest.FixtureRequest) -> Iterator[str]:
    """Answers 200 and the same body to anything."""
    answer = serve(lambda _, peer: peer.answer(200, request.param, content_type="application/x-amz-json-1.0"), [])
    with ScriptedServer(answer) as server:
        yield server.url


def test_what_answers_200_to_anything_counts_nothing(yes_man: str) -> None:
    for command in COMMANDS:
        result = run(yes_man, *command)
        assert (command, result.exit_code, len(result.stderr.splitlines())) == (command, 1, 1)
        assert result.stderr.startswith("Error: table Co")


def test_nothing_is_reconciled_where_nothing_answers_as_dynamodb(yes_man: str) -> None:
    result = run(yes_man, "limits", "reconcile", "--log-file", "-", stdin=json.dumps(RESERVED))
    assert "refunded " not in result.stdout


@pytest.mark.parametrize("command", [COMMANDS[0], COMMANDS[-1]])
def test_a_stack_is_asked_for_at_cloudformation_alone(yes_man: str, command: tuple[str, ...]) -> None:
    result = run(yes_man, *command, "--stack", "sallyport")
    assert (result.exit_code, result.stderr) == (1, "Error: stack sallyport: that endpoint has no CloudFormation\n")


def test_logs_are_read_at_cloudwatch_alone(yes_man: str) -> None:
    result = run(yes_man, "limits", "reconcile", "--stack", "sallyport")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert result.stderr.startswith("Error: log group /sallyport/sallyport/chat-completions: ")
