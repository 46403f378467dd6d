"""How a new version of the functions comes into use: at once or gradually, and never not at all."""

import re
from typing import Any

import pytest

from tests.template.transformed import dump, resources, source, transformed

FUNCTIONS = sorted(resources("AWS::Lambda::Function"))
GRADUALLY = {"Deployment": "Canary10Percent5Minutes"}
_NOT_OF_A_VERSION = ("Events", "VersionDescription", "DeploymentPreference")


def _of_type(kind: str, parameters: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    found = transformed(parameters)["Resources"].items()
    return {name: resource for name, resource in found if resource["Type"] == kind}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_called_by_its_alias(name: str) -> None:
    alias = resources("AWS::Lambda::Alias")[f"{name}Aliaslive"]
    assert (alias["Name"], alias["FunctionName"]) == ("live", {"Ref": name})
    called = {dump(each["FunctionName"]) for each in resources("AWS::Lambda::Permission").values()}
    assert dump({"Ref": f"{name}Aliaslive"}) in called
    assert dump({"Ref": name}) not in called
    assert dump({"Fn::GetAtt": [name, "Arn"]}) not in called


def test_a_deployment_is_all_at_once_unless_a_parameter_says_otherwise() -> None:
    assert not [kind for kind in (r["Type"] for r in transformed()["Resources"].values()) if "CodeDeploy" in kind]
    assert not any("UpdatePolicy" in alias for alias in _of_type("AWS::Lambda::Alias").values())


@pytest.mark.parametrize(
    "deployment", [each for each in source()["Parameters"]["Deployment"]["AllowedValues"] if each != "AllAtOnce"]
)
def test_a_gradual_deployment_shifts_every_alias_by_code_deploy(deployment: str) -> None:
    aliases = _of_type("AWS::Lambda::Alias", {"Deployment": deployment})
    assert all("CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"] for alias in aliases.values())
    groups = _of_type("AWS::CodeDeploy::DeploymentGroup", {"Deployment": deployment})
    assert sorted(groups) == [f"{name}DeploymentGroup" for name in FUNCTIONS]
    configured = {dump(group["Properties"]["DeploymentConfigName"]) for group in groups.values()}
    assert configured == {dump({"Fn::Sub": ["CodeDeployDefault.Lambda${ConfigName}", {"ConfigName": deployment}]})}


def test_code_deploy_goes_back_on_an_alarm() -> None:
    for group in _of_type("AWS::CodeDeploy::DeploymentGroup", GRADUALLY).values():
        condition, alarms, _ = group["Properties"]["AlarmConfiguration"]["Fn::If"]
        assert (condition, alarms["Enabled"]) == ("DeploysGradually", True)
        assert [alarm["Name"]["Ref"] for alarm in alarms["Alarms"]] == [
            *("FunctionErrorsAlarm", "ApiFailuresAlarm", "AuthorizerFailureAlarm")
        ]
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["Properties"]["AutoRollbackConfiguration"]["Events"]


def test_errors_of_every_function_count_but_the_authorizers() -> None:
    """For Lambda each of its 401s is an error. CloudWatch takes ten metrics in an alarm's expression."""
    metrics = resources("AWS::CloudWatch::Alarm")["FunctionErrorsAlarm"]["Metrics"]
    looked_at = [each["MetricStat"]["Metric"] for each in metrics if "MetricStat" in each]
    assert {each["MetricName"] for each in looked_at} == {"Errors"}
    named = sorted(each["Dimensions"][0]["Value"]["Ref"] for each in looked_at)
    assert named == [name for name in FUNCTIONS if name != "AuthorizerFunction"]
    assert len(named) <= 10


@pytest.mark.parametrize("alarm", ["FunctionErrorsAlarm", "ApiFailuresAlarm"])
def test_alarms_of_a_deployment_cost_nothing_where_it_is_at_once(alarm: str) -> None:
    assert transformed()["Resources"][alarm]["Condition"] == "DeploysGradually"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_new_configuration_or_layer_makes_a_new_version(name: str) -> None:
    """SAM makes a version when the template changes; a version's description can't change without a new one."""
    (version,) = (each for each in resources("AWS::Lambda::Version").values() if each["FunctionName"] == {"Ref": name})
    assert {"ConfigurationVersion", "Layer"} == set(re.findall(r"\$\{(\w+)\}", version["Description"]["Fn::Sub"][0]))
    assert version["Description"]["Fn::Sub"][1]["Layer"] == resources("AWS::Lambda::Function")[name]["Layers"][0]
    assert "${ConfigurationVersion}" in resources("AWS::Lambda::Function")[name]["Description"]["Fn::Sub"]
    assert source()["Resources"][name]["Properties"]["AutoPublishAliasAllProperties"] is True


def test_every_parameter_of_a_function_is_part_of_its_configuration() -> None:
    document = source()
    functions = [r["Properties"] for r in document["Resources"].values() if r["Type"] == "AWS::Serverless::Function"]
    parts = [document["Globals"]["Function"], *functions]
    text = dump([{key: part[key] for key in part if key not in _NOT_OF_A_VERSION} for part in parts])
    names = _names_in(text + "".join(dump(document["Conditions"][each]) for each in _conditions_in(text)))
    (configuration,) = resources("AWS::AppConfig::HostedConfigurationVersion").values()
    written = configuration["Content"]["Fn::Sub"].splitlines()
    assert written == [f"{name}=${{{name}}}" for name in document["Parameters"] if name in names]


def _names_in(text: str) -> set[str]:
    return {*re.findall(r'"Ref": "(\w+)"', text), *re.findall(r"\$\{(\w+)\}", text)}


def _conditions_in(text: str) -> set[str]:
    """Those that a part of the template hangs on, with those that they hang on themselves."""
    found = set(re.findall(r'"(?:Fn::If": \[|Condition": )"(\w+)"', text))
    conditions = source()["Conditions"]
    return found | {each for name in found for each in _conditions_in(dump(conditions[name]))}
