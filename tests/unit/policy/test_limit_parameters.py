"""Limits of the stack's parameters, as rules."""

import pytest

from sallyport.policy.limit_parameters import LimitSettings, parameter_rules
from sallyport.policy.limit_rules import EVERYTHING, ModelRules
from sallyport.policy.parameters import ConfigurationError, read_router_settings

ENVIRON = {
    "SALLYPORT_CONFIG_TABLE": "config",
    "SALLYPORT_COUNTERS_TABLE": "counters",
    "SALLYPORT_ANCHORS_TABLE": "anchors",
    "SALLYPORT_ALLOWED_REGIONS": "us-east-1",
    "SALLYPORT_SECRET_PREFIX": "sallyport/upstreams/",
    "SALLYPORT_UPSTREAM_BASE_URL": "https://api.openai.com/v1",
    "SALLYPORT_UPSTREAM_REGION": "us-east-1",
    "SALLYPORT_UPSTREAM_CONNECT_TIMEOUT_S": "5",
    "SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S": "60",
    "SALLYPORT_LOG_LEVEL": "INFO",
}


def test_every_limit_is_a_rule_by_the_name_that_a_document_may_replace_it_by() -> None:
    rules = parameter_rules(LimitSettings(1, 2, 3, 4, 5, 6, "deny"))
    assert {rule.name: rule.limit for rule in rules.limits} == {
        "key-requests-1m": 1,
        "key-tokens-1m": 2,
        "key-concurrent": 3,
        "tenant-requests-1m": 4,
        "tenant-tokens-1m": 5,
        "ip-requests-1m": 6,
    }
    assert {(rule.on_store_failure, rule.match) for rule in rules.limits} == {("deny", EVERYTHING)}
    assert (rules.version, rules.models) == (0, None)


def test_a_limit_of_0_is_none() -> None:
    assert [rule.name for rule in parameter_rules(LimitSettings(60)).limits] == ["key-requests-1m"]


def test_models_on_offer_have_no_price() -> None:
    assert parameter_rules(LimitSettings(60), ("a", "b")).models == {"a": ModelRules(), "b": ModelRules()}


def test_an_older_environment_has_the_defaults() -> None:
    settings = read_router_settings(ENVIRON)
    assert settings.limits == LimitSettings(60)
    assert (settings.stream_usage, settings.policy_refresh_s) == (True, 10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUESTS_PER_MINUTE", "0"),
        ("TOKENS_PER_MINUTE", "-1"),
        ("TOKENS_PER_MINUTE", "1.5"),
        ("TOKENS_PER_MINUTE", "many"),
        ("CONCURRENT_REQUESTS", "51"),
        ("MAX_OUTPUT_TOKENS", "0"),
        ("MAX_OUTPUT_TOKENS", "nan"),
        ("LIMIT_STORE_FAILURE", "maybe"),
        ("STREAM_USAGE", "on"),
        ("UPSTREAM_REGION", "eu-west-1,us-east-1"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"SALLYPORT_{name}: "):
        read_router_settings({**ENVIRON, f"SALLYPORT_{name}": value})
