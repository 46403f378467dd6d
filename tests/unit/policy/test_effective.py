"""The effective policy: a document replaces parameters by top-level key; what is denied anywhere is denied."""

from typing import Any

import pytest

from sallyport.policy.effective import CompiledPolicyError, merge
from sallyport.policy.rules import NO_NETWORKS, AccessRules, DoorRules, IssuerRules, TenantRules


def packed(name: str) -> dict[str, Any]:
    """Give a stand-in for packed networks: the merge never looks into one."""
    return {"count": 1, "v4": name, "v6": ""}


PARAMETERS = DoorRules(
    version=0,
    api_keys=True,
    issuers=(IssuerRules("https://parameter.example.com/", ("ai",), ("RS256",), jwks_url="https://p/jwks"),),
    default_scopes=("chat",),
    access=AccessRules(
        allow=(packed("parameter allow"),),
        deny=(packed("parameter deny"),),
        trusted_proxies=packed("parameter proxies"),
        origin_secret="parameter",
        countries_allow=frozenset({"DE"}),
    ),
    zones={},
    default_residency=("us-east-1",),
    tenants={},
)
NO_IP = {"allow": NO_NETWORKS, "deny": NO_NETWORKS}
ACCESS = {
    "allow": packed("document allow"),
    "deny": packed("document deny"),
    "trusted_proxies": packed("document proxies"),
    "origin_secret": "document",
    "require_origin_secret": True,
    "countries": {"allow": [], "deny": ["FR"]},
}
ISSUER = {
    **IssuerRules("https://document.example.com/", ("ai",), ("ES256",), jwks_url="https://d/jwks")._asdict(),
    "default_scopes": None,
}


def compiled(**sections: Any) -> dict[str, Any]:
    return {"format": 1, "ip": NO_IP, **sections}


def test_without_a_document_the_parameters_are_in_force() -> None:
    assert merge(PARAMETERS, None, 0) == PARAMETERS


def test_an_empty_document_changes_nothing_but_the_version() -> None:
    merged = merge(PARAMETERS, compiled(), 7)
    assert merged.version == 7
    assert merged.issuers == PARAMETERS.issuers
    assert merged.access.allow == (*PARAMETERS.access.allow, NO_NETWORKS)
    assert merged.access.trusted_proxies == packed("parameter proxies")


def test_identity_replaces_the_parameters_issuer_and_switch() -> None:
    merged = merge(PARAMETERS, compiled(identity={"api_keys": False, "issuers": [ISSUER]}), 1)
    assert merged.api_keys is False
    assert [issuer.issuer for issuer in merged.issuers] == ["https://document.example.com/"]


@pytest.mark.parametrize(("own", "expected"), [(None, ("chat",)), (["models"], ("models",)), ([], ())])
def test_an_issuer_without_default_scopes_has_the_parameters(own: Any, expected: tuple[str, ...]) -> None:
    issuer = {**ISSUER, "default_scopes": own}
    merged = merge(PARAMETERS, compiled(identity={"api_keys": True, "issuers": [issuer]}), 1)
    assert merged.issuers[0].default_scopes == expected


def test_access_replaces_all_but_what_is_denied() -> None:
    access = merge(PARAMETERS, compiled(access=ACCESS), 1).access
    assert access.allow == (packed("document allow"), NO_NETWORKS)
    assert access.deny == (packed("parameter deny"), packed("document deny"), NO_NETWORKS)
    assert (access.trusted_proxies, access.origin_secret) == (packed("document proxies"), "document")
    assert access.require_origin_secret
    assert (access.countries_allow, access.countries_deny) == (frozenset(), frozenset({"FR"}))


def test_the_commands_lists_add_to_both() -> None:
    ip = {"allow": packed("ip allow"), "deny": packed("ip deny")}
    access = merge(PARAMETERS, compiled(ip=ip), 1).access
    assert access.allow == (packed("parameter allow"), packed("ip allow"))
    assert access.deny == (packed("parameter deny"), packed("ip deny"))


def test_residency_takes_zones_and_keeps_the_default_where_it_names_none() -> None:
    zones = {"eu": ["eu-central-1", "eu-west-1"]}
    merged = merge(PARAMETERS, compiled(residency={"zones": zones}), 1)
    assert merged.zones == {"eu": ("eu-central-1", "eu-west-1")}
    assert merged.default_residency == ("us-east-1",)
    merged = merge(PARAMETERS, compiled(residency={"zones": zones, "default": ["eu-west-1"]}), 1)
    assert merged.default_residency == ("eu-west-1",)


def test_a_tenant_s_rules() -> None:
    raw = {"residency": ["eu-west-1"], "models": [], "allow": packed("a"), "deny": packed("d"), "suspended": True}
    merged = merge(PARAMETERS, compiled(tenants={"acme": raw}), 1)
    assert merged.tenants == {"acme": TenantRules(("eu-west-1",), (), packed("a"), packed("d"), suspended=True)}


BROKEN: list[dict[str, Any]] = [
    {},
    {"format": 6, "ip": NO_IP},
    {"format": [1], "ip": NO_IP},
    {"format": 1},
    compiled(identity={}),
    compiled(identity={"api_keys": True, "issuers": [{"issuer": "x"}]}),
    compiled(identity={"api_keys": True, "issuers": [{**ISSUER, "unknown": 1}]}),
    compiled(identity={"api_keys": True, "issuers": [{**ISSUER, "audiences": None}]}),
    compiled(access={"allow": NO_NETWORKS}),
    compiled(residency={}),
    compiled(residency={"zones": []}),
    compiled(tenants={"acme": {}}),
    compiled(canaries=[{}]),
    compiled(canaries=[{"match": {"claims": [["plan"]]}}]),
    compiled(canaries=[{"match": {"claims": [[5, "beta"]]}}]),
    compiled(canaries=[{"match": {"claims": ["ab"]}}]),
    compiled(canaries={"next": {"match": {"claims": []}}}),
    compiled(canaries=[{"match": {"claims": [[f"c{number}", "a"] for number in range(11)]}}]),
    compiled(tenants=["acme"]),
]


@pytest.mark.parametrize("document", BROKEN)
def test_a_broken_document_is_refused_whole(document: dict[str, Any]) -> None:
    with pytest.raises(CompiledPolicyError):
        merge(PARAMETERS, document, 1)


def test_what_is_not_plainly_true_enables_nothing_and_what_is_not_plainly_false_suspends() -> None:
    raw = {"residency": None, "models": None, "suspended": "no"}
    merged = merge(PARAMETERS, compiled(identity={"api_keys": "yes", "issuers": []}, tenants={"acme": raw}), 1)
    assert merged.api_keys is False
    assert merged.tenants["acme"].suspended


def test_the_first_door_learns_which_claims_canaries_ask_for() -> None:
    canaries = [{"match": {"claims": claims}} for claims in ([["plan", "beta"], ["org", "a"]], [], [["plan", "pro"]])]
    assert merge(PARAMETERS, {**compiled(canaries=canaries), "format": 4}, 1).claims_told == ("plan", "org")
    assert merge(PARAMETERS, compiled(), 1).claims_told == ()


def test_the_first_door_passes_over_limits_and_models() -> None:
    acme = {"residency": None, "models": None, "suspended": False, "limits": {"a": None}}
    document = {**compiled(limits=[], models={}, tenants={"acme": acme}), "format": 2}
    assert merge(PARAMETERS, document, 1).tenants == {"acme": TenantRules()}
