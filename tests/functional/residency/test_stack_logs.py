"""Records of a deployed stack: from the log groups of its routes, beside the anchors of its own table."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from click.exceptions import ClickException

from sallyport_cli.residency.anchors_table import anchors_table_of
from sallyport_cli.residency.evidence import Evidence, gather
from sallyport_cli.target import Target
from tests.functional.residency.conftest import ANCHORS_TABLE, Gateway

GROUPS = ("chat-completions", "responses", "embeddings", "messages", "count-tokens", "app")


class Pages(NamedTuple):
    """A paginator."""

    paginate: Callable[..., Iterator[dict[str, Any]]]


class Logs:
    """CloudWatch Logs of one stack; every group but the first is empty. `asked` are the requests."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.asked: list[dict[str, Any]] = []
        self.groups: list[dict[str, Any]] = []

    def get_paginator(self, operation: str) -> "Pages":
        return Pages(self._described if operation == "describe_log_groups" else self._filtered)

    def _described(self, **request: Any) -> Iterator[dict[str, Any]]:
        assert request == {"logGroupNamePrefix": "/sallyport/s/"}
        yield {"logGroups": self.groups}

    def _filtered(self, **request: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(request)
        if request["logGroupName"].endswith(f"/{GROUPS[0]}"):
            for line in self.lines:
                yield {"events": [{"message": line, "timestamp": 5}]}  # all within one millisecond


class CloudFormation:
    """Knows one stack's table of anchors."""

    def describe_stack_resource(self, StackName: str, LogicalResourceId: str) -> dict[str, Any]:  # noqa: N803 - AWS's
        if (StackName, LogicalResourceId) != ("s", "AnchorsTable"):
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no such"}}, "DescribeStackResource")
        return {"StackResourceDetail": {"PhysicalResourceId": ANCHORS_TABLE}}


class Deployed(Target):
    """A stack in AWS, with services of its own."""

    services: dict[str, Any]

    def client(self, service: str, config: Any = None) -> Any:
        return self.services[service]


def deployed(gateway: Gateway, lines: Sequence[str], stack: str = "s") -> Deployed:
    target = Deployed(stack, None, "us-east-1", None)
    services = {"logs": Logs(lines), "dynamodb": gateway.dynamodb, "cloudformation": CloudFormation()}
    object.__setattr__(target, "services", services)  # a Target is frozen
    return target


def evidence(target: Target, now_s: float) -> Evidence:
    return gather(target, 7200, None, None, now_s)


def test_all_routes_that_send_something_are_read_from_a_day_before(gateway: Gateway) -> None:
    target, now_s = deployed(gateway, []), 1_700_000_000
    evidence(target, now_s)
    asked = target.services["logs"].asked
    assert [request["logGroupName"] for request in asked] == [f"/sallyport/s/{group}" for group in GROUPS]
    assert {request["filterPattern"] for request in asked} == {'{ $.message = "audit" }'}
    assert {request["startTime"] for request in asked} == {1_699_833_600_000}  # 2023-11-13, 00:00 UTC


def test_records_of_one_millisecond_are_in_the_order_of_their_numbers(gateway: Gateway) -> None:
    gateway.instance().request()
    found = evidence(deployed(gateway, gateway.lines[::-1]), time.time())
    assert (found.is_whole, len(found.chains[0].records)) == (True, 2)


def test_what_was_anchored_just_now_may_not_be_in_the_logs_yet(gateway: Gateway) -> None:
    instance = gateway.instance()
    instance.request()
    anchored_s = instance.now_s
    assert evidence(deployed(gateway, []), anchored_s + 30).is_whole
    assert not evidence(deployed(gateway, []), anchored_s + 61).is_whole


def test_a_stack_that_is_not_there_is_one_line(gateway: Gateway) -> None:
    with pytest.raises(ClickException, match="stack other: An error occurred"):
        anchors_table_of(deployed(gateway, [], stack="other"), None)


@pytest.mark.parametrize(
    ("days", "created_s"),
    [(30, 0), (1, 1_699_990_000), (None, 0)],
    ids=["kept long enough", "younger than that", "for ever"],
)
def test_a_period_that_logs_still_have_is_checked(gateway: Gateway, days: int | None, created_s: int) -> None:
    target = deployed(gateway, [])
    kept = {} if days is None else {"retentionInDays": days}
    target.services["logs"].groups = [{"creationTime": created_s * 1000, **kept}]
    assert evidence(target, 1_700_000_000).is_whole


@pytest.mark.parametrize(
    ("days", "advice"), [(1, "give --log-file with"), (7, "give --since 5d or less, or --log-file with")]
)
def test_a_period_that_logs_have_lost_is_refused(gateway: Gateway, days: int, advice: str) -> None:
    target = deployed(gateway, [])
    target.services["logs"].groups = [{"creationTime": 0, "retentionInDays": days}]
    with pytest.raises(ClickException, match=f"they don't go back that far, by LogRetentionDays; {advice}"):
        gather(target, 30 * 86_400, None, None, 1_700_000_000)
