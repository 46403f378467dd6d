"""`sallyport policy` and `sallyport ip` where what answers isn't DynamoDB or CloudFormation: one line, no traceback."""

from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from sallyport_cli.main import main
from tests.support.servers import ScriptedServer, serve

COMMANDS = (
    ("policy", "apply", "policy.yaml"),
    ("policy", "show"),
    ("policy", "history"),
    ("policy", "rollback"),
    ("ip", "deny", "192.0.2.1"),
    ("ip", "list"),
    ("ip", "check", "192.0.2.1", "--key", "A" * 16),
)
BODIES = [
    b"", b"OK", b"[]", b"null", b'"yes"', b"<html></html>", b'{"Item": {}}', b'{"Item": 5}', b'{"Items": [{}]}',
    b'{"Item": {"pk": {"S": "policy"}, "sk": {"S": "current"}}}', b'{"Items": [], "Count": 0}',
]  # fmt: skip


def run(url: str, *arguments: str) -> Result:
    result = CliRunner(mix_stderr=False).invoke(main, [*arguments, "--endpoint-url", url])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


@pytest.fixture(params=BODIES, ids=repr)
def yes_man(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Answers 200 and the same body to anything."""
    home = tmp_path_factory.mktemp("operator")
    (home / "policy.yaml").write_text("version: 1\n")
    monkeypatch.chdir(home)
    answer = serve(lambda _, peer: peer.answer(200, request.param, content_type="application/x-amz-json-1.0"), [])
    with ScriptedServer(answer) as server:
        yield server.url


def test_what_answers_200_to_anything_holds_no_policy(yes_man: str, request: pytest.FixtureRequest) -> None:
    is_empty = request.node.callspec.params["yes_man"] == BODIES[-1]
    for command in COMMANDS:
        result = run(yes_man, *command)
        if not is_empty or command[1] in {"apply", "deny"}:
            assert (command, result.exit_code, len(result.stderr.splitlines())) == (command, 1, 1)
            assert result.stderr.startswith("Error: table ConfigTable: ")


@pytest.mark.parametrize("command", [("ip", "check", "192.0.2.1"), ("policy", "show")])
def test_a_stack_is_asked_for_at_cloudformation_alone(yes_man: str, command: tuple[str, ...]) -> None:
    result = run(yes_man, *command, "--stack", "sallyport")
    assert (result.exit_code, result.stderr) == (1, "Error: stack sallyport: that endpoint has no CloudFormation\n")


def test_of_a_stack_and_a_table_one_is_to_be_left_out() -> None:
    result = run("http://127.0.0.1:1", "ip", "list", "--stack", "a", "--table", "b")
    assert (result.exit_code, "leave --table out" in result.stderr) == (2, True)
