"""Log lines and metrics, next to those of Powertools: an operator's queries read both."""

import json
from typing import Any

import pytest
from aws_lambda_powertools import Logger as PowertoolsLogger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from sallyport.observability.log import Failure, Logger


def own_lines(level: int = 20) -> tuple[Logger, list[str]]:
    lines: list[str] = []
    return Logger("Chat", "acme-ai", level, lines.append, lambda: 1_800_000_000.25), lines


def test_a_line_has_powertools_field_names(capsys: pytest.CaptureFixture[str]) -> None:
    logger, lines = own_lines()
    logger.info("request", status=200)
    PowertoolsLogger(service="sallyport", use_rfc3339=True).info("request", extra={"status": 200})
    theirs = json.loads(capsys.readouterr().out)
    ours = json.loads(lines[0])
    assert set(theirs) - set(ours) == {"location"}  # a place in the source: the message says which line it is
    assert {name: theirs[name] for name in ("level", "message", "service", "status")} == {
        name: ours[name] for name in ("level", "message", "service", "status")
    }
    assert len(ours["timestamp"]) == len("2027-01-15T08:00:00.250Z")
    assert ours["timestamp"] == "2027-01-15T08:00:00.250Z"


def test_a_metric_is_powertools_metric(capsys: pytest.CaptureFixture[str]) -> None:
    logger, lines = own_lines()
    logger.metric("AuthorizerFailure", 1)
    with single_metric("AuthorizerFailure", MetricUnit.Count, 1, namespace="Sallyport") as metric:
        metric.add_dimension("Stack", "acme-ai")
    theirs, ours = json.loads(capsys.readouterr().out), json.loads(lines[0])
    assert _definition(theirs) == _definition(ours)
    assert theirs["Stack"] == ours["Stack"]
    assert theirs["AuthorizerFailure"] == [ours["AuthorizerFailure"]]  # the format has one value, or a list of them


def _definition(line: dict[str, Any]) -> tuple[Any, Any, Any]:
    definition = line["_aws"]["CloudWatchMetrics"][0]
    metric = {"Name": definition["Metrics"][0]["Name"], "Unit": definition["Metrics"][0]["Unit"]}
    return definition["Namespace"], [set(names) - {"service"} for names in definition["Dimensions"]], metric


@pytest.mark.parametrize(("level", "expected"), [(10, 3), (20, 3), (30, 2), (40, 1)])
def test_lines_below_the_level_are_not_written(level: int, expected: int) -> None:
    logger, lines = own_lines(level)
    logger.info("a")
    logger.warning("b")
    logger.error("c")
    assert len(lines) == expected


def test_what_is_unknown_is_left_out() -> None:
    logger, lines = own_lines()
    logger.info("request", tenant=None, status=200)
    assert "tenant" not in json.loads(lines[0])


def test_a_line_is_one_line_whatever_a_field_holds() -> None:
    logger, lines = own_lines()
    logger.info("request", model='a\nb"\ud800\u2028')
    assert "\n" not in lines[0]
    assert lines[0].isascii()


def test_a_failure_is_told_by_type_and_place_and_never_by_its_message() -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        int("prompt-secret")
    failure = Failure.of(caught.value)
    assert failure.type == "ValueError"
    assert failure.location.startswith("test_log_formats.py:")
    assert "secret" not in str(failure)
