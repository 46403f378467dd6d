"""Stack parameters are checked as CloudFormation checks them."""

import pytest

from sallyport_cli.local.parameters import parse_assignments, resolve_parameters
from sallyport_cli.local.template_file import TemplateError

DECLARED = {
    "Stage": {"Type": "String", "Default": "prod", "AllowedPattern": "[a-z]+", "ConstraintDescription": "lower case"},
    "Level": {"Type": "String", "Default": "INFO", "AllowedValues": ["INFO", "DEBUG"]},
    "Rate": {"Type": "Number", "Default": 5, "MinValue": 1, "MaxValue": 10},
    "Name": {"Type": "String", "Default": "abc", "MinLength": 2, "MaxLength": 4},
    "Networks": {"Type": "CommaDelimitedList", "Default": "a, b"},
}


def test_defaults_are_text_and_lists() -> None:
    assert resolve_parameters(DECLARED, {}) == {
        "Stage": "prod",
        "Level": "INFO",
        "Rate": "5",
        "Name": "abc",
        "Networks": ["a", "b"],
    }


def test_given_values_replace_defaults() -> None:
    assert resolve_parameters(DECLARED, {"Rate": "10", "Networks": ""}) == {
        **resolve_parameters(DECLARED, {}),
        "Rate": "10",
        "Networks": [],
    }


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("Stage", "Prod", "lower case"),
        ("Stage", "prod\n", "lower case"),
        ("Level", "info", "isn't one of INFO, DEBUG"),
        ("Rate", "0.5", "is less than 1"),
        ("Rate", "11", "is more than 10"),
        ("Rate", "many", "isn't a number"),
        ("Name", "a", "is shorter than 2"),
        ("Name", "abcde", "is longer than 4"),
        ("Unknown", "x", "no such parameter"),
    ],
)
def test_refused_values_name_the_parameter_and_the_reason(name: str, value: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason) as refused:
        resolve_parameters(DECLARED, {name: value})
    assert name in str(refused.value)


def test_a_parameter_without_default_must_be_given() -> None:
    with pytest.raises(TemplateError, match="has no default"):
        resolve_parameters({"Needed": {"Type": "String"}}, {})


def test_a_type_that_needs_aws_is_refused() -> None:
    with pytest.raises(TemplateError, match="isn't supported locally"):
        resolve_parameters({"Ami": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/x"}}, {})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["A=1", "B=2"], {"A": "1", "B": "2"}),
        (["A=1 B=2"], {"A": "1", "B": "2"}),
        (['A="x y" B='], {"A": "x y", "B": ""}),
        (["Scopes=chat embeddings"], {"Scopes": "chat embeddings"}),
        (["A=b=c"], {"A": "b=c"}),
        (["A=1", "A=2"], {"A": "2"}),
    ],
)
def test_assignments_are_read_as_sam_deploy_reads_them(given: list[str], expected: dict[str, str]) -> None:
    assert parse_assignments(given) == expected


def test_an_assignment_without_a_name_is_refused() -> None:
    with pytest.raises(TemplateError, match="isn't Name=Value"):
        parse_assignments(["oops"])
