"""The policy document's model: its sections, and what must hold between the fields of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from sallyport.access.networks import parse_network
from sallyport.identity.api_keys import MAX_RESIDENCY_LENGTH
from sallyport.policy.compiled_canaries import MAX_CANARIES
from sallyport.policy.rules import HMAC_ALGORITHMS, MAX_LEEWAY_S
from sallyport_cli.policy import field_types as kinds
from sallyport_cli.policy.canaries import Canary
from sallyport_cli.policy.canary_checks import canary_problems
from sallyport_cli.policy.limit_checks import limit_problems
from sallyport_cli.policy.limits import Limit, TenantLimit
from sallyport_cli.policy.models import Model
from sallyport_cli.policy.problems import at
from sallyport_cli.policy.sections import Section
from sallyport_cli.policy.upstream_checks import upstream_problems
from sallyport_cli.policy.upstream_types import AppName, UpstreamName
from sallyport_cli.policy.upstreams import App, Upstream
from sallyport_cli.policy.verification import Verification
from sallyport_cli.policy.verification_checks import verification_problems
from sallyport_cli.policy.verification_patterns import pattern_problems
from sallyport_cli.policy.yaml_reading import Path

MAX_ISSUERS: Final = 20
MAX_TENANTS: Final = 10_000
MAX_ZONES: Final = 100
MAX_MODELS_ON_OFFER: Final = 1000
MAX_UPSTREAMS: Final = 64
"""As many as a function keeps connections and credentials of."""
MAX_APPS: Final = 200


type Zones = Mapping[str, Sequence[str]]
"""The regions of zones, by name."""


class ApiKeys(Section):
    """API keys as credentials."""

    enabled: bool = Field(default=True, description="Whether API keys are taken.")


class ClaimNames(Section):
    """Which claims say what. A name that begins with / is a JSON Pointer into the claims."""

    tenant: kinds.Claim = Field(default="tenant", description="The claim that names the tenant.")
    subject: kinds.Claim = Field(default="sub", description="The claim that names the caller.")
    scopes: kinds.Claims | None = Field(
        default=None, description="A claim with scopes, or several; tokens without it have none. Default: scope."
    )
    residency: kinds.Claim | None = Field(default=None, description="The claim that names zones or regions.")


class Issuer(Section):
    """One issuer of JWTs: where its keys are, and what its tokens may say."""

    issuer: kinds.Url = Field(description="Exactly the `iss` claim.")
    audiences: kinds.Audiences = Field(description="One of them must be in `aud`.")
    algorithms: kinds.Algorithms = Field(description="Signatures that are taken. HS* goes with hmac_secret alone.")
    jwks_url: kinds.Url | None = Field(default=None, description="Where its keys are. Without it they are discovered.")
    discovery_url: kinds.Url | None = Field(default=None, description="Instead of the well-known place.")
    hmac_secret: kinds.SecretName | None = Field(default=None, description="The secret <stack>/identity/<this>.")
    token_type: kinds.TokenType | None = Field(default=None, description="What `typ` must be, such as at+jwt.")
    leeway_s: int = Field(default=30, ge=0, le=MAX_LEEWAY_S, description="Seconds that clocks may differ.")
    claims: ClaimNames = Field(default=ClaimNames(), description="Which claims say what.")
    tenant: kinds.TenantName | None = Field(default=None, description="Every token's tenant, instead of a claim.")
    tenants: kinds.Tenants = Field(default=(), description="The tenants that this issuer may speak for.")
    scope_prefix: kinds.ScopePrefix | None = Field(default=None, description="Scopes without it count for nothing.")
    default_scopes: kinds.Scopes | None = Field(default=None, description="Of tokens without such a claim.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = [*self._key_problems(), *self._tenant_problems()]
        if problems:
            raise at(*problems)
        return self

    def _key_problems(self) -> list[tuple[Path, str]]:
        sources = [name for name in ("jwks_url", "discovery_url", "hmac_secret") if getattr(self, name) is not None]
        problems: list[tuple[Path, str]] = [
            ((name,), f"can't stand beside {sources[0]}; an issuer's keys come from one place") for name in sources[1:]
        ]
        for place, algorithm in enumerate(self.algorithms):
            if (algorithm in HMAC_ALGORITHMS) != (self.hmac_secret is not None):
                hint = "no public key checks it" if self.hmac_secret is None else "with it goes HS256, HS384 or HS512"
                needs = "needs hmac_secret" if self.hmac_secret is None else "doesn't go with hmac_secret"
                problems.append((("algorithms", place), f"{algorithm} {needs}; {hint}"))
        return problems

    def _tenant_problems(self) -> list[tuple[Path, str]]:
        if self.tenant is None:
            return []
        problems: list[tuple[Path, str]] = []
        if "tenant" in self.claims.model_fields_set:
            problems.append((("claims", "tenant"), "can't stand beside a fixed tenant; give one of the two"))
        if self.tenants and self.tenant not in self.tenants:
            problems.append((("tenant",), "isn't one of tenants"))
        return problems


class Identity(Section):
    """Who is calling. Where this section is, it replaces the stack parameters for JWTs and API keys."""

    api_keys: ApiKeys = Field(default=ApiKeys(), description="API keys as credentials.")
    default_scopes: kinds.Scopes | None = Field(default=None, description="Of tokens that name no scopes.")
    issuers: Annotated[tuple[Issuer, ...], Field(strict=False)] = Field(
        default=(), max_length=MAX_ISSUERS, description="Whose tokens are taken."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [issuer.issuer for issuer in self.issuers]
        problems: list[tuple[Path, str]] = [
            (("issuers", place, "issuer"), f"is that of issuers[{names.index(name)}] already")
            for place, name in enumerate(names)
            if names.index(name) != place
        ]
        if not self.api_keys.enabled and not self.issuers:
            problems.append((("api_keys", "enabled"), "is false and there are no issuers: nobody could call"))
        if problems:
            raise at(*problems)
        return self


class CountryLists(Section):
    """Countries by ISO 3166-1 alpha-2, as CloudFront tells them."""

    allow: kinds.Countries = Field(default=(), description="Those that may call. Empty: all.")
    deny: kinds.Countries = Field(default=(), description="Those that may not.")


class Access(Section):
    """From where. Where this section is, it replaces the stack parameters, but for what IpDenyList denies."""

    allow: kinds.Networks = Field(default=(), description="Networks that may call. Empty: all.")
    deny: kinds.Networks = Field(default=(), description="Networks that may not.")
    trusted_proxies: kinds.Networks = Field(default=(), description="Whose X-Forwarded-For counts.")
    origin_secret: kinds.SecretName | None = Field(default=None, description="The secret <stack>/identity/<this>.")
    require_origin_secret: bool = Field(default=False, description="Refuse what doesn't come through those proxies.")
    countries: CountryLists = Field(default=CountryLists(), description="Countries that may call or not.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems: list[tuple[Path, str]] = [
            (("trusted_proxies", place), f"{network} is everyone; name the networks of your proxies")
            for place, network in enumerate(self.trusted_proxies)
            if _is_everyone(network)
        ]
        if self.trusted_proxies and self.origin_secret is None:
            reason = "needs origin_secret: anyone can have a proxy at the same addresses"
            problems.append((("trusted_proxies",), reason))
        if self.require_origin_secret and not self.trusted_proxies:
            problems.append((("require_origin_secret",), "needs trusted_proxies, or nobody could call"))
        if problems:
            raise at(*problems)
        return self


class Residency(Section):
    """Where data may go. A zone is a name for some regions."""

    zones: dict[kinds.ZoneName, kinds.Regions] = Field(default={}, max_length=MAX_ZONES, description="Zones, by name.")
    default: kinds.Residency | None = Field(default=None, description="A zone or regions, where nothing else is said.")
    endpoints: dict[kinds.Region, kinds.EndpointUrl] = Field(
        default={},
        max_length=MAX_ZONES,
        description="This gateway's URLs in other regions, for callers that belong there.",
    )


class Tenant(Section):
    """What is in force for one tenant."""

    residency: kinds.Residency | None = Field(default=None, description="A zone or regions, instead of the default.")
    allow_global: bool = Field(default=False, description="Whether targets that may process anywhere are for it too.")
    models: kinds.Models | None = Field(default=None, description="The models it may use. Without it: every one.")
    allow: kinds.TenantNetworks = Field(default=(), description="Networks it may call from. Empty: all.")
    deny: kinds.TenantNetworks = Field(default=(), description="Networks it may not call from.")
    suspended: bool = Field(default=False, description="Whether all of its calls are refused.")
    limits: Annotated[tuple[TenantLimit, ...], Field(strict=False)] = Field(
        default=(), description="Its own limits, instead of the general ones of their names or beside the others."
    )


class Policy(Section):
    """A Sallyport policy document."""

    version: kinds.Version = Field(description="Of the document's form.")
    identity: Identity | None = Field(default=None, description="Who is calling.")
    access: Access | None = Field(default=None, description="From where.")
    residency: Residency | None = Field(default=None, description="Where data may go.")
    limits: Annotated[tuple[Limit, ...], Field(strict=False)] | None = Field(
        default=None, description="How much. Where this section is, it replaces the stack parameters' limits."
    )
    upstreams: dict[UpstreamName, Upstream] | None = Field(
        default=None, min_length=1, max_length=MAX_UPSTREAMS,
        description="Where requests may go, by name. Where this section is, it replaces the stack's upstream.",
    )  # fmt: skip
    models: dict[kinds.Model, Model] | None = Field(
        default=None, min_length=1, max_length=MAX_MODELS_ON_OFFER, description="The models on offer, by name."
    )
    apps: dict[AppName, App] | None = Field(
        default=None, min_length=1, max_length=MAX_APPS, description="Your own applications under /apps/, by name."
    )
    canaries: Annotated[tuple[Canary, ...], Field(strict=False)] | None = Field(
        default=None, max_length=MAX_CANARIES,
        description="Other targets for some; the first that is for a request decides. They replace the stack's.",
    )  # fmt: skip
    verification: Verification | None = Field(
        default=None, description="What requests and answers are held to beyond their API's schema."
    )
    tenants: dict[kinds.TenantName, Tenant] | None = Field(
        default=None, max_length=MAX_TENANTS, description="What is in force for each tenant, by name."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = [*self._residency_problems(), *limit_problems(self), *upstream_problems(self)]
        problems += [*canary_problems(self), *verification_problems(self)]
        problems += pattern_problems(self.verification)
        if problems:
            raise at(*problems)
        return self

    def resolved_residency(self, names: Sequence[str] | None) -> frozenset[str]:
        """Give the regions of a residency, None: the default one's. Empty where the document has no default."""
        residency = self.residency or Residency()
        return frozenset(regions_of(names or residency.default or (), residency.zones))

    def _residency_problems(self) -> list[tuple[Path, str]]:
        """Refuse residencies that wouldn't fit into what the first door tells the second."""
        zones: Zones = self.residency.zones if self.residency else {}
        return [
            (path, f"has {length:,} characters of regions, with its zones resolved; at most {MAX_RESIDENCY_LENGTH:,}")
            for path, names in self._residencies()
            if (length := len(",".join(regions_of(names, zones)))) > MAX_RESIDENCY_LENGTH
        ]

    def _residencies(self) -> Iterator[tuple[Path, Sequence[str]]]:
        if self.residency is not None:
            yield from ((("residency", "zones", zone), (zone,)) for zone in self.residency.zones)
            yield ("residency", "default"), self.residency.default or ()
        for name, tenant in (self.tenants or {}).items():
            yield ("tenants", name, "residency"), tenant.residency or ()


def regions_of(names: Sequence[str], zones: Zones) -> list[str]:
    """Resolve zones to their regions, each once, in the order of the document."""
    return list(dict.fromkeys(region for name in names for region in zones.get(name, (name,))))


def _is_everyone(network: str) -> bool:
    version, first, last = parse_network(network)
    return first == 0 and last + 1 == 1 << (32 if version == 4 else 128)  # noqa: PLR2004 - IP version
