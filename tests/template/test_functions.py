"""The functions, roles, tables and layers of the transformed template."""

from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.template.transformed import ROOT, dump, resources, source, transformed

FUNCTIONS = sorted(resources("AWS::Lambda::Function"))
ROLES = sorted(resources("AWS::IAM::Role"))
# Functions that face callers; none may change who is let in.
DOORS = [name for name in FUNCTIONS if name != "CanaryGuardFunction"]

PROVIDER_ROLES = ["ChatCompletionsRole", "CountTokensRole", "EmbeddingsRole", "MessagesRole", "ResponsesRole"]
ROUTE_ROLES = ["AppRole", *PROVIDER_ROLES]
_READ_POLICY = ("ConfigTable", ["dynamodb:GetItem"], ["policy", "policy#*"])
_AUTHORIZERS_ITEMS = ["key#*", "policy", "policy#*"]
_AUTHORIZERS = [
    ("ConfigTable", ["dynamodb:GetItem"], _AUTHORIZERS_ITEMS),
    ("CountersTable", ["dynamodb:UpdateItem"], ["failure#*", "used#*"]),
]
_ROUTES = [
    _READ_POLICY,
    ("CountersTable", ["dynamodb:UpdateItem"], ["canary#*", "limit#*", "usage#*"]),
    ("AnchorsTable", ["dynamodb:PutItem"], []),
]
_RESPONSES = ("CountersTable", ["dynamodb:GetItem", "dynamodb:PutItem"], ["response#*"])
_GUARDS = [
    ("ConfigTable", ["dynamodb:GetItem"], ["canaryhistory", "policy", "policy#*"]),
    ("ConfigTable", ["dynamodb:PutItem"], ["canaryhistory", "policy#canaries"]),
    ("CountersTable", ["dynamodb:Query"], ["canary#*"]),
]
_UPSTREAMS_SECRETS = ["${UpstreamSecret}-??????", "${CanaryUpstreamSecret}-??????", "upstreams/*"]
_NETWORK_ACTIONS = {
    *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces"),
    *("ec2:DescribeSubnets", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
}
_INVOKE = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]


def _function(name: str) -> dict[str, Any]:
    return resources("AWS::Lambda::Function")[name]


def _statements(role: str) -> list[dict[str, Any]]:
    """All statements, those on a condition too."""
    policies = resources("AWS::IAM::Role")[role].get("Policies", [])
    written = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    return [statement["Fn::If"][1] if "Fn::If" in statement else statement for statement in written]


def _condition(role: str, sid: str) -> str:
    """The condition of the stack on which a role has a statement; empty: always."""
    (policy,) = resources("AWS::IAM::Role")[role]["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]:
        if statement.get("Fn::If", ["", {}])[1].get("Sid") == sid:
            assert statement["Fn::If"][2] == {"Ref": "AWS::NoValue"}
            return str(statement["Fn::If"][0])
    return ""


def _of(role: str, service: str) -> list[dict[str, Any]]:
    return [each for each in _statements(role) if _actions(each)[0].startswith(f"{service}:")]


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
        assert statement["Resource"] != "*" or set(_actions(statement)) == _NETWORK_ACTIONS


@pytest.mark.parametrize("role", ROLES)
def test_role_writes_its_own_log_alone(role: str) -> None:
    for statement in _of(role, "logs"):
        assert statement["Resource"]["Fn::GetAtt"] == [role.removesuffix("Role") + "Logs", "Arn"]


@pytest.mark.parametrize("role", ROLES)
def test_role_reaches_only_its_own_items(role: str) -> None:
    expected = {
        "AuthorizerRole": _AUTHORIZERS,
        "CanaryGuardRole": _GUARDS,
        "ModelsRole": [_READ_POLICY],
        "ResponsesRole": [*_ROUTES, _RESPONSES],
        **{name: _ROUTES for name in ROUTE_ROLES if name != "ResponsesRole"},
    }
    reached = [(each["Resource"]["Fn::GetAtt"][0], _actions(each), _keys(each)) for each in _of(role, "dynamodb")]
    assert sorted(reached) == sorted(expected.get(role, []))


@pytest.mark.parametrize("role", ROLES)
def test_role_reads_only_its_own_secrets(role: str) -> None:
    expected = {"AuthorizerRole": ["identity/*"], "AppRole": ["upstreams/*"]}
    expected |= dict.fromkeys(PROVIDER_ROLES, _UPSTREAMS_SECRETS)
    read = [
        each["Resource"]["Fn::Sub"].partition(":secret:${AWS::StackName}/")[2] for each in _of(role, "secretsmanager")
    ]
    assert read == expected.get(role, [])
    assert {action for each in _of(role, "secretsmanager") for action in _actions(each)} <= {
        "secretsmanager:GetSecretValue"
    }


@pytest.mark.parametrize("role", ROLES)
def test_role_asks_aws_for_nothing_else(role: str) -> None:
    services = {action.partition(":")[0] for each in _statements(role) for action in _actions(each)}
    more = {"AppRole": {"ec2"}, "CanaryGuardRole": {"sns"}, **{name: {"bedrock"} for name in PROVIDER_ROLES}}
    assert services <= {"logs", "dynamodb", "secretsmanager", "kms", *more.get(role, set())}


@pytest.mark.parametrize("role", PROVIDER_ROLES)
def test_bedrock_is_invoked_in_allowed_regions_alone(role: str) -> None:
    inside, anywhere = _of(role, "bedrock")
    assert (inside["Sid"], inside["Effect"], _actions(inside)) == ("InvokeBedrockInAllowedRegions", "Allow", _INVOKE)
    allowed = {"Fn::If": ["NamesAllowedRegions", {"Ref": "AllowedRegions"}, {"Ref": "DefaultResidency"}]}
    assert inside["Condition"] == {"StringEquals": {"aws:RequestedRegion": {"Fn::Split": [",", allowed]}}}
    kinds = [arn["Fn::Sub"].rpartition(":")[2] for arn in inside["Resource"]]
    assert kinds == ["foundation-model/*", "inference-profile/*", "application-inference-profile/*"]
    assert (_condition(role, inside["Sid"]), _condition(role, anywhere["Sid"])) == ("", "AllowsGlobalInference")


@pytest.mark.parametrize("role", PROVIDER_ROLES)
def test_global_inference_is_through_a_global_profile_alone(role: str) -> None:
    """As AWS writes it (Amazon Bedrock user guide, "Global cross-Region inference")."""
    _, anywhere = _of(role, "bedrock")
    assert _actions(anywhere) == _INVOKE
    assert anywhere["Resource"] == {"Fn::Sub": "arn:${AWS::Partition}:bedrock:::foundation-model/*"}
    assert anywhere["Condition"]["StringEquals"] == {"aws:RequestedRegion": "unspecified"}
    (profiles,) = anywhere["Condition"]["ArnLike"].values()
    assert profiles["Fn::Sub"].endswith(":inference-profile/global.*")


def test_parameters_secret_is_readable_only_where_there_is_one() -> None:
    assert {_condition(role, "ReadUpstreamSecret") for role in PROVIDER_ROLES} == {"UpstreamHasSecret"}
    assert {_condition(role, "ReadCanarysSecret") for role in PROVIDER_ROLES} == {"CanaryHasSecret"}


def test_the_guard_publishes_to_the_parameters_topic_alone() -> None:
    (statement,) = _of("CanaryGuardRole", "sns")
    assert (_actions(statement), statement["Resource"]) == (["sns:Publish"], {"Ref": "CanaryTopicArn"})
    assert _condition("CanaryGuardRole", statement["Sid"]) == "HasCanaryTopic"


def test_the_guard_is_called_each_minute_where_it_is_wanted() -> None:
    (rule,) = resources("AWS::Events::Rule").values()
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert rule["State"] == {"Fn::If": ["GuardsCanaries", "ENABLED", "DISABLED"]}
    assert [target["Arn"] for target in rule["Targets"]] == [{"Ref": "CanaryGuardFunctionAliaslive"}]


def test_only_lambda_itself_connects_the_app_function_to_a_network() -> None:
    allow, deny = _of("AppRole", "ec2")
    assert (allow["Effect"], deny["Effect"]) == ("Allow", "Deny")
    assert set(_actions(allow)) == set(_actions(deny)) == _NETWORK_ACTIONS
    assert list(deny["Condition"]["ArnLike"]) == ["lambda:SourceFunctionArn"]
    assert {_condition("AppRole", each["Sid"]) for each in (allow, deny)} == {"HasVpc"}
    assert [name for name in FUNCTIONS if "VpcConfig" in _function(name)] == ["AppFunction"]
    assert _function("AppFunction")["VpcConfig"]["Fn::If"][0] == "HasVpc"


def test_nobody_changes_or_removes_an_anchor() -> None:
    on_anchors = [
        action
        for role in ROLES
        for each in _statements(role)
        if "AnchorsTable" in dump(each["Resource"])
        for action in _actions(each)
    ]
    assert set(on_anchors) == {"dynamodb:PutItem"}


def test_a_key_of_ones_own_is_for_everything_that_is_stored() -> None:
    chosen = {"Fn::If": ["HasKmsKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
    assert all(group["KmsKeyId"] == chosen for group in resources("AWS::Logs::LogGroup").values())
    assert all(function["KmsKeyArn"] == chosen for function in resources("AWS::Lambda::Function").values())
    for table in resources("AWS::DynamoDB::Table").values():
        assert table["SSESpecification"]["KMSMasterKeyId"] == chosen
    for name in FUNCTIONS:
        role = _function(name)["Role"]["Fn::GetAtt"][0]
        (statement,) = _of(role, "kms")
        assert statement["Resource"] == {"Ref": "KmsKeyArn"}
        assert _condition(role, statement["Sid"]) == "HasKmsKey"


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
    assert any(fnmatchcase(item, pattern) for pattern in _AUTHORIZERS_ITEMS) is readable


@pytest.mark.parametrize("name", DOORS)
def test_doors_cannot_write_config(name: str) -> None:
    role = _function(name)["Role"]["Fn::GetAtt"][0]
    on_config = [each for each in _statements(role) if each["Resource"] == {"Fn::GetAtt": ["ConfigTable", "Arn"]}]
    assert {action for each in on_config for action in _actions(each)} <= {"dynamodb:GetItem"}


@pytest.mark.parametrize("item", ["key#abc", "policy", "policy#0f#0000", "policy-history", "policy#canaries2"])
def test_the_guard_changes_nothing_but_canaries(item: str) -> None:
    written = [keys for table, actions, keys in _GUARDS if table == "ConfigTable" and actions != ["dynamodb:GetItem"]]
    assert not any(fnmatchcase(item, pattern) for keys in written for pattern in keys)


def test_only_the_authorizer_reads_keys() -> None:
    readers = [role for role in ROLES if any("key#*" in _keys(each) for each in _statements(role))]
    assert readers == ["AuthorizerRole"]


def test_every_function_that_needs_the_policy_reads_it_and_no_other() -> None:
    readers = [role for role in ROLES if any("policy" in _keys(each) for each in _statements(role))]
    assert readers == sorted(["AuthorizerRole", "CanaryGuardRole", "ModelsRole", *ROUTE_ROLES])


def test_only_the_routes_to_an_upstream_write_limits() -> None:
    writers = [role for role in ROLES if any("limit#*" in _keys(each) for each in _statements(role))]
    assert writers == sorted(ROUTE_ROLES)


def test_only_the_account_role_has_a_managed_policy() -> None:
    managed = {name for name, role in resources("AWS::IAM::Role").items() if "ManagedPolicyArns" in role}
    assert managed == {"ApiGatewayRole"}


def test_tables() -> None:
    tables = resources("AWS::DynamoDB::Table")
    assert set(tables) == {"AnchorsTable", "ConfigTable", "CountersTable"}
    for table in tables.values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["SSESpecification"]["SSEEnabled"] is True
        assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]
        assert "Replicas" not in table
    for name in ("AnchorsTable", "ConfigTable"):
        assert tables[name]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    for name in ("AnchorsTable", "CountersTable"):
        assert tables[name]["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


@pytest.mark.parametrize("table", ["AnchorsTable", "ConfigTable"])
def test_what_cannot_be_made_again_outlives_the_stack(table: str) -> None:
    resource = transformed()["Resources"][table]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"


def test_one_layer_per_architecture() -> None:
    layers = {
        name: resource
        for name, resource in transformed()["Resources"].items()
        if resource["Type"].endswith("LayerVersion")
    }
    built = {(layer["Condition"], *layer["Properties"]["CompatibleArchitectures"]) for layer in layers.values()}
    assert built == {("IsArm", "arm64"), ("IsX86", "x86_64")}
