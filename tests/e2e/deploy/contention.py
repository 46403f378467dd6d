"""Many processes at one limit, with the counters in ministack's DynamoDB."""

from typing import Any

import boto3

from tests.support.aws import COUNTERS_TABLE, table_properties
from tests.support.contention import EDGE_MS, SIZES, Crowd, Outcome, Target, make_job

REPEATS = range(15)
LIMIT = 12
MOST = max(SIZES)


def check_contention(url: str) -> list[tuple[str, Any, Any]]:
    """What was asked of the limiter, what came, what was expected: of all repeats, the first that went wrong."""
    target = _make_table(url)
    with Crowd() as crowd:
        return [
            *(_exact(crowd, target, processes) for processes in SIZES),
            _repeated(crowd, "at a window's edge", Outcome(40, 0, ()), _edge_jobs(target)),
            _repeated(crowd, "5-50 ms late", Outcome(LIMIT, 0, ()), _late_jobs(target)),
            _lost(crowd, target),
        ]


def _make_table(url: str) -> Target:
    session = boto3.Session("local", "local", region_name="us-east-1")
    dynamodb = session.client("dynamodb", endpoint_url=url)
    dynamodb.create_table(TableName="contention", **table_properties(COUNTERS_TABLE))
    return Target(url, "contention")


def _exact(crowd: Crowd, target: Target, processes: int) -> tuple[str, Any, Any]:
    calls = LIMIT // processes + 1
    jobs = [make_job(target, f"key#exact{processes}.{repeat}", processes, LIMIT, calls) for repeat in REPEATS]
    return _repeated(crowd, "at once", Outcome(LIMIT, 0, ()), jobs)


def _edge_jobs(target: Target) -> list[dict[str, Any]]:
    clock_ms = [EDGE_MS - 1, EDGE_MS]
    return [make_job(target, f"key#edge.{repeat}", MOST, 40, 2, clock_ms=clock_ms) for repeat in REPEATS]


def _late_jobs(target: Target) -> list[dict[str, Any]]:
    return [make_job(target, f"key#late.{repeat}", MOST, LIMIT, 1, delay_ms=(5, 50)) for repeat in REPEATS]


def _repeated(crowd: Crowd, how: str, expected: Outcome, jobs: list[dict[str, Any]]) -> tuple[str, Any, Any]:
    outcomes = [crowd.run(job) for job in jobs]
    wrong = [outcome for outcome in outcomes if outcome != expected]
    return f"{jobs[0]['processes']} processes {how}, {len(jobs)} times", (wrong or outcomes)[0], expected


def _lost(crowd: Crowd, target: Target) -> tuple[str, Any, Any]:
    outcomes = [crowd.run(make_job(target, f"key#lost.{i}", MOST, LIMIT, 1, lose=0.1)) for i in REPEATS]
    over = max(outcome.admitted for outcome in outcomes) - LIMIT
    short = max(LIMIT - outcome.timeouts - outcome.admitted for outcome in outcomes)
    call = f"{MOST} processes with every tenth answer lost, {len(REPEATS)} times: too many, too few"
    return call, (max(over, 0), max(short, 0)), (0, 0)
