"""Audit lines: what was reserved, and what of it is open."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.limits.rules import Charged
from sallyport.observability.log import Logger
from sallyport_cli.limits.audit_logs import lines_of_group
from sallyport_cli.limits.reservations import SPARE_S, Reserved, read_audit

NOW_S = 1_800_000_000.0


def reservation(**fields: Any) -> str:
    charges = ["tenant#acme 0f00d tokens 500 1200"]
    line = {"message": "reservation", "request_id": "r1", "tenant": "acme", "until": NOW_S - 1000, "charges": charges}
    return json.dumps({**line, **fields})


def opened(*lines: str) -> list[Reserved]:
    return read_audit(lines).open(NOW_S)


def test_a_reservation_without_a_settlement_is_open() -> None:
    charges = [("tenant#acme", Charged("0f00d", "tokens", 500, 1200))]
    assert opened(reservation()) == [Reserved("r1", "acme", NOW_S - 1000, charges)]


def test_the_routes_own_log_is_read() -> None:
    lines: list[str] = []
    logger = Logger("chat", "sallyport", 40, lines.append)
    charges = ["tenant#acme 0f00d tokens 500 1200"]
    logger.audit("reservation", request_id="r1", tenant="acme", until=5, charges=charges)
    logger.audit("reservation", request_id="r2", tenant="acme", until=5, charges=charges)
    logger.audit("settlement", request_id="r2", settled=True)
    assert [reserved.request_id for reserved in opened(*lines)] == ["r1"]


@pytest.mark.parametrize("settled", [True, False])
def test_a_settlement_closes_it_before_or_after(settled: bool) -> None:
    settlement = json.dumps({"message": "settlement", "request_id": "r1", "settled": settled})
    assert opened(reservation(), settlement) == opened(settlement, reservation()) == []
    assert read_audit([settlement, reservation()]).uncertain() == (not settled)


def test_a_failed_settlement_leaves_what_it_says_is_due() -> None:
    due = ["tenant#acme 0f00d tokens 500 -700", "key#k 0f00e usd 5 12"]
    settlement = json.dumps({"message": "settlement", "request_id": "r1", "settled": False, "due": due})
    (found,) = opened(settlement, reservation())
    assert [(member, charge.amount) for member, charge in found.charges] == [("tenant#acme", 700), ("key#k", -12)]
    assert read_audit([settlement, reservation()]).uncertain() == 0


@pytest.mark.parametrize("due", [["broken"], 5, [["a"]]])
def test_a_settlement_that_cant_be_read_is_left_alone(due: Any) -> None:
    settlement = json.dumps({"message": "settlement", "request_id": "r1", "settled": False, "due": due})
    assert opened(settlement, reservation()) == []


def test_a_function_that_may_still_settle_is_left_alone() -> None:
    assert opened(reservation(until=NOW_S - SPARE_S)) == []
    assert len(opened(reservation(until=NOW_S - SPARE_S - 1))) == 1
    assert read_audit([reservation(until=NOW_S)]).running(NOW_S) == 1


def test_requests_and_nothing_aren_t_refunded() -> None:
    charges = ["key#k 0f00d requests 5 1", "key#k 0f00e usd 5 0", "key#k 0f00a usd 5 7"]
    (reserved,) = opened(reservation(charges=charges))
    assert reserved.charges == [("key#k", Charged("0f00a", "usd", 5, 7))]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not json",
        "{",
        "[1]",
        "null",
        reservation(request_id=None),
        reservation(request_id=""),
        reservation(charges=None),
        reservation(charges=["key#k 0f00d usd 5"]),
        reservation(charges=["key#k 0f00d usd x 5"]),
        reservation(charges=[5]),
        reservation(until="soon"),
        reservation(until=None),
        reservation(message="request"),
    ],
)
def test_other_lines_are_passed_over(line: str) -> None:
    assert opened(line) == []


def test_what_stands_before_a_line_is_passed_over() -> None:
    assert len(opened(f"2027-01-15T08:00:00 2027/01/15/[$LATEST]abc {reservation()}")) == 1


@given(st.lists(st.text()))
def test_any_lines_are_read(lines: list[str]) -> None:
    assert opened(*lines) == []


class Logs:
    """Gives two pages of log events."""

    def __init__(self) -> None:
        self.asked: Mapping[str, Any] = {}

    def get_paginator(self, operation: str) -> "Logs":
        assert operation == "filter_log_events"
        return self

    def paginate(self, **request: Any) -> Iterator[Mapping[str, Any]]:
        self.asked = request
        yield {"events": [{"message": "a"}, {"message": "b"}]}
        yield {"events": [{"message": "c"}]}


def test_log_groups_are_read_page_by_page() -> None:
    logs = Logs()
    assert list(lines_of_group(logs, "/sallyport/s/embeddings", NOW_S)) == ["a", "b", "c"]
    assert logs.asked == {
        "logGroupName": "/sallyport/s/embeddings",
        "startTime": 1_800_000_000_000,
        "filterPattern": '{ $.message = "reservation" || $.message = "settlement" }',
    }
