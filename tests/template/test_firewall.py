"""The optional web ACL: what exists with which parameters, and that it keeps nothing of what callers send."""

from collections.abc import Mapping
from typing import Any

import pytest

from sallyport_cli.local.intrinsics import Resolver, Scope
from sallyport_cli.local.parameters import resolve_parameters
from tests.template.transformed import dump, source, transformed

ENABLED = {"WebAcl": "enabled"}
BOTH = {**ENABLED, "WafDenyIpv4": "203.0.113.0/24,198.51.100.7/32", "WafDenyIpv6": "2001:db8::/32"}
ARNS = {"Fn::GetAtt": ["FirewallDeniedIpv4", "Arn"]}, {"Fn::GetAtt": ["FirewallDeniedIpv6", "Arn"]}


def _firewall(given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The WAF's resources that a stack with these parameters has, by logical id."""
    resolver = _resolver(given)
    return {
        name: resource["Properties"]
        for name, resource in transformed()["Resources"].items()
        if resource["Type"].startswith("AWS::WAFv2::") and resolver.condition(resource["Condition"], name)
    }


def _rules(given: Mapping[str, str]) -> list[dict[str, Any]]:
    resolver = _resolver(given)
    written = _firewall(given)["Firewall"]["Rules"]
    chosen = [
        rule["Fn::If"][1 if resolver.condition(rule["Fn::If"][0], "Rules") else 2] if "Fn::If" in rule else rule
        for rule in written
    ]
    return [rule for rule in chosen if rule != {"Ref": "AWS::NoValue"}]


def _resolver(given: Mapping[str, str]) -> Resolver:
    document = source()
    parameters = resolve_parameters(document["Parameters"], given)
    return Resolver(Scope("sallyport", "eu-central-1", parameters, {}, {}, document["Conditions"]))


@pytest.mark.parametrize("given", [{}, {"WafDenyIpv4": "203.0.113.0/24", "WafDenyIpv6": "2001:db8::/32"}])
def test_without_web_acl_nothing_of_it_exists(given: Mapping[str, str]) -> None:
    assert _firewall(given) == {}


def test_web_acl_alone_has_the_rate_rule() -> None:
    assert set(_firewall(ENABLED)) == {"Firewall", "FirewallAssociation"}
    (rule,) = _rules(ENABLED)
    statement = rule["Statement"]["RateBasedStatement"]
    assert statement == {"AggregateKeyType": "IP", "EvaluationWindowSec": 300, "Limit": {"Ref": "WafRateLimit"}}


@pytest.mark.parametrize(("denied", "version"), [("WafDenyIpv4", "IPV4"), ("WafDenyIpv6", "IPV6")])
def test_denied_networks_are_a_set_and_a_rule_of_their_own(denied: str, version: str) -> None:
    given = {**ENABLED, denied: BOTH[denied]}
    (name,) = set(_firewall(given)) - {"Firewall", "FirewallAssociation"}
    assert _firewall(given)[name]["IPAddressVersion"] == version
    assert _resolver(given).resolve(_firewall(given)[name]["Addresses"], name) == BOTH[denied].split(",")
    assert _rules(given)[0]["Statement"]["IPSetReferenceStatement"]["Arn"] == {"Fn::GetAtt": [name, "Arn"]}


def test_denied_networks_come_before_the_rate() -> None:
    rules = _rules(BOTH)
    assert [rule["Priority"] for rule in rules] == [0, 1, 2]
    assert tuple(rule["Statement"]["IPSetReferenceStatement"]["Arn"] for rule in rules[:2]) == ARNS
    assert all(rule["Action"] == {"Block": {}} for rule in rules)
    assert _firewall(BOTH)["Firewall"]["DefaultAction"] == {"Allow": {}}


def test_nothing_of_a_request_is_kept() -> None:
    firewall = _firewall(BOTH)["Firewall"]
    for part in (firewall, *_rules(BOTH)):
        assert part["VisibilityConfig"]["SampledRequestsEnabled"] is False
        assert part["VisibilityConfig"]["CloudWatchMetricsEnabled"] is True
    metrics = [dump(part["VisibilityConfig"]["MetricName"]) for part in (firewall, *_rules(BOTH))]
    assert len(set(metrics)) == len(metrics)


def test_every_part_is_regional() -> None:
    scopes = {properties["Scope"] for properties in _firewall(BOTH).values() if "Scope" in properties}
    assert scopes == {"REGIONAL"}


def test_association_waits_for_the_stage() -> None:
    """A reference to the stage itself: its name alone would let CloudFormation associate before it is there."""
    (stage,) = (name for name, each in transformed()["Resources"].items() if each["Type"] == "AWS::ApiGateway::Stage")
    association = _firewall(ENABLED)["FirewallAssociation"]
    assert association["ResourceArn"]["Fn::Sub"].endswith("::/restapis/${Api}/stages/${" + stage + "}")
    assert association["WebACLArn"] == {"Fn::GetAtt": ["Firewall", "Arn"]}
