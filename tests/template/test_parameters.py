"""The stack's parameters: what their patterns take and refuse, and that the functions understand every default."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from sallyport.policy.guard_parameters import read_guard_settings
from sallyport.policy.limit_parameters import LimitSettings
from sallyport.policy.parameters import (
    CanarySettings,
    ConfigurationError,
    read_app_settings,
    read_authorizer_settings,
    read_models_settings,
    read_plain_settings,
    read_router_settings,
)
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.policy.verification_parameters import VerificationSettings
from sallyport_cli.local.stack import load_stack
from sallyport_cli.local.template_file import TemplateError
from tests.template.transformed import ROOT, dump, resources, source

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
CLAIM = (["sub", "org_id", "https://example.com/tenant", "/org/id", "/a~1b/c"], ["a claim", 'a"b', "org\\id"])
COUNTRIES = (["", "DE", "DE,FR,US"], ["de", "DEU", "DE,", "DE, FR", ",", "D1"])
VALUES: Mapping[str, tuple[list[str], list[str]]] = {
    "UpstreamBaseUrl": (
        ["https://api.openai.com/v1", "https://llm.example.com:8443/api/v1", "http://127.0.0.1:9000/v1"],
        [
            *("", "http://api.openai.com/v1", "https://user@host/v1", "https://host/v1/", "https://host/v1?x=1"),
            *("https://ho st/v1", "ftp://host", "http://127.0.0.1.example.com/v1", "https://host\\v1", "https://-host"),
        ],
    ),
    "UpstreamRegion": REGIONS,
    "UpstreamSecret": (
        ["openai", "llm/openai", "identity", "identity-provider", "llm/identity/a", ""],
        ["a secret", "*", "a:b", "openai?", "identity/cloudfront", "identity/"],
    ),
    "Models": (
        ["", "gpt-4o", "gpt-4o,meta/llama-3.1:70b"],
        ["gpt-4o,", "gpt 4o", ",", "a, b", '"'],
    ),
    "DefaultScopes": (
        ["", "chat", "chat embeddings models", "models chat", "chat embeddings models apps canary"],
        ["chat,models", " chat", "chat  models", "*", "admin", "chats"],
    ),
    "JwtIssuer": (
        [
            *("", "https://login.example.com/", "https://example.com/realms/a", "https://securetoken.google.com/p-1"),
            *("http://127.0.0.1:9000/", "http://localhost:9000"),
        ],
        [
            "http://127.0.0.1.example.com/",
            "http://login.example.com/",
            "login.example.com",
            "https://a b/",
            "https://host/?x=1",
            "https://u@host/",
        ],
    ),
    "JwtAudiences": (
        ["", "https://ai.example.com", "a,b", "api://0f8fad5b-d9cb-469f-a165-70867728950e", "a-b/[c]"],
        ["a,", ",a", "a b", "a,,b", 'a"b', "a\\b", "\u00e4"],
    ),
    "JwtJwksUrl": (
        ["", "https://login.example.com/.well-known/jwks.json", "http://127.0.0.1:9000/jwks.json"],
        ["http://login.example.com/jwks", "https://u@host/jwks", "https://host/jwks#x", "file:///etc/passwd"],
    ),
    "JwtAlgorithms": (["RS256", "RS256,ES256", "EdDSA"], ["", "none", "HS256", "RS256,HS256", "rs256", "RS256,"]),
    "JwtTenantClaim": (CLAIM[0], ["", *CLAIM[1]]),
    "JwtSubjectClaim": (CLAIM[0], ["", *CLAIM[1]]),
    "JwtScopesClaim": (["", *CLAIM[0]], CLAIM[1]),
    "JwtResidencyClaim": (["", *CLAIM[0]], CLAIM[1]),
    "JwtTokenType": (["", "at+jwt", "JWT", "application/at+jwt"], ["at jwt", "*", '"']),
    "IpAllowList": NETWORKS,
    "IpDenyList": NETWORKS,
    "TrustedProxies": NETWORKS,
    "OriginSecret": (["", "cloudfront", "cf.2"], ["a b", "a/b", "*", "a:b"]),
    "CountryAllowList": COUNTRIES,
    "CountryDenyList": COUNTRIES,
    "WafDenyIpv4": (
        ["", "203.0.113.0/24", "203.0.113.7/32,10.0.0.0/8", "128.0.0.0/1"],
        ["203.0.113.7", "0.0.0.0/0", "10.0.0.0/33", "256.0.0.0/8", "10.0.0.0/08", "10.0.0.0/8,", "::/8"],
    ),
    "WafDenyIpv6": (
        ["", "2001:db8::/32", "::1/128,2001:db8::/1"],
        ["2001:db8::1", "::/0", "::/129", "10.0.0.0/8", "2001:db8::/32,", "2001:db8::/032"],
    ),
    "DefaultResidency": ([*REGIONS[0], "eu-central-1,eu-west-1"], [*REGIONS[1], "eu-west-1,", "eu-west-1, eu-west-2"]),
    "AllowedRegions": (["", *REGIONS[0], "eu-central-1,eu-west-1"], [*REGIONS[1][1:], "global", "*", "eu-west-1,"]),
    "KmsKeyArn": (
        ["", "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
        ["alias/sallyport", "arn:aws:kms:eu-west-1:123456789012:alias/a", "arn:aws:kms:*:123456789012:key/a", "*"],
    ),
    "CanaryWeight": (["0", "5", "0.25", "99.99", "100"], ["", "0.125", "100.01", "101", "1e1", ".5", "-1", "5%"]),
    "CanaryModel": (["", "gpt-next", "eu.anthropic.claude-v1:0", "a/b@c"], ["gpt next", "a,b", "-a", '"']),
    "CanaryUpstreamBaseUrl": (
        ["", "https://eu.api.openai.com/v1", "http://127.0.0.1:9000/v1"],
        ["http://api.openai.com/v1", "https://user@host/v1", "https://host/v1/", "https://host/v1?x=1", "ftp://host"],
    ),
    "CanaryUpstreamRegion": (["", *REGIONS[0]], REGIONS[1][1:]),
    "CanaryUpstreamSecret": (["", "openai", "llm/openai"], ["a secret", "*", "a:b", "identity/cloudfront"]),
    "CanaryTopicArn": (["", "arn:aws:sns:eu-west-1:123456789012:canaries"], ["canaries", "arn:aws:sqs:eu-west-1:1:q"]),
    "VpcSubnetIds": (
        ["", "subnet-12345678,subnet-0123456789abcdef0"],
        ["subnet-", "subnet-12345678,", "sg-12345678", "subnet-12345678, subnet-12345679"],
    ),
    "VpcSecurityGroupIds": (
        ["", "sg-12345678", "sg-12345678,sg-0123456789abcdef0"],
        ["sg-", "sg-12345678,", "subnet-12345678", "default"],
    ),
    "StageName": (["prod", "v2", "test_1"], ["", "a/b", "a-b"]),
    "AlarmTopicArn": (["", "arn:aws:sns:eu-west-1:123456789012:alarms"], ["alarms", "arn:aws:sqs:eu-west-1:1:q"]),
}
CANARYS_SECRET = {"CanaryUpstreamBaseUrl": "https://next.example.com", "CanaryUpstreamSecret": "next"}
PROVIDER_FUNCTIONS = [
    *("ChatCompletionsFunction", "CountTokensFunction", "EmbeddingsFunction", "MessagesFunction", "ResponsesFunction"),
]
CLOUDFORMATION_MAX_BYTES = LAMBDA_MAX_ENVIRONMENT_BYTES = 4096
STACK_NAME_LENGTH = 40  # as docs/configuration.md says
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
        assert "AllowedValues" in parameter or {"AllowedPattern", "ConstraintDescription", "MaxLength"} <= set(
            parameter
        )
        assert parameter.get("MaxLength", 0) <= CLOUDFORMATION_MAX_BYTES


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
    assert authorizer.issuers == ()
    assert authorizer.default_scopes == ("chat", "embeddings", "models")
    assert (authorizer.key_revocation_s, authorizer.policy_refresh_s) == (15, 10)
    assert (authorizer.trusted_proxies, authorizer.origin_secret, authorizer.countries_deny) == ((), "", ())
    for name in PROVIDER_FUNCTIONS:
        router = read_router_settings(environments[name])
        assert (router.upstream.provider, router.upstream.is_proved) == ("openai", False)
        assert router.upstream.region in authorizer.default_residency
        assert router.upstream.secret == "sallyport/openai"
        assert router.allowed_regions == {"us-east-1"}
        assert (router.anchors_table, router.anchor_retention_days) == ("AnchorsTable", 400)
        assert (router.secret_prefix, router.retries) == ("sallyport/upstreams/", 2)
        assert router.limits == LimitSettings(requests_per_minute=60)
        assert (router.stream_usage, router.policy_refresh_s) == (True, 10)
        assert (router.stack, router.canary) == ("sallyport", CanarySettings())
        assert router.verification == VerificationSettings("report", "ignore", "off")
    app = read_app_settings(environments["AppFunction"])
    assert (app.allowed_regions, app.secret_prefix) == (frozenset({"us-east-1"}), "sallyport/upstreams/")
    assert (app.stack, app.verification) == ("sallyport", VerificationSettings())
    assert (app.connect_timeout_s, app.idle_timeout_s, app.retries) == (5, 240, 2)
    assert read_models_settings(environments["ModelsFunction"]).models == ()
    for name in ("HealthzFunction", "UnmatchedFunction"):
        assert read_plain_settings(environments[name]).log_level == 20


def test_functions_get_what_is_set() -> None:
    environments = _environments(
        {
            "JwtIssuer": "https://login.example.com/",
            "JwtAudiences": "a,b",
            "JwtAlgorithms": "ES256",
            "JwtJwksUrl": "https://login.example.com/jwks",
            "JwtTenantClaim": "org",
            "JwtResidencyClaim": "zone",
            "JwtTokenType": "at+jwt",
            "JwtLeewaySeconds": "0",
            "IpDenyList": "203.0.113.0/24",
            "TrustedProxies": "192.0.2.0/24",
            "OriginSecret": "cloudfront",
            "CountryAllowList": "DE,FR",
            "KeyRevocationSeconds": "0",
            "PolicyRefreshSeconds": "1",
            "FailedCredentialsPerMinute": "7",
            "UpstreamSecret": "",
            "UpstreamIdleTimeoutSeconds": "7",
            "UpstreamRetries": "0",
            "AllowedRegions": "eu-west-1,eu-central-1",
            "AnchorRetentionDays": "0",
            "Models": "gpt-4o,gpt-4o-mini",
            "RequestsPerMinute": "5",
            "TokensPerMinute": "1000000000",
            "ConcurrentRequests": "4",
            "TenantRequestsPerMinute": "6",
            "TenantTokensPerMinute": "7",
            "IpRequestsPerMinute": "8",
            "LimitStoreFailure": "deny",
            "MaxOutputTokens": "100",
            "StreamUsage": "disabled",
            "ResponseVerification": "enforce",
            "UnknownFields": "refuse",
            "LeakGuard": "redact",
            "LogLevel": "ERROR",
        }
    )
    authorizer = read_authorizer_settings(environments["AuthorizerFunction"])
    (issuer,) = authorizer.issuers
    assert (issuer.issuer, issuer.audiences) == ("https://login.example.com/", ("a", "b"))
    assert (issuer.algorithms, issuer.tenant_claim, issuer.residency_claim) == (("ES256",), "org", "zone")
    assert (issuer.jwks_url, issuer.token_type, issuer.leeway_s) == ("https://login.example.com/jwks", "at+jwt", 0)
    assert (authorizer.ip_deny, authorizer.trusted_proxies) == (("203.0.113.0/24",), ("192.0.2.0/24",))
    assert (authorizer.origin_secret, authorizer.countries_allow) == ("cloudfront", ("DE", "FR"))
    assert (authorizer.key_revocation_s, authorizer.policy_refresh_s) == (0, 1)
    assert authorizer.failed_credentials_per_minute == 7
    router = read_router_settings(environments["ChatCompletionsFunction"])
    assert (router.upstream.secret, router.upstream.idle_timeout_s) == ("", 7)
    assert (router.retries, router.anchor_retention_days) == (0, 0)
    assert router.allowed_regions == {"eu-west-1", "eu-central-1"}
    assert router.limits == LimitSettings(5, 1_000_000_000, 4, 6, 7, 8, "deny", 100)
    assert (router.stream_usage, router.policy_refresh_s, router.log_level) == (False, 1, 40)
    assert router.verification == VerificationSettings("enforce", "refuse", "redact")
    assert read_app_settings(environments["AppFunction"]).verification == router.verification
    assert router.models == read_models_settings(environments["ModelsFunction"]).models == ("gpt-4o", "gpt-4o-mini")


def test_bedrock_is_called_in_the_upstreams_region_with_no_secret() -> None:
    given = {"UpstreamProvider": "bedrock", "UpstreamRegion": "eu-central-1", "DefaultResidency": "eu-central-1"}
    upstream = read_router_settings(_environments(given)["ChatCompletionsFunction"]).upstream
    assert upstream.base_url == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert (upstream.provider, upstream.secret, upstream.is_proved) == ("bedrock", "", True)


@pytest.mark.parametrize(
    ("base_url", "is_proved"),
    [
        ("https://bedrock-runtime-fips.us-east-1.amazonaws.com", True),
        ("https://vpce-0a1b-2c3d.bedrock-runtime.us-east-1.vpce.amazonaws.com", True),
        ("http://127.0.0.1:9000", False),
    ],
)
def test_bedrock_is_called_at_its_endpoints_and_at_an_echo(base_url: str, is_proved: bool) -> None:
    given = {"UpstreamProvider": "bedrock", "UpstreamBaseUrl": base_url}
    upstream = read_router_settings(_environments(given)["MessagesFunction"]).upstream
    assert (upstream.rules.base_url, upstream.rules.is_proved) == (base_url, is_proved)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://bedrock-runtime.eu-west-1.amazonaws.com",
        "https://bedrock-runtime.us-east-1.amazonaws.com.example.com",
        "https://bedrock.us-east-1.amazonaws.com",
        "https://bedrock-runtimeXus-east-1.amazonaws.com",
        "https://a.example.com",
    ],
)
def test_bedrock_is_called_nowhere_else(base_url: str) -> None:
    environment = _environments({"UpstreamProvider": "bedrock", "UpstreamBaseUrl": base_url})["MessagesFunction"]
    with pytest.raises(ConfigurationError, match="SALLYPORT_UPSTREAM_BASE_URL"):
        read_router_settings(environment)


def test_without_a_weight_there_is_no_canary() -> None:
    given = {"CanaryModel": "gpt-next", "CanaryUpstreamBaseUrl": "https://eu.api.openai.com/v1"}
    environments = _environments(given)
    assert {read_router_settings(environments[name]).canary for name in PROVIDER_FUNCTIONS} == {CanarySettings()}
    assert read_guard_settings(environments["CanaryGuardFunction"]).canaries == ()


def test_a_canary_of_another_model_is_at_the_same_upstream() -> None:
    environments = _environments({"CanaryModel": "gpt-next", "CanaryWeight": "2.5", "CanaryStickyBy": "tenant"})
    read = {read_router_settings(environments[name]).canary for name in PROVIDER_FUNCTIONS}
    assert read == {CanarySettings(250, "tenant", "gpt-next", None)}
    (canary,) = read_guard_settings(environments["CanaryGuardFunction"]).canaries
    assert (canary.steps[0].weight, canary.target and canary.target.id) == (250, "default/gpt-next")


def test_a_canarys_upstream_is_as_the_stacks_where_nothing_else_is_said() -> None:
    given = {"CanaryUpstreamBaseUrl": "https://eu.api.openai.com/v1", "CanaryWeight": "100"}
    canary = read_router_settings(_environments(given)["ChatCompletionsFunction"]).canary
    assert canary.upstream == UpstreamRules("canary", "openai", "https://eu.api.openai.com/v1", "us-east-1")
    more = {"CanaryUpstreamRegion": "eu-west-1", "CanaryUpstreamSecret": "openai-eu"}
    upstream = read_router_settings(_environments({**given, **more})["ChatCompletionsFunction"]).canary.upstream
    assert upstream is not None
    assert (upstream.region, upstream.secret) == ("eu-west-1", "sallyport/openai-eu")


def test_the_guard_hears_of_its_topic_and_the_stack() -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:canaries"
    settings = read_guard_settings(_environments({"CanaryTopicArn": topic})["CanaryGuardFunction"])
    assert (settings.topic_arn, settings.stack) == (topic, "sallyport")
    assert (settings.config_table, settings.counters_table) == ("ConfigTable", "CountersTable")


@pytest.mark.parametrize("provider", ["", "openai", "anthropic"])
def test_a_canarys_secret_goes_with_a_provider_that_takes_one(provider: str) -> None:
    assert _environments({**CANARYS_SECRET, "CanaryUpstreamProvider": provider})


def test_anthropic_has_its_own_url() -> None:
    given = {"UpstreamProvider": "anthropic", "UpstreamBaseUrl": "https://api.anthropic.com"}
    upstream = read_router_settings(_environments(given)["MessagesFunction"]).upstream
    assert (upstream.provider, upstream.base_url) == ("anthropic", "https://api.anthropic.com")


@pytest.mark.parametrize("variable", ["ANCHORS_TABLE", "ALLOWED_REGIONS", "SECRET_PREFIX"])
def test_without_what_keeps_data_in_its_regions_no_function_starts(variable: str) -> None:
    environments = _environments({})
    for name, read in (("ChatCompletionsFunction", read_router_settings), ("AppFunction", read_app_settings)):
        environment = {**environments[name], f"SALLYPORT_{variable}": ""}
        with pytest.raises(ConfigurationError, match=f"SALLYPORT_{variable}"):
            read(environment)


def test_an_issuer_without_a_jwks_url_is_asked_where_its_keys_are() -> None:
    given = {"JwtIssuer": "https://login.example.com/", "JwtAudiences": "a"}
    (issuer,) = read_authorizer_settings(_environments(given)["AuthorizerFunction"]).issuers
    assert (issuer.jwks_url, issuer.discovery_url) == ("", "https://login.example.com/.well-known/openid-configuration")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"JwtIssuer": "https://login.example.com/"}, "JwtAudiences"),
        ({"ApiKeys": "disabled"}, "nobody could call"),
        ({"TrustedProxies": "192.0.2.0/24"}, "need OriginSecret"),
        ({"OriginSecret": "cloudfront"}, "needs TrustedProxies"),
        ({"CountryDenyList": "DE"}, "needs TrustedProxies"),
        ({"CountryAllowList": "DE"}, "needs TrustedProxies"),
        ({"UpstreamProvider": "anthropic"}, "sent to OpenAI"),
        ({"CanaryWeight": "5"}, "would be no different"),
        ({"CanaryUpstreamRegion": "eu-west-1"}, "need CanaryUpstreamBaseUrl"),
        ({"CanaryUpstreamSecret": "openai"}, "need CanaryUpstreamBaseUrl"),
        ({"CanaryUpstreamProvider": "bedrock", "CanaryModel": "m"}, "need CanaryUpstreamBaseUrl"),
        ({**CANARYS_SECRET, "CanaryUpstreamProvider": "bedrock"}, "Bedrock has no CanaryUpstreamSecret"),
        ({**CANARYS_SECRET, "UpstreamProvider": "bedrock"}, "Bedrock has no CanaryUpstreamSecret"),
        ({"VpcSubnetIds": "subnet-12345678"}, "need VpcSecurityGroupIds"),
        ({"VpcSecurityGroupIds": "sg-12345678"}, "need VpcSubnetIds"),
    ],
)
def test_rules_refuse_what_patterns_cannot(given: Mapping[str, str], reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        _environments(given)


def test_rules_explain_themselves() -> None:
    for rule in source()["Rules"].values():
        assert all(assertion["AssertDescription"].endswith(".") for assertion in rule["Assertions"])


@pytest.mark.parametrize("name", sorted(resources("AWS::Lambda::Function")))
def test_environment_fits_at_its_longest(name: str) -> None:
    """Lambda measures the variables as JSON, and refuses more than 4 KB when it is too late."""
    environment = resources("AWS::Lambda::Function")[name]["Environment"]["Variables"]
    longest = {name: _longest(value) for name, value in environment.items()}
    assert len(json.dumps(longest, separators=(",", ":"))) <= LAMBDA_MAX_ENVIRONMENT_BYTES


def _longest(value: Any) -> str:
    """The longest text that a variable may come to hold. A table is named after the stack, itself and 13 characters."""
    if isinstance(value, str):
        return value
    if "Fn::If" in value:
        return max(map(_longest, value["Fn::If"][1:]), key=len)
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([^}]*)\}", lambda name: _longest({"Ref": name[1]}), value["Fn::Sub"])
    name = value["Ref"]
    stack = "s" * STACK_NAME_LENGTH
    if name not in PARAMETERS:
        return stack if name == "AWS::StackName" else f"{stack}-{name}-{'x' * 13}"
    parameter = PARAMETERS[name]
    if parameter["Type"] == "Number":
        return str(parameter["MaxValue"])
    allowed: list[str] = parameter.get("AllowedValues") or ["x" * parameter["MaxLength"]]
    return max(allowed, key=len)


def _environments(parameters: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    stack = load_stack(ROOT / "template.yaml", parameters, name="sallyport")
    return {name: function.environment for name, function in stack.functions.items()}
