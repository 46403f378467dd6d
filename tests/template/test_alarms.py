"""What raises an alarm: what callers can't tell, and what becomes of canaries."""

from typing import Any

import pytest

from tests.template.transformed import resources, transformed

_OWN = {name: alarm for name, alarm in resources("AWS::CloudWatch::Alarm").items() if "Metrics" not in alarm}


def _alarm(metric: str) -> dict[str, Any]:
    (alarm,) = (alarm for alarm in _OWN.values() if alarm["MetricName"] == metric)
    return alarm


def test_every_alarm_is_of_the_stack_and_goes_to_its_topic() -> None:
    for alarm in _OWN.values():
        assert alarm["Namespace"] == "Sallyport"
        assert alarm["Dimensions"] == [{"Name": "Stack", "Value": {"Ref": "AWS::StackName"}}]
    for alarm in resources("AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"]["Fn::If"][0] == "HasAlarmTopic"
        assert alarm["AlarmDescription"].endswith(".")


@pytest.mark.parametrize(
    "metric",
    [
        *("AuthorizerFailure", "PolicyRefreshFailure", "LimitStoreFailure", "SettlementFailure", "AuditAnchorFailure"),
        *("CanaryRolledBack", "CanaryGuardFailure", "ExternalGuardFailure"),
    ],
)
def test_what_callers_cannot_tell_raises_an_alarm(metric: str) -> None:
    alarm = _alarm(metric)
    assert (alarm["TreatMissingData"], alarm["Threshold"], alarm["Period"]) == ("notBreaching", 1, 60)
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"


def test_a_guard_that_does_not_run_raises_an_alarm_where_there_should_be_one() -> None:
    alarm = _alarm("CanaryGuardRuns")
    assert (alarm["TreatMissingData"], alarm["ComparisonOperator"]) == ("breaching", "LessThanThreshold")
    assert (alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (1, 60, 5)
    assert transformed()["Resources"]["CanaryGuardMissingAlarm"]["Condition"] == "GuardsCanaries"
