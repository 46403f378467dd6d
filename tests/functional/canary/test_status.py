"""`sallyport canary list` and `status` as an operator reads them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sallyport.policy.canary_rules import CanaryRules, CanaryState, CanaryStates, CanaryStep
from sallyport.policy.canary_states import Change
from sallyport_cli.canary.standing import Position, standing_of
from sallyport_cli.canary.status_output import print_standing
from sallyport_cli.limits.bars import Look
from tests.functional.canary.conftest import POLICY, Run, Traffic


def test_the_list_says_how_far_each_has_come(canary: Callable[..., str]) -> None:
    canary("set", "next", "--weight", "2.5")
    heading, first, second = canary("list").splitlines()
    assert heading.split() == ["NAME", "PHASE", "WEIGHT", "STEP", "FOR", "TO", "STICKY", "BY", "GUARD", "SINCE"]
    assert first.split()[:11] == "next running 2.5 % 1 of 3 model gpt-4o eu/gpt-next subject".split()  # noqa: SIM905
    assert second.startswith("later  stopped  0 %")
    assert second.endswith("temperature=0.2  subject    on     -")
    assert [row["name"] for row in json.loads(canary("list", "--json"))] == ["next", "later"]


def test_what_is_not_in_force_any_more_is_told(run: Run, canary: Callable[..., str]) -> None:
    canary("start", "later")
    assert run("policy", "apply", "policy.yaml", text=POLICY[: POLICY.index("  - name: later")]).exit_code == 0
    assert "not in force any more: later, running" in run("canary", "list").stderr


def test_nothing_is_said_of_stack_parameters_that_were_not_looked_at(bare: Run) -> None:
    parameters = ("--parameter", "CanaryWeight=5", "--parameter", "CanaryModel=gpt-next")
    assert bare("canary", "pause", "parameters", *parameters).exit_code == 0
    assert "not in force" not in bare("canary", "list").stderr
    gone = bare("canary", "list", "--parameter", "CanaryWeight=0")
    assert gone.stderr.endswith("not in force any more: parameters, paused\n")


def test_without_canaries_nothing_is_listed(bare: Run) -> None:
    assert bare("canary", "status").stderr.startswith("no canary is in force\nstack parameters weren't looked at")
    listed = bare("canary", "list")
    assert (listed.stdout, listed.stderr) == ("", bare("canary", "status").stderr)
    assert bare("canary", "status", "--json").stdout == "[]\n"
    assert bare("canary", "history").stderr == "no canary was ever changed\n"


def test_a_worse_canary_is_drawn_with_its_evidence(
    canary: Callable[..., str], status: Callable[[str], Any], traffic: Traffic
) -> None:
    canary("set", "next", "--step", "2")
    run = status("next")["run"]
    traffic.count(run, "stable", failed=0)
    traffic.count(run, "canary", failed=4)
    lines = canary("status", "next").splitlines()
    assert lines[:5] == [
        "next: running, 10 %",
        "  for     model gpt-4o, sticky by subject",
        "  to      eu/gpt-next",
        "  steps   1 % 10m > [10 % 1h] > 100 %",
        "  guard   errors and refusals up to +2.00 points; false alarms 1 %; "
        "from 200 requests and 20 subjects on each arm",
    ]
    table = [line.split() for line in lines if line.startswith(("  stable ", "  canary "))]
    assert " ".join(table[0]) == "stable 800 ~48 0 0 175 ms 242 ms 248 ms 50 ms 4,000 1,200"
    assert table[1][:4] == ["canary", "800", "~48", "160"]
    assert [row[2:4] for row in table[2:4]] == [["0.00", "%"], ["20.00", "%"]]
    assert "  errors, drawn from 0 % to 50 %; intervals of 99.5 %" in lines
    errors, refusals = (line for line in lines if line.startswith("  difference: "))
    assert errors.startswith("  difference: +20.00 points  (+")
    assert errors.endswith("); up to +2.00 is let pass")
    assert refusals.startswith("  difference: +0.00 points  (-")
    assert lines[-2] == ""
    assert lines[-1].startswith("  verdict: roll back: errors: 20.00 % of the canary's requests, 0.00 % of stable's; ")


def test_what_led_to_a_rollback_is_shown_after_it(
    canary: Callable[..., str], status: Callable[[str], Any], traffic: Traffic
) -> None:
    canary("set", "next", "--step", "2")
    run = status("next")["run"]
    traffic.count(run, "canary", failed=4)
    before = traffic.states.read()
    state = CanaryState("rolled_back", 1, 1_700_000_000, "2-0f3a55c1", None, "too many errors", "guard")
    after = before._replace(version=2, states={"next": state})
    traffic.states.write(before, after, Change(1_700_000_000, "guard", "guard", "next", "too many errors"))
    found = status("next")
    assert (found["phase"], found["weight"], found["counted_run"]) == ("rolled_back", 0.0, run)
    assert found["arms"]["canary"]["failed"] == 160
    assert "ago, by guard: too many errors\n" in canary("status", "next")
    newest = canary("history").splitlines()[0]
    assert newest.endswith("Z  guard  next: running (step 2) -> rolled back (step 2)  (too many errors)")


def test_too_little_data_holds(status: Callable[[str], Any], canary: Callable[..., str], traffic: Traffic) -> None:
    canary("pause", "next")
    assert status("next")["verdict"]["reason"] == "it is paused, so it isn't judged"
    canary("resume", "next")
    traffic.count(status("next")["run"], "canary", failed=20, buckets=range(4))
    found = status("next")["verdict"]
    assert (found["action"], found["reason"].partition(":")[0]) == ("hold", "too little data")


def test_a_canary_that_the_guard_has_not_seen_yet_isn_t_moved_on(
    status: Callable[[str], Any], traffic: Traffic
) -> None:
    run = status("next")["run"]
    for arm in ("stable", "canary"):
        traffic.count(run, arm, failed=0)
    assert status("next")["verdict"]["reason"] == "no worse at 1 %; the step lasts 600 s more"


def test_all_of_a_status_is_json(status: Callable[[str], Any], canary: Callable[..., str], traffic: Traffic) -> None:
    traffic.count(status("next")["run"], "stable", failed=1)
    found = status("next")
    arm = found["arms"]["stable"]
    assert (arm["requests"], arm["failed"], arm["input_tokens"]) == (800, 40, 4000)
    assert arm["percentiles_ms"] == {"p50": 175.0, "p95": 242.5, "p99": 248.5}
    assert found["arms"]["canary"]["percentiles_ms"] == {"p50": None, "p95": None, "p99": None}
    assert [row["name"] for row in json.loads(canary("status", "--json"))] == ["next", "later"]
    assert (found["guard"]["false_alarm"], found["guard"]["max_error_increase"]) == (0.01, 0.02)


def test_stored_texts_can_t_steer_the_terminal(canary: Callable[..., str], traffic: Traffic) -> None:
    canary("pause", "next")
    before = traffic.states.read()
    state = before.states["next"]._replace(reason="\x1b[31mred\n", by="\x07guard")
    after = before._replace(version=2, states={"next": state})
    traffic.states.write(before, after, Change(1, "\x07guard", "guard", "next", "\x1b[31mred\n"))
    shown = canary("status", "next") + canary("list") + canary("history")
    assert "?guard: ?[31mred?" in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_a_terminal_gets_blocks_and_colours(capsys: pytest.CaptureFixture[str]) -> None:
    rules = CanaryRules("next", ("gpt-4o",), (), (), None, {"seed": 1}, (CanaryStep(100),))
    position = Position.of(rules, CanaryStates(), 1)
    print_standing(standing_of(position, position.run, {}, 1), Look(blocks=True, colours=True))
    shown = capsys.readouterr().out
    assert "\x1b[33mhold\x1b[0m" in shown
    assert "━" in shown
