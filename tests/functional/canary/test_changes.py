"""Canaries from start to end, as an operator moves them, and the history of it."""

import getpass
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from sallyport.policy.canary_rules import CanaryRules, CanaryState, CanaryStates, CanaryStep
from sallyport.policy.canary_states import Change, StateConflictError
from sallyport_cli.canary.changes import Order
from sallyport_cli.canary.ordering import carry_out
from sallyport_cli.canary.state_table import CanaryTable
from tests.functional.canary.conftest import Run, Traffic
from tests.support.aws import CONFIG_TABLE, Emulator

RULES = CanaryRules("next", ("gpt-4o",), (), (), None, {"seed": 1}, (CanaryStep(100, 600), CanaryStep(10_000)))
OPERATOR = getpass.getuser()


def test_a_canary_goes_from_its_start_to_all_traffic(canary: Callable[..., str], traffic: Traffic) -> None:
    assert (
        canary("start", "later").splitlines()[0]
        == "later: running at 5 %, step 1 of 1 (was stopped at 0 %, step 1 of 1)"
    )
    assert canary("set", "later", "--weight", "12.5").startswith("later: running at 12.5 %, ")
    assert canary("pause", "later").startswith("later: paused at 12.5 %, ")
    assert canary("resume", "later").startswith("later: running at 12.5 %, ")
    assert canary("promote", "later").startswith("later: promoted at 100 %, ")
    assert canary("abort", "later").splitlines() == [
        "later: stopped at 0 %, step 1 of 1 (was promoted at 100 %, step 1 of 1)",
        "version 6; in force within PolicyRefreshSeconds (10 by default)",
    ]
    assert traffic.states.read().states["later"].phase == "stopped"


def test_steps_are_counted_from_1(canary: Callable[..., str], status: Callable[[str], Any]) -> None:
    assert canary("set", "next", "--step", "2").startswith("next: running at 10 %, step 2 of 3 (was running at 1 %, ")
    assert (status("next")["step"], status("next")["weight"]) == (2, 10.0)


def test_the_first_change_keeps_the_key_that_routers_derive(canary: Callable[..., str], traffic: Traffic) -> None:
    canary("start", "later")
    assert traffic.states.read().key == hashlib.sha256(b"sallyport canary sallyport").hexdigest()


def test_each_weight_is_counted_apart_and_a_pause_isn_t(
    canary: Callable[..., str], status: Callable[[str], Any]
) -> None:
    runs = [status("next")["run"]]
    for command in (
        ("set", "next", "--weight", "5"),
        ("pause", "next"),
        ("resume", "next"),
        ("set", "next", "--step", "1"),
    ):
        canary(*command)
        runs.append(status("next")["run"])
    assert [run.partition("-")[0] for run in runs] == ["0", "1", "1", "3", "4"]


def test_the_history_says_who_changed_what_and_why(canary: Callable[..., str], run: Run) -> None:
    canary("set", "next", "--weight", "5", "--note", "slowly")
    canary("start", "later")
    lines = canary("history").splitlines()
    assert [line.split("Z  ")[1] for line in lines] == [
        f"{OPERATOR}  start later: untouched -> running (step 1)",
        f"{OPERATOR}  set next: untouched -> running (5 %)  (slowly)",
    ]
    [entry] = json.loads(canary("history", "next", "--json"))
    assert (entry["version"], entry["what"], entry["canary"], entry["by"]) == (1, "set", "next", OPERATOR)
    assert (entry["before"], entry["after"]["weight"]) == (None, 5.0)
    assert set(entry["after"]) == {"phase", "step", "weight", "since", "by", "reason", "run"}
    assert run("canary", "history", "prev").stderr == "prev was never changed\n"
    assert len(canary("history", "--limit", "1").splitlines()) == 1


def test_a_rollback_stays_until_it_is_resumed(canary: Callable[..., str], run: Run, traffic: Traffic) -> None:
    canary("set", "next", "--step", "2")
    before = traffic.states.read()
    state = CanaryState("rolled_back", 1, 1_700_000_000, "2-0f3a55c1", None, "errors", "guard")
    after = before._replace(version=2, states={"next": state})
    traffic.states.write(before, after, Change(1_700_000_000, "guard", "guard", "next", "errors"))
    refused = run("canary", "promote", "next")
    assert (refused.exit_code, refused.stderr) == (
        1, "Error: next is rolled back: `resume` or `start` begins it again, `abort` ends it\n",
    )  # fmt: skip
    assert canary("resume", "next").startswith("next: running at 1 %, step 1 of 3 (was rolled back at 0 %")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("set", "next"), "give --weight or --step"),
        (("set", "next", "--weight", "5", "--step", "2"), "give one of them"),
        (("set", "next", "--weight", "100.5"), "isn't a percentage"),
        (("set", "next", "--weight", "5.125"), "two decimals at most"),
        (("set", "next", "--step", "0"), "0 is not in the range"),
        (("start",), "Missing argument 'NAME'"),
        (("abort", "next", "--note", "two\nlines"), "in one line"),
        (("abort", "next", "--parameter", "Models=x"), "Models is none of"),
        (("abort", "next", "--parameter", "CanaryWeight=5"), "CanaryWeight: a canary needs CanaryModel"),
    ],
)
def test_a_command_refuses_what_it_can_t_mean(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("canary", *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_a_canary_that_isn_t_in_force_is_told(run: Run) -> None:
    result = run("canary", "abort", "prev")
    assert (result.exit_code, result.stderr) == (1, "Error: no canary prev in force; there are: next, later\n")


def test_stack_parameters_make_a_canary_of_their_own(bare: Run) -> None:
    parameters = ("--parameter", "CanaryWeight=5", "--parameter", "CanaryModel=gpt-next")
    refused = bare("canary", "abort", "parameters")
    assert (refused.exit_code, "give --stack, or --parameter" in refused.stderr) == (1, True)
    result = bare("canary", "abort", "parameters", *parameters)
    assert result.stdout.startswith("parameters: stopped at 0 %, step 1 of 1 (was running at 5 %, step 1 of 1)"), (
        result.stderr
    )


class Racing:
    """A table in which somebody else is faster, so many times."""

    def __init__(self, table: CanaryTable, times: int) -> None:
        self._table = table
        self._times = times

    def read(self) -> CanaryStates:
        return self._table.read()

    def write(self, before: CanaryStates, after: CanaryStates, change: Change) -> CanaryStates:
        if self._times:
            self._times -= 1
            carry_out(Order("set", "other", weight=200 + self._times), RULES, self._table, "s")
        return self._table.write(before, after, change)


def test_who_comes_second_looks_again_and_changes_what_is_there(emulator: Emulator, traffic: Traffic) -> None:
    table = CanaryTable(emulator.dynamodb, CONFIG_TABLE)
    done = carry_out(Order("pause", "me"), RULES, Racing(table, 1), "s")
    assert (done.version, done.before.weight, done.after.weight) == (2, 200, 200)
    assert [entry.change.by for entry in table.history("", 9)] == ["me", "other"]


def test_who_comes_second_twice_is_told(emulator: Emulator, traffic: Traffic) -> None:
    table = CanaryTable(emulator.dynamodb, CONFIG_TABLE)
    with pytest.raises(StateConflictError):
        carry_out(Order("pause", "me"), RULES, Racing(table, 2), "s")
    assert [entry.change.by for entry in table.history("", 9)] == ["other", "other"]


def test_without_the_stack_s_name_a_new_key_is_made(
    emulator: Emulator, traffic: Traffic, capsys: pytest.CaptureFixture[str]
) -> None:
    table = CanaryTable(emulator.dynamodb, CONFIG_TABLE)
    carry_out(Order("pause", "me"), RULES, table, None)
    first = table.read().key
    assert "callers are put on their arms anew" in capsys.readouterr().err
    carry_out(Order("resume", "me"), RULES, table, None)
    assert (table.read().key, capsys.readouterr().err) == (first, "")
