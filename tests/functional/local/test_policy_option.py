"""`sallyport local --policy FILE` as a program: what it says of the file, and what it stores."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from sallyport_cli.local.emulated_data import emulator_clients
from sallyport_cli.main import main
from tests.functional.local.started import Running, running
from tests.functional.local.test_emulated_services import open_emulator

FIRST = "version: 1\ntenants: {demo: {suspended: false}}\n"
SECOND = "version: 1\ntenants: {demo: {suspended: true}}\n"
BROKEN = "version: 1\ntenants:\n  demo: {suspended: perhaps}\naccess: {allow: [10.0.0.1/8]}\n"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(FIRST)
    return path


def test_a_broken_policy_ends_it_before_anything_starts(tmp_path: Path, policy: Path) -> None:
    policy.write_text(BROKEN)
    with running(tmp_path, "--policy", str(policy)) as started:
        assert started.finish() == 1
        first, second = started.printed.splitlines()
    assert first.startswith(f"{policy}:3: tenants.demo.suspended: ")
    assert second.startswith(f"{policy}:4: access.allow[0]: ")


def test_a_policy_that_is_not_there_ends_it_with_the_reason(tmp_path: Path) -> None:
    with running(tmp_path, "--policy", str(tmp_path / "none.yaml")) as started:
        assert started.finish() == 1
        assert started.printed == f"{tmp_path / 'none.yaml'}: No such file or directory\n"


def test_changes_are_in_force_while_it_runs_and_mistakes_are_not(tmp_path: Path, policy: Path) -> None:
    with running(tmp_path, "--policy", str(policy)) as started:
        started.ready_url()
        started.wait_for(f"  policy     {policy} (change it while this runs)\n")
        policy.write_text(SECOND)
        started.wait_for(f"{policy}: version 2 in force within 1 second\n")
        policy.write_text(BROKEN)
        started.wait_for(f"{policy}:3: tenants.demo.suspended: ")
        started.wait_for(f"{policy}: version 2 stays in force\n")
        policy.write_text(FIRST)
        started.wait_for(f"{policy}: version 3 in force within 1 second\n")
        started.process.terminate()
        assert started.finish() == 0
        assert "Traceback" not in started.printed
        assert started.process.stdout is not None
        assert started.process.stdout.read() == ""


def test_the_lines_to_try_name_a_model_on_offer(tmp_path: Path, policy: Path) -> None:
    policy.write_text("version: 1\nmodels: {gpt-4o: {max_output_tokens: 100}}\n")
    with running(tmp_path, "--policy", str(policy)) as started:
        started.ready_url()
        assert '"model":"gpt-4o"' in started.printed


def test_the_command_works_beside_the_file(tmp_path: Path, policy: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("version: 1\naccess: {deny: [203.0.113.0/24]}\n")
    with running(tmp_path, "--policy", str(policy)) as started:
        started.ready_url()
        result = CliRunner().invoke(main, ["policy", "apply", "--endpoint-url", _aws(started), str(other)])
        assert result.exit_code == 0, result.output
        policy.write_text(SECOND)
        started.wait_for(f"{policy}: version 3 in force within 1 second\n")


def test_the_refresh_is_the_parameters_where_it_is_given(tmp_path: Path, policy: Path) -> None:
    with running(tmp_path, "--policy", str(policy), "--parameter", "PolicyRefreshSeconds=30") as started:
        started.ready_url()
        policy.write_text(SECOND)
        started.wait_for(f"{policy}: version 2 in force within 30 seconds\n")


def test_no_policy_is_written_to_another_machine(tmp_path: Path, policy: Path) -> None:
    with running(tmp_path, "--policy", str(policy), AWS_ENDPOINT_URL="http://192.0.2.1:9") as started:
        started.ready_url()
        assert "isn't on this machine: no table, secret, demo key or policy is written there\n" in started.printed
        assert "  policy  " not in started.printed


def test_a_policy_at_an_emulator_of_ones_own_is_stored_there(tmp_path: Path, policy: Path) -> None:
    async def scenario() -> None:
        async with open_emulator() as url:
            await asyncio.to_thread(_run_with, url)

    def _run_with(url: str) -> None:
        with running(tmp_path, "--policy", str(policy), AWS_ENDPOINT_URL=url) as started:
            started.ready_url()
            client, _ = emulator_clients(url, "us-east-1")
            pointer = {"pk": {"S": "policy"}, "sk": {"S": "current"}}
            item = client.get_item(TableName="ConfigTable", Key=pointer)["Item"]
            assert item["version"] == {"N": "1"}

    asyncio.run(scenario())


def _aws(started: Running) -> str:
    return started.printed.partition("  AWS        ")[2].split()[0]
