"""What a document says, in the form that the functions read: plain JSON, with zones resolved and networks packed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.access.networks import NetworkSet
from sallyport.policy.effective import (
    CANARY_FORMAT,
    FORMAT,
    LIMITS_FORMAT,
    SOVEREIGNTY_FORMAT,
    VERIFICATION_FORMAT,
)
from sallyport.policy.router_rules import rule_as_json
from sallyport.policy.rules import IssuerRules
from sallyport_cli.policy.documents import Document
from sallyport_cli.policy.ip_rules import NO_IP_RULES, IpRules
from sallyport_cli.policy.limits import Limit, TenantLimit, rules_of
from sallyport_cli.policy.model import Access, Identity, Issuer, Policy, Residency, Tenant, Zones, regions_of
from sallyport_cli.policy.models import Model, price_json
from sallyport_cli.policy.targets import Regions
from sallyport_cli.policy.verification_compiling import compile_verification

_WELL_KNOWN = "/.well-known/openid-configuration"


def compile_policy(document: Document | None, ip: IpRules = NO_IP_RULES) -> str:
    """Give the compiled policy: canonical JSON in ASCII. Without a document it holds the `ip` entries alone."""
    sections = {} if document is None else _sections(document)
    return canonical({"format": _format(sections), "ip": ip.packed(), **sections})


def with_ip_rules(compiled: str, ip: IpRules) -> str:
    """Give a compiled policy with other `ip` entries, whatever else is in it: an address can be denied in any case."""
    return canonical({**json.loads(compiled), "ip": ip.packed()})


def canonical(value: Any) -> str:
    """Write JSON in the one form that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _format(sections: Mapping[str, Any]) -> int:
    """Give the oldest format that says all of it, so that functions of before take what they can read whole."""
    if "verification" in sections or any("openapi" in app for app in sections.get("apps", {}).values()):
        return VERIFICATION_FORMAT
    if "canaries" in sections:
        return CANARY_FORMAT
    tenants, models = sections.get("tenants", {}).values(), sections.get("models", {}).values()
    has_places = "upstreams" in sections or "apps" in sections or "endpoints" in sections.get("residency", {})
    if has_places or any("targets" in model for model in models) or any("allow_global" in tenant for tenant in tenants):
        return SOVEREIGNTY_FORMAT
    has_own = any("limits" in tenant for tenant in tenants)
    return LIMITS_FORMAT if has_own or "limits" in sections or "models" in sections else FORMAT


def _sections(document: Document) -> dict[str, Any]:
    policy = document.policy
    zones: Zones = policy.residency.zones if policy.residency else {}
    sections: dict[str, Any] = {}
    if policy.identity is not None:
        sections["identity"] = _identity(policy.identity)
    if policy.access is not None:
        sections["access"] = _access(policy.access)
    if policy.residency is not None:
        sections["residency"] = _residency(policy.residency)
    if policy.limits is not None:
        sections["limits"] = list(_limits(policy.limits).values())
    return sections | _places(document) | _tenants(policy, zones)


def _places(document: Document) -> dict[str, Any]:
    """Give the sections on where requests may go, and what they are held to there."""
    policy = document.policy
    sections: dict[str, Any] = {}
    if policy.upstreams is not None:
        sections["upstreams"] = {name: upstream.as_json() for name, upstream in policy.upstreams.items()}
    if policy.models is not None:
        sections["models"] = {name: _model(name, model, document.regions) for name, model in policy.models.items()}
    if policy.apps is not None:
        sections["apps"] = {name: app.as_json(document.beside.openapi.get(name)) for name, app in policy.apps.items()}
    if policy.canaries is not None:
        places = enumerate(policy.canaries)
        sections["canaries"] = [one.as_json(document.regions.get(("canaries", n, "target"))) for n, one in places]
    if policy.verification is not None:
        sections["verification"] = compile_verification(policy.verification, document.beside.schemas)
    return sections


def _tenants(policy: Policy, zones: Zones) -> dict[str, Any]:
    if policy.tenants is None:
        return {}
    return {"tenants": {name: _tenant(tenant, zones) for name, tenant in policy.tenants.items()}}


def _identity(identity: Identity) -> dict[str, Any]:
    issuers = [_issuer(issuer, identity.default_scopes) for issuer in identity.issuers]
    return {"api_keys": identity.api_keys.enabled, "issuers": issuers}


def _issuer(issuer: Issuer, default_scopes: Sequence[str] | None) -> dict[str, Any]:
    """Give the fields of `IssuerRules`. `default_scopes` null: nobody named any, the stack parameter's apply.

    Where the document names a claim with scopes, a token without it has none: leaving the claim out must give no more.
    """
    scopes = default_scopes if issuer.default_scopes is None else issuer.default_scopes
    if scopes is None and issuer.claims.scopes is not None:
        scopes = ()
    rules = IssuerRules(
        issuer=issuer.issuer,
        audiences=issuer.audiences,
        algorithms=issuer.algorithms,
        jwks_url=issuer.jwks_url or "",
        discovery_url=_discovery_url(issuer),
        hmac_secret=issuer.hmac_secret or "",
        token_type=issuer.token_type or "",
        leeway_s=issuer.leeway_s,
        tenant=issuer.tenant or "",
        tenants=issuer.tenants,
        tenant_claim=issuer.claims.tenant,
        subject_claim=issuer.claims.subject,
        scopes_claims=("scope",) if issuer.claims.scopes is None else issuer.claims.scopes,
        residency_claim=issuer.claims.residency or "",
        scope_prefix=issuer.scope_prefix or "",
    )
    return {**rules._asdict(), "default_scopes": scopes}


def _discovery_url(issuer: Issuer) -> str:
    if issuer.jwks_url is not None or issuer.hmac_secret is not None:
        return ""
    return issuer.discovery_url or issuer.issuer.removesuffix("/") + _WELL_KNOWN


def _access(access: Access) -> dict[str, Any]:
    return {
        "allow": NetworkSet(access.allow).pack(),
        "deny": NetworkSet(access.deny).pack(),
        "trusted_proxies": NetworkSet(access.trusted_proxies).pack(),
        "origin_secret": access.origin_secret or "",
        "require_origin_secret": access.require_origin_secret,
        "countries": {
            "allow": sorted(set(access.countries.allow)),
            "deny": sorted(set(access.countries.deny)),
        },
    }


def _residency(residency: Residency) -> dict[str, Any]:
    compiled: dict[str, Any] = {"zones": dict(residency.zones)}
    if residency.default is not None:
        compiled["default"] = regions_of(residency.default, residency.zones)
    if residency.endpoints:
        compiled["endpoints"] = dict(residency.endpoints)
    return compiled


def _limits(limits: Sequence[Limit | TenantLimit]) -> dict[str, dict[str, Any] | None]:
    """Give the rules by name, None for one that is lifted."""
    return {name: None if rule is None else rule_as_json(rule) for name, rule in rules_of(limits).items()}


def _model(name: str, model: Model, regions: Regions) -> dict[str, Any]:
    """Give the fields of `ModelRules`; without targets as functions of before read it."""
    places = [("models", name, "targets", place) for place in range(len(model.targets))]
    targets = [target.as_json(regions[path]) for path, target in zip(places, model.targets, strict=True)]
    own = {"targets": targets} if targets else {}
    return own | {"max_output_tokens": model.max_output_tokens, "price": price_json(model.price)}


def _tenant(tenant: Tenant, zones: Zones) -> dict[str, Any]:
    own: dict[str, Any] = {"limits": _limits(tenant.limits)} if tenant.limits else {}
    own |= {"allow_global": True} if tenant.allow_global else {}
    return own | {
        "residency": None if tenant.residency is None else regions_of(tenant.residency, zones),
        "models": tenant.models,
        "allow": NetworkSet(tenant.allow).pack(),
        "deny": NetworkSet(tenant.deny).pack(),
        "suspended": tenant.suspended,
    }
