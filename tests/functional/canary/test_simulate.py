"""`sallyport canary simulate` says how long a bad canary stays."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sallyport_cli.main import main

BAD = ("--rate", "50", "--weight", "10", "--increase", "5", "--within", "1h")


def simulate(*arguments: str) -> Result:
    result = CliRunner(mix_stderr=False).invoke(main, ["canary", "simulate", *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def found(*arguments: str) -> Any:
    return json.loads(simulate(*arguments, "--json").stdout)


def test_five_points_at_50_requests_per_second_are_found_within_minutes() -> None:
    answer = found(*BAD)
    assert answer["share"] == 1.0
    assert answer["median_s"] <= 600
    lines = simulate(*BAD).stdout.splitlines()
    assert lines[0] == "10 % of 50 requests/s by 2,000 subjects, 1.00 % fail and 5.00 % more on the canary"
    assert lines[1].startswith("  in half of the runs  after ")
    assert lines[-1] == "  found                in 100 % of 100 runs within 1h"


def test_too_little_traffic_finds_nothing() -> None:
    result = simulate("--rate", "0.01", "--weight", "1", "--increase", "5", "--within", "1h")
    assert "  in half of the runs  not within 1h" in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing option"),
        ((*BAD, "--errors", "96"), "more than all requests"),
        ((*BAD, "--weight", "0"), "something to both arms"),
        ((*BAD, "--weight", "100"), "something to both arms"),
        ((*BAD, "--false-alarm", "0"), "between 0 and 100"),
        ((*BAD[:4], "--increase", "x"), "isn't a percentage"),
    ],
)
def test_simulate_refuses_what_can_t_be(arguments: tuple[str, ...], message: str) -> None:
    result = simulate(*arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
