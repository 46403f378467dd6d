"""What a token's claims say of its holder: tenant, subject, scopes, residency."""

from typing import Any

import pytest

from sallyport.identity.claims import ClaimMapping
from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.principal import Identity
from tests.support.issuer import RULES, claims

ZONES = {"eu": ("eu-central-1", "eu-west-1"), "us": ("us-east-1",), "us-east-1": ("us-east-2",), "empty": ()}


def read(said: dict[str, Any], **rules: Any) -> Identity:
    return ClaimMapping(RULES._replace(**rules), ZONES).read(said)


def refusal(said: dict[str, Any], **rules: Any) -> str:
    with pytest.raises(CredentialRefusedError) as caught:
        read(said, **rules)
    return caught.value.reason


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("org", {"org": "acme"}),
        ("https://example.com/tenant", {"https://example.com/tenant": "acme"}),
        ("app_metadata/tenant", {"app_metadata/tenant": "acme"}),
        ("/app_metadata/tenant", {"app_metadata": {"tenant": "acme"}}),
        ("/https:~1~1example.com~1app/org~0id", {"https://example.com/app": {"org~id": "acme"}}),
        ("/~01", {"~1": "acme"}),
        ("/orgs/1/id", {"orgs": [{"id": "x"}, {"id": "acme"}]}),
        ("/", {"": "acme"}),
    ],
)
def test_a_claim_is_a_name_or_a_json_pointer(claim: str, said: dict[str, Any]) -> None:
    assert read(claims(tenant=None) | said, tenant_claim=claim).tenant == "acme"
    assert read(claims() | said, subject_claim=claim).subject == "acme"


@pytest.mark.parametrize(
    "claim",
    ["/orgs", "/orgs/2", "/orgs/-", "/orgs/01", "/orgs/-1", "/orgs/\u0661", "/orgs/1/x", "/tenant/0", "org", "/a/b"],
)
def test_a_claim_that_is_not_there_names_no_tenant(claim: str) -> None:
    assert refusal(claims(orgs=["acme", "globex"], tenant="acme"), tenant_claim=claim) == "token_tenant_missing"


@pytest.mark.parametrize("tenant", ["", "-x", "a/b", "a b", "a" * 65, "\u00e4", 7, True, ["acme"], {"acme": 1}])
def test_a_tenant_is_a_name(tenant: Any) -> None:
    assert refusal(claims(tenant=tenant)) == "token_tenant_missing"


def test_a_fixed_tenant_counts_and_not_the_token_s() -> None:
    assert read(claims(tenant="globex"), tenant="acme").tenant == "acme"


def test_an_issuer_speaks_for_its_own_tenants_only() -> None:
    assert read(claims(), tenants=("globex", "acme")).tenant == "acme"
    assert refusal(claims(tenant="evil"), tenants=("globex", "acme")) == "token_tenant_not_the_issuers"
    assert refusal(claims(tenant="ACME"), tenants=("acme",)) == "token_tenant_not_the_issuers"
    assert refusal(claims(), tenant="evil", tenants=("acme",)) == "token_tenant_not_the_issuers"


@pytest.mark.parametrize("subject", [None, "", 7, ["alice"], "a" * 257, "a\nb", "a\x00", "\ud800", "\u202e"])
def test_a_subject_is_printable_text(subject: Any) -> None:
    assert refusal(claims(sub=subject)) == "token_subject_missing"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, ("chat",)),
        ({"scope": ""}, ()),
        ({"scope": []}, ()),
        ({"scope": "chat models"}, ("chat", "models")),
        ({"scope": "models chat models"}, ("chat", "models")),
        ({"scope": ["models", "chat"]}, ("chat", "models")),
        ({"scope": "openid profile"}, ()),
        ({"scope": "openid  chat \u00fc \x00"}, ("chat",)),
        ({"scope": "CHAT Chat chats"}, ()),
        ({"scope": "chat\u2003models"}, ()),
        ({"scope": ["chat models"]}, ()),
        ({"roles": ["embeddings"]}, ("embeddings",)),
        ({"scope": "chat", "roles": ["embeddings"]}, ("chat", "embeddings")),
    ],
)
def test_scopes_are_the_union_of_the_claims_or_the_default(said: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert read(claims(**said), scopes_claims=("scope", "roles")).scopes == expected


def test_scopes_may_lie_deep() -> None:
    said = claims(resource_access={"ai": {"roles": ["chat"]}})
    assert read(said, scopes_claims=("/resource_access/ai/roles",), default_scopes=()).scopes == ("chat",)


def test_only_scopes_with_the_prefix_count_where_there_is_one() -> None:
    said = claims(scope="ai/chat models other/embeddings ai/ai/models ai/")
    assert read(said, scope_prefix="ai/").scopes == ("chat",)


@pytest.mark.parametrize("names", [(), ("",)])
def test_without_a_scopes_claim_configured_every_token_has_the_default(names: tuple[str, ...]) -> None:
    assert read(claims(scope="models"), scopes_claims=names).scopes == ("chat",)


@pytest.mark.parametrize("scope", [7, True, {"chat": 1}, ["chat", 7], [["chat"]], ["chat", None]])
def test_scopes_of_another_kind_are_refused(scope: Any) -> None:
    assert refusal(claims(scope=scope)) == "token_scopes_malformed"
    assert refusal(claims(scope="chat", roles=scope), scopes_claims=("scope", "roles")) == "token_scopes_malformed"
    assert refusal({**claims(), "scope": None}) == "token_scopes_malformed"


@pytest.mark.parametrize(
    ("residency", "expected"),
    [
        ("eu", ("eu-central-1", "eu-west-1")),
        ("eu-west-1", ("eu-west-1",)),
        ("eu,us", ("eu-central-1", "eu-west-1", "us-east-1")),
        ("eu us", ("eu-central-1", "eu-west-1", "us-east-1")),
        (" eu-west-1 , eu ", ("eu-west-1", "eu-central-1")),
        (["eu-west-1", "eu-west-1"], ("eu-west-1",)),
        (["eu", "ap-south-1"], ("eu-central-1", "eu-west-1", "ap-south-1")),
        ("us-east-1", ("us-east-2",)),  # a zone's name comes first
    ],
)
def test_a_residency_claim_names_zones_and_regions(residency: Any, expected: tuple[str, ...]) -> None:
    assert read(claims(residency=residency), residency_claim="residency").residency == expected


@pytest.mark.parametrize(
    ("residency", "reason"),
    [
        (None, "token_residency_missing"),
        ("", "token_residency_missing"),
        (" , ", "token_residency_missing"),
        ([], "token_residency_missing"),
        ("mars", "token_residency_unknown"),
        ("eu,mars", "token_residency_unknown"),
        ("EU", "token_residency_unknown"),
        ("empty", "token_residency_unknown"),
        (["eu,us"], "token_residency_unknown"),
        (["eu", ""], "token_residency_unknown"),
        (["eu", 7], "token_residency_unknown"),
        (["eu-west-1,us-east-1"], "token_residency_unknown"),
        (7, "token_residency_unknown"),
        ({"eu": 1}, "token_residency_unknown"),
    ],
)
def test_a_token_that_must_name_its_residency_and_does_not_is_refused(residency: Any, reason: str) -> None:
    assert refusal(claims(residency=residency), residency_claim="residency") == reason


def test_without_a_residency_claim_configured_a_token_says_nothing_of_it() -> None:
    assert read(claims(residency="mars")).residency is None


def told(said: dict[str, Any], *names: str) -> dict[str, str]:
    found = ClaimMapping(RULES, ZONES, names).read(claims() | said).claims
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("beta", "beta"),
        (" Beta \u00e4", " Beta \u00e4"),
        ("b" * 256, "b" * 256),
        (7, "7"),
        (0, "0"),
        (-1.5, "-1.5"),
        (1e2, "100.0"),
        (True, "true"),
        (False, "false"),
    ],
)
def test_a_claim_that_the_policy_asks_for_is_told_as_text(value: Any, text: str) -> None:
    assert told({"plan": value}, "plan") == {"plan": text}


@pytest.mark.parametrize("value", [None, "", "b" * 257, "a\nb", "\ud800", 10**300, ["beta"], {"beta": True}, [], [1]])
def test_a_claim_without_one_plain_value_is_not_told(value: Any) -> None:
    assert told({"plan": value}, "plan") == {}


def test_claims_that_nobody_asks_for_are_not_told() -> None:
    assert told({"plan": "beta", "email": "alice@example.com"}) == {}
    assert told({"plan": "beta", "email": "alice@example.com"}, "plan", "team") == {"plan": "beta"}


def test_a_claim_to_tell_is_a_name_or_a_json_pointer() -> None:
    said = {"app": {"plan": "beta"}, "a/b": 1, "/app/plan": "gamma"}
    assert told(said, "/app/plan", "a/b") == {"/app/plan": "beta", "a/b": "1"}
