"""Intrinsics are resolved, or refused with the place; never guessed."""

from pathlib import Path
from typing import Any

import pytest

from sallyport_cli.local.intrinsics import Resolver, Scope
from sallyport_cli.local.template_file import TemplateError, read_template

SCOPE = Scope(
    stack_name="sp",
    region="eu-west-1",
    parameters={"Stage": "prod", "List": ["a", "b"], "Empty": ""},
    resources={
        "Table": {"Type": "AWS::DynamoDB::Table"},
        "Named": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": {"Fn::Sub": "${Stage}-t"}}},
        "Fn": {"Type": "AWS::Serverless::Function"},
        "Live": {"Type": "AWS::Serverless::Function", "Properties": {"AutoPublishAlias": {"Ref": "Stage"}}},
        "Api": {"Type": "AWS::Serverless::Api"},
        "Topic": {"Type": "AWS::SNS::Topic"},
    },
    mappings={"Sizes": {"prod": {"memory": 256}}},
    conditions={
        "IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
        "HasEmpty": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Empty"}, ""]}]},
        "Both": {"Fn::And": [{"Condition": "IsProd"}, {"Condition": "HasEmpty"}]},
        "Either": {"Fn::Or": [{"Condition": "IsProd"}, {"Condition": "HasEmpty"}]},
    },
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Stage"}, "prod"),
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Ref": "Table"}, "Table"),
        ({"Ref": "Named"}, "prod-t"),
        ({"Ref": "Api"}, "local"),
        ({"Fn::Sub": "${AWS::StackName}/${Stage}/${!literal}"}, "sp/prod/${literal}"),
        ({"Fn::Sub": ["${x}-${Stage}", {"x": {"Ref": "AWS::StackName"}}]}, "sp-prod"),
        ({"Fn::Sub": "${Table.Arn}"}, "arn:aws:dynamodb:eu-west-1:123456789012:table/Table"),
        ({"Fn::GetAtt": ["Fn", "Arn"]}, "arn:aws:lambda:eu-west-1:123456789012:function:sp-Fn"),
        ({"Ref": "Live.Alias"}, "arn:aws:lambda:eu-west-1:123456789012:function:sp-Live:prod"),
        ({"Fn::If": ["IsProd", "yes", "no"]}, "yes"),
        ({"Fn::If": ["Both", "yes", "no"]}, "no"),
        ({"Fn::If": ["Either", "yes", "no"]}, "yes"),
        ({"Fn::Join": [",", {"Ref": "List"}]}, "a,b"),
        ({"Fn::Select": [1, {"Fn::Split": ["-", "x-y"]}]}, "y"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "memory"]}, 256),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "AWS::NoValue"}, 1]}, {"b": [1]}),
    ],
)
def test_intrinsics_resolve(value: Any, expected: Any) -> None:
    assert Resolver(SCOPE).resolve(value, "here") == expected


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "Nothing"},
        {"Ref": "Topic"},
        {"Ref": "Fn.Alias"},
        {"Ref": "Topic.Alias"},
        {"Ref": "Nothing.Alias"},
        {"Fn::GetAtt": ["Topic", "TopicArn"]},
        {"Fn::ImportValue": "x"},
        {"Fn::Sub": "${Nothing}"},
        {"Fn::FindInMap": ["Sizes", "dev", "memory"]},
        {"Fn::Select": [5, ["a"]]},
        {"Fn::If": ["NoSuch", 1, 2]},
        {"Fn::Join": [",", "text"]},
    ],
)
def test_what_cannot_be_resolved_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(TemplateError, match=r"Resources\.X\.inner"):
        Resolver(SCOPE).resolve({"inner": value}, "Resources.X")


def test_short_tags_are_read_as_their_long_forms(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "AWSTemplateFormatVersion: 2010-09-09\n"
        "Resources: {A: {Type: T, X: !GetAtt Fn.Arn, Y: !If [C, !Ref P, !Sub '${Q}']}}"
    )
    assert read_template(path) == {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "A": {
                "Type": "T",
                "X": {"Fn::GetAtt": ["Fn", "Arn"]},
                "Y": {"Fn::If": ["C", {"Ref": "P"}, {"Fn::Sub": "${Q}"}]},
            }
        },
    }


@pytest.mark.parametrize("text", ["Resources: {A: 1, A: 2}", "[]", "Resources: [", "Parameters: {}"])
def test_a_broken_template_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError):
        read_template(path)
