"""The functions, roles, tables and layers of the transformed template."""

from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.template.transformed import ROOT, resources, source, transformed

FUNCTIONS = sorted(resources("AWS::Lambda::Function"))
ROLES = sorted(resources("AWS::IAM::Role"))
# Functions that face callers; none may change who is let in.
DOORS = FUNCTIONS


_TABLES = {"dynamodb:GetItem": "ConfigTable", "dynamodb:UpdateItem": "CountersTable"}
_AUTHORIZERS_ITEMS = {
    "dynamodb:GetItem": ["key#*", "policy", "policy#*"],
    "dynamodb:UpdateItem": ["failure#*", "used#*"],
}
_ROUTERS_ITEMS = {
    "dynamodb:GetItem": ["policy", "policy#*"],
    "dynamodb:UpdateItem": ["limit#*", "usage#*"],
}


def _function(name: str) -> dict[str, Any]:
    return resources("AWS::Lambda::Function")[name]


def _statements(role: str) -> list[dict[str, Any]]:
    policies = resources("AWS::IAM::Role")[role].get("Policies", [])
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def _actions(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else action


def _keys(statement: dict[str, Any]) -> list[str]:
    keys: list[str] = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", [])
    return keys


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_logs_to_a_group_of_its_own_that_forgets(name: str) -> None:
    group = _function(name)["LoggingConfig"]["LogGroup"]["Ref"]
    others = [_function(other)["LoggingConfig"]["LogGroup"]["Ref"] for other in FUNCTIONS if other != name]
    assert group not in others
    assert resources("AWS::Logs::LogGroup")[group]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_runs_the_layers_runtime(name: str) -> None:
    function = _function(name)
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    assert function["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/bootstrap"
    (layer,) = function["Layers"]
    condition, arm, x86 = layer["Fn::If"]
    assert condition == "IsArm"
    assert arm["Ref"].startswith("CommonLayerArm")
    assert x86["Ref"].startswith("CommonLayerX86")
    assert "TracingConfig" not in function


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_a_handler_in_the_checkout(name: str) -> None:
    code_uri = source()["Resources"][name]["Properties"]["CodeUri"]
    module, _, attribute = _function(name)["Handler"].partition(".")
    assert attribute == "handler"
    assert (ROOT / code_uri / f"{module}.py").is_file()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_a_role_of_its_own(name: str) -> None:
    role = _function(name)["Role"]["Fn::GetAtt"][0]
    assert role == name.removesuffix("Function") + "Role"


@pytest.mark.parametrize("role", ROLES)
def test_role_names_its_actions_and_resources(role: str) -> None:
    for statement in _statements(role):
        assert not [action for action in _actions(statement) if "*" in action]
        assert "NotAction" not in statement
        assert "NotResource" not in statement
        assert statement["Resource"] != "*"


@pytest.mark.parametrize("role", ROLES)
def test_role_reaches_only_its_own_items_and_secrets(role: str) -> None:
    authorizer = role == "AuthorizerRole"
    for statement in _statements(role):
        (action,) = _actions(statement) if "logs" not in _actions(statement)[0] else ("logs",)
        if action == "logs":
            assert statement["Resource"]["Fn::GetAtt"] == [role.removesuffix("Role") + "Logs", "Arn"]
        elif action == "secretsmanager:GetSecretValue":
            own = "identity/*" if authorizer else "${UpstreamSecret}-??????"
            assert statement["Resource"]["Fn::Sub"].endswith(":secret:${AWS::StackName}/" + own)
        else:
            assert statement["Resource"]["Fn::GetAtt"] == [_TABLES[action], "Arn"]
            keys = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
            assert keys == (_AUTHORIZERS_ITEMS if authorizer else _ROUTERS_ITEMS)[action]


@pytest.mark.parametrize(
    ("item", "readable"),
    [
        ("key#abc", True),
        ("keys", False),
        ("policy", True),
        ("policy#0f#0000", True),
        ("policy-source#0f#0000", False),
        ("policy-history", False),
        ("canary#next", False),
    ],
)
def test_authorizer_reads_the_policy_and_not_where_it_came_from(item: str, readable: bool) -> None:
    patterns = _AUTHORIZERS_ITEMS["dynamodb:GetItem"]
    assert any(fnmatchcase(item, pattern) for pattern in patterns) is readable


@pytest.mark.parametrize("name", DOORS)
def test_doors_cannot_write_config(name: str) -> None:
    role = _function(name)["Role"]["Fn::GetAtt"][0]
    on_config = [each for each in _statements(role) if each["Resource"] == {"Fn::GetAtt": ["ConfigTable", "Arn"]}]
    assert {action for each in on_config for action in _actions(each)} <= {"dynamodb:GetItem"}


def test_only_the_authorizer_reads_keys() -> None:
    readers = [role for role in ROLES if any("key#*" in _keys(each) for each in _statements(role))]
    assert readers == ["AuthorizerRole"]


def test_every_function_that_needs_the_policy_reads_it_and_no_other() -> None:
    readers = [role for role in ROLES if any("policy" in _keys(each) for each in _statements(role))]
    assert readers == ["AuthorizerRole", "ChatCompletionsRole", "EmbeddingsRole", "ModelsRole"]


def test_only_the_routes_to_an_upstream_write_limits() -> None:
    writers = [role for role in ROLES if any("limit#*" in _keys(each) for each in _statements(role))]
    assert writers == ["ChatCompletionsRole", "EmbeddingsRole"]


def test_only_the_account_role_has_a_managed_policy() -> None:
    managed = {name for name, role in resources("AWS::IAM::Role").items() if "ManagedPolicyArns" in role}
    assert managed == {"ApiGatewayRole"}


def test_tables() -> None:
    tables = resources("AWS::DynamoDB::Table")
    assert set(tables) == {"ConfigTable", "CountersTable"}
    for table in tables.values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["SSESpecification"] == {"SSEEnabled": True}
        assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]
    assert tables["ConfigTable"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert tables["CountersTable"]["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_config_outlives_the_stack() -> None:
    config = transformed()["Resources"]["ConfigTable"]
    assert config["DeletionPolicy"] == config["UpdateReplacePolicy"] == "Retain"


def test_one_layer_per_architecture() -> None:
    layers = {
        name: resource
        for name, resource in transformed()["Resources"].items()
        if resource["Type"].endswith("LayerVersion")
    }
    built = {(layer["Condition"], *layer["Properties"]["CompatibleArchitectures"]) for layer in layers.values()}
    assert built == {("IsArm", "arm64"), ("IsX86", "x86_64")}


@pytest.mark.parametrize(
    "metric", ["AuthorizerFailure", "PolicyRefreshFailure", "LimitStoreFailure", "SettlementFailure"]
)
def test_what_callers_cannot_tell_raises_an_alarm(metric: str) -> None:
    alarms = {alarm["MetricName"]: alarm for alarm in resources("AWS::CloudWatch::Alarm").values()}
    alarm = alarms[metric]
    assert alarm["Namespace"] == "Sallyport"
    assert alarm["Dimensions"] == [{"Name": "Stack", "Value": {"Ref": "AWS::StackName"}}]
    assert (alarm["TreatMissingData"], alarm["Threshold"], alarm["Period"]) == ("notBreaching", 1, 60)
    assert alarm["AlarmActions"]["Fn::If"][0] == "HasAlarmTopic"
