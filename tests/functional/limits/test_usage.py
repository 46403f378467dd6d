"""`sallyport usage` as an operator uses it, on totals that the router's own code wrote."""

import json
import time
from datetime import UTC, datetime

import pytest

from sallyport.limits.cost import Usage
from sallyport.limits.totals import UsageTotals, day_of
from tests.functional.limits.conftest import Counting, Run
from tests.support.aws import COUNTERS_TABLE, Emulator

DAY_S = 86_400
NOON_S = int(datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def totals(counting: Counting) -> UsageTotals:
    return UsageTotals(counting.totals(), pytest.fail)


def add(totals: UsageTotals, model: str, at_s: float, tenant: str = "acme", nanodollars: int = 10) -> None:
    totals.add(tenant=tenant, model=model, usage=Usage(100, 20, 30), nanodollars=nanodollars, now_s=at_s)


def test_usage_adds_up_by_day(run: Run, totals: UsageTotals) -> None:
    for at_s in (NOON_S, NOON_S + 1, NOON_S + DAY_S, NOON_S + 5 * DAY_S):
        add(totals, "gpt-4o", at_s)
    add(totals, "gpt-4o-mini", NOON_S, nanodollars=2_500_000_000)
    add(totals, "gpt-4o", NOON_S, tenant="other")
    add(totals, "gpt-4o", NOON_S, tenant="acm")
    result = run("usage", "--tenant", "acme", "--since", "2026-03-10", "--until", "2026-03-14")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["DAY", "REQUESTS", "INPUT", "TOKENS", "OUTPUT", "TOKENS", "CACHED", "INPUT", "TOKENS", "USD"],
        ["2026-03-10", "3", "300", "60", "90", "2.50000002"],
        ["2026-03-11", "1", "100", "20", "30", "0.00000001"],
        ["total", "4", "400", "80", "120", "2.50000003"],
    ]


def test_usage_by_model_as_json_and_csv(run: Run, totals: UsageTotals) -> None:
    add(totals, "gpt-4o", NOON_S)
    add(totals, "gpt-4o", NOON_S + DAY_S)
    add(totals, "z" * 128, NOON_S + DAY_S)
    asked = ("usage", "--tenant", "acme", "--since", "2026-03-10", "--until", "2026-03-11", "--by", "model", "--output")
    answer = json.loads(run(*asked, "json").stdout)
    assert (answer["tenant"], answer["since"], answer["until"], answer["by"]) == (
        "acme", "2026-03-10", "2026-03-11", "model",
    )  # fmt: skip
    assert [row["model"] for row in answer["rows"]] == ["gpt-4o", "z" * 128]
    assert answer["rows"][0] == {
        "model": "gpt-4o", "requests": 2, "input_tokens": 200, "output_tokens": 40, "cached_input_tokens": 60,
        "usd": "0.00000002",
    }  # fmt: skip
    assert answer["total"]["requests"] == 3
    assert run(*asked, "csv").stdout.splitlines()[:2] == [
        "model,requests,input_tokens,output_tokens,cached_input_tokens,usd",
        "gpt-4o,2,200,40,60,0.00000002",
    ]


def test_usage_of_the_last_days_has_today(run: Run, totals: UsageTotals) -> None:
    now_s = time.time()
    for days in range(3):
        add(totals, "gpt-4o", now_s - days * DAY_S)
    rows = json.loads(run("usage", "--tenant", "acme", "--since", "2d", "--output", "json").stdout)["rows"]
    assert len(rows) == 2
    assert rows[0]["day"] == day_of(now_s - DAY_S)


def test_a_stored_name_can_t_steer_the_terminal(run: Run, emulator: Emulator) -> None:
    day = day_of(time.time())
    item = {"pk": {"S": "usage#acme"}, "sk": {"S": f"{day}#\x1b[31mx"}, "requests": {"N": "1"}}
    emulator.dynamodb.put_item(TableName=COUNTERS_TABLE, Item=item)
    assert "\n?[31mx" in run("usage", "--tenant", "acme", "--by", "model").stdout


def test_usage_of_nobody_is_nothing(run: Run) -> None:
    result = run("usage", "--tenant", "nobody")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].split() == ["total", "0", "0", "0", "0", "0.00"]


@pytest.mark.parametrize(
    "options",
    [
        ("--since", "7h"),
        ("--since", "401d"),
        ("--since", "2026-02-30"),
        ("--since", "2026-03-10", "--until", "2026-03-09"),
        ("--by", "key"),
        ("--table", "Other"),
    ],
)
def test_usage_refuses_what_it_can_t_tell(run: Run, options: tuple[str, ...]) -> None:
    assert run("usage", "--tenant", "acme", *options).exit_code == 2


def test_a_table_that_isn_t_there_is_an_error_in_one_line(run: Run) -> None:
    result = run("usage", "--tenant", "acme", "--counters-table", "Missing")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: table Missing: ")


def test_a_total_is_kept_for_400_days(totals: UsageTotals, emulator: Emulator) -> None:
    add(totals, "gpt-4o", NOON_S)
    (item,) = emulator.dynamodb.scan(TableName=COUNTERS_TABLE)["Items"]
    assert (item["pk"]["S"], item["sk"]["S"]) == ("usage#acme", "2026-03-10#gpt-4o")
    assert (item["tenant"]["S"], item["model"]["S"]) == ("acme", "gpt-4o")
    assert int(item["expires_at"]["N"]) == NOON_S - DAY_S // 2 + 400 * DAY_S
