"""The stack's parameters: what their patterns take and refuse, and that the functions understand every default."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from sallyport.policy.parameters import read_authorizer_settings, read_plain_settings, read_router_settings
from sallyport_cli.local.stack import load_stack
from tests.template.transformed import ROOT, dump, source

PARAMETERS: dict[str, dict[str, Any]] = source()["Parameters"]

REGIONS = (["us-east-1", "eu-central-1", "us-gov-west-1", "ap-southeast-2"], ["", "useast1", "EU-WEST-1", "eu-west-1 "])
NETWORKS = (
    ["", "203.0.113.7", "203.0.113.0/24", "10.0.0.0/8,2001:db8::/32", "::1", "::ffff:10.0.0.1", "0.0.0.0/0", "::/0"],
    [
        "256.0.0.1",
        "10.0.0.0/33",
        "10.0.0",
        "10.0.0.1/255.255.255.0",
        "2001:db8::/129",
        "a.example",
        "10.0.0.1,",
        " ::1",
    ],
)
CLAIM = (["sub", "org_id", "https://example.com/tenant"], ["a claim", "x" * 129, 'a"b'])
VALUES: Mapping[str, tuple[list[str], list[str]]] = {
    "UpstreamBaseUrl": (
        ["https://api.openai.com/v1", "https://llm.example.com:8443/api/v1", "http://127.0.0.1:9000/v1"],
        [
            *("", "http://api.openai.com/v1", "https://user@host/v1", "https://host/v1/", "https://host/v1?x=1"),
            *("https://ho st/v1", "ftp://host", "http://127.0.0.1.example.com/v1", "https://host\\v1", "https://-host"),
        ],
    ),
    "UpstreamRegion": REGIONS,
    "UpstreamSecret": (["openai", "llm/openai", ""], ["a secret", "x" * 201, "*", "a:b"]),
    "Models": (
        ["", "gpt-4o", "gpt-4o,meta/llama-3.1:70b"],
        ["gpt-4o,", "gpt 4o", ",", "a, b", '"'],
    ),
    "DefaultScopes": (["", "chat", "chat embeddings models"], ["chat,models", " chat", "chat  models", "*"]),
    "JwtIssuer": (
        ["", "https://login.example.com/", "https://example.com/realms/a", "https://securetoken.google.com/p-1"],
        ["http://login.example.com/", "login.example.com", "https://a b/", "https://host/?x=1", "https://u@host/"],
    ),
    "JwtAudiences": (["", "https://ai.example.com", "a,b"], ["a,", ",a", "a b", "a,,b"]),
    "JwtJwksUrl": (
        ["", "https://login.example.com/.well-known/jwks.json", "http://127.0.0.1:9000/jwks.json"],
        ["http://login.example.com/jwks", "https://u@host/jwks", "https://host/jwks#x", "file:///etc/passwd"],
    ),
    "JwtAlgorithms": (["RS256", "RS256,ES256", "EdDSA"], ["", "none", "HS256", "RS256,HS256", "rs256", "RS256,"]),
    "JwtTenantClaim": (CLAIM[0], ["", *CLAIM[1]]),
    "JwtSubjectClaim": (CLAIM[0], ["", *CLAIM[1]]),
    "JwtScopesClaim": (["", *CLAIM[0]], CLAIM[1]),
    "IpAllowList": NETWORKS,
    "IpDenyList": NETWORKS,
    "DefaultResidency": ([*REGIONS[0], "eu-central-1,eu-west-1"], [*REGIONS[1], "eu-west-1,", "eu-west-1, eu-west-2"]),
    "StageName": (["prod", "v2", "test_1"], ["", "a/b", "a-b", "x" * 65]),
    "AlarmTopicArn": (["", "arn:aws:sns:eu-west-1:123456789012:alarms"], ["alarms", "arn:aws:sqs:eu-west-1:1:q"]),
}
ACCEPTED = [(name, value) for name, (good, _) in VALUES.items() for value in good]
REFUSED = [(name, value) for name, (_, bad) in VALUES.items() for value in bad]


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_pattern_accepts(name: str, value: str) -> None:
    assert re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_pattern_refuses(name: str, value: str) -> None:
    assert not re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)


def test_every_pattern_is_tried() -> None:
    assert {name for name, parameter in PARAMETERS.items() if "AllowedPattern" in parameter} == set(VALUES)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_is_explained_and_bounded(name: str) -> None:
    parameter = PARAMETERS[name]
    assert parameter["Description"]
    if parameter["Type"] == "Number":
        assert "AllowedValues" in parameter or {"MinValue", "MaxValue"} <= set(parameter)
    else:
        assert parameter["Type"] == "String"
        assert "AllowedValues" in parameter or {"AllowedPattern", "ConstraintDescription"} <= set(parameter)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_is_used(name: str) -> None:
    document = source()
    used = dump({part: document[part] for part in ("Conditions", "Globals", "Resources")})
    assert f'"Ref": "{name}"' in used or f"${{{name}}}" in used


def test_every_parameter_stands_in_one_group() -> None:
    groups = source()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)


def test_functions_understand_every_default() -> None:
    environments = _environments({})
    authorizer = read_authorizer_settings(environments["AuthorizerFunction"])
    assert authorizer.api_keys
    assert authorizer.jwt is None
    for name in ("ChatCompletionsFunction", "EmbeddingsFunction"):
        router = read_router_settings(environments[name])
        assert router.upstream.region in authorizer.default_residency
        assert router.upstream.secret == "sallyport/openai"
    for name in ("ModelsFunction", "HealthzFunction", "UnmatchedFunction"):
        assert read_plain_settings(environments[name]).models == ()


def test_functions_get_what_is_set() -> None:
    environments = _environments(
        {
            "JwtIssuer": "https://login.example.com/",
            "JwtAudiences": "a,b",
            "JwtAlgorithms": "ES256",
            "JwtJwksUrl": "https://login.example.com/jwks",
            "JwtTenantClaim": "org",
            "IpDenyList": "203.0.113.0/24",
            "UpstreamSecret": "",
            "UpstreamIdleTimeoutSeconds": "7",
            "Models": "gpt-4o,gpt-4o-mini",
            "RequestsPerMinute": "5",
            "LogLevel": "ERROR",
        }
    )
    authorizer = read_authorizer_settings(environments["AuthorizerFunction"])
    assert authorizer.jwt is not None
    assert (authorizer.jwt.issuer, authorizer.jwt.audiences) == ("https://login.example.com/", ("a", "b"))
    assert (authorizer.jwt.algorithms, authorizer.jwt.tenant_claim) == (("ES256",), "org")
    assert authorizer.ip_deny == ("203.0.113.0/24",)
    router = read_router_settings(environments["ChatCompletionsFunction"])
    assert (router.upstream.secret, router.upstream.idle_timeout_s) == ("", 7)
    assert (router.requests_per_minute, router.log_level) == (5, 40)
    assert router.models == read_plain_settings(environments["ModelsFunction"]).models == ("gpt-4o", "gpt-4o-mini")


@pytest.mark.parametrize(
    ("rule", "asserted"), [("JwtIsComplete", ["JwtAudiences", "JwtJwksUrl"]), ("SomebodyCanCall", ["JwtIssuer"])]
)
def test_rules_say_what_patterns_cannot(rule: str, asserted: list[str]) -> None:
    written = source()["Rules"][rule]
    for name, assertion in zip(asserted, written["Assertions"], strict=True):
        assert f'"Ref": "{name}"' in dump(assertion["Assert"])
        assert assertion["AssertDescription"].endswith(".")


def _environments(parameters: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    stack = load_stack(ROOT / "template.yaml", parameters, name="sallyport")
    return {name: function.environment for name, function in stack.functions.items()}
