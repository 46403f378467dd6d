"""What is in force: stack parameters and the applied policy document, merged. Plain data, made without pydantic.

Networks stand here as the policy compiler packs them (`access.networks.NetworkSet.unpack` reads them), because a list
may hold 100,000.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

type PackedNetworks = Mapping[str, Any]
"""`{"count": 2, "v4": base64, "v6": base64}`, as `NetworkSet.pack` writes it."""

NO_NETWORKS: PackedNetworks = {"count": 0, "v4": "", "v6": ""}

HMAC_ALGORITHMS = frozenset({"HS256", "HS384", "HS512"})
SIGNING_ALGORITHMS = frozenset({
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
})  # fmt: skip
"""RFC 7518 and 8037: signatures that a public key checks."""

SCOPES = ("chat", "embeddings", "models", "apps", "canary")
"""Every scope that means something here; others that a token names are dropped.

The last is for no route: who has it may choose a canary's arm.
"""

MAX_LEEWAY_S = 60
MAX_CLAIMS_TOLD = 10
"""Names of claims that all canaries together may ask for."""


class IssuerRules(NamedTuple):
    """One issuer of JWTs.

    Keys come from `jwks_url`, or from the JWKS that the document at `discovery_url` names, or `hmac_secret` names a
    secret under `<stack>/identity/`: exactly one of the three is set. A token's tenant is `tenant`, or where that is
    empty the claim `tenant_claim`; `tenants` are those that this issuer may speak for, none: every one. A claim that
    begins with `/` is a JSON Pointer (RFC 6901) into the claims, any other is a name. Scopes are the union of the
    claims in `scopes_claims`, those with `scope_prefix` alone and without it; `default_scopes` where no such claim is
    there. `token_type` is what `typ` must be; empty: anything.
    """

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    jwks_url: str = ""
    discovery_url: str = ""
    hmac_secret: str = ""
    token_type: str = ""
    leeway_s: int = 30
    tenant: str = ""
    tenants: tuple[str, ...] = ()
    tenant_claim: str = "tenant"
    subject_claim: str = "sub"
    scopes_claims: tuple[str, ...] = ("scope",)
    residency_claim: str = ""
    scope_prefix: str = ""
    default_scopes: tuple[str, ...] = ()


class TenantRules(NamedTuple):
    """What is in force for one tenant. None for `residency`: the default one; for `models`: every model."""

    residency: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    allow: PackedNetworks = NO_NETWORKS
    deny: PackedNetworks = NO_NETWORKS
    suspended: bool = False


class AccessRules(NamedTuple):
    """From where. Each of `allow` and `deny` is the union of its members; an empty `allow`: all who aren't denied.

    `origin_secret` names a secret under `<stack>/identity/`; without one, no proxy is trusted. Where it is required,
    what comes from elsewhere than a trusted proxy is refused.
    """

    allow: tuple[PackedNetworks, ...] = ()
    deny: tuple[PackedNetworks, ...] = ()
    trusted_proxies: PackedNetworks = NO_NETWORKS
    origin_secret: str = ""
    require_origin_secret: bool = False
    countries_allow: frozenset[str] = frozenset()
    countries_deny: frozenset[str] = frozenset()


class DoorRules(NamedTuple):
    """All that the authorizer goes by. `version` is the applied policy's, 0 where none is applied.

    `claims_told`: the names of those claims that the router is told the values of, since canaries ask for them.
    """

    version: int
    api_keys: bool
    issuers: tuple[IssuerRules, ...]
    default_scopes: tuple[str, ...]
    access: AccessRules
    zones: Mapping[str, tuple[str, ...]]
    default_residency: tuple[str, ...]
    tenants: Mapping[str, TenantRules]
    claims_told: tuple[str, ...] = ()
