"""Stack parameters, as the functions find them in their environment, read once into frozen settings.

Every reader raises `ConfigurationError` that names the variable and the reason: a function with a broken configuration
doesn't start.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sallyport.policy.limit_parameters import LimitSettings
from sallyport.policy.limit_rules import MAX_CONCURRENT, STORE_FAILURE
from sallyport.policy.rules import MAX_LEEWAY_S, SCOPES, SIGNING_ALGORITHMS, IssuerRules
from sallyport.policy.upstream_parameters import (
    CanarySettings,
    UpstreamSettings,
    read_canary,
    read_connect_timeout_s,
    read_idle_timeout_s,
    read_upstream,
)
from sallyport.policy.urls import check_url
from sallyport.policy.variables import ConfigurationError, Variables
from sallyport.policy.verification_parameters import VerificationSettings, read_verification

__all__ = [
    "AppSettings",
    "AuthorizerSettings",
    "CanarySettings",
    "ConfigurationError",
    "ModelsSettings",
    "PlainSettings",
    "RouterSettings",
    "UpstreamSettings",
    "VerificationSettings",
    "discovery_url",
    "read_app_settings",
    "read_authorizer_settings",
    "read_models_settings",
    "read_plain_settings",
    "read_router_settings",
]

_MAX_TOKENS = 1_000_000_000
_LOG_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}


class AuthorizerSettings(NamedTuple):
    """What the authorizer goes by, as far as stack parameters say. `origin_secret` empty: no proxy is trusted.

    Networks are texts, times are in seconds. `local`: on a developer's machine, where an issuer may be on loopback.
    """

    stack: str
    config_table: str
    counters_table: str
    api_keys: bool
    issuers: tuple[IssuerRules, ...]
    default_scopes: tuple[str, ...]
    default_residency: tuple[str, ...]
    ip_allow: tuple[str, ...]
    ip_deny: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    origin_secret: str
    countries_allow: tuple[str, ...]
    countries_deny: tuple[str, ...]
    failed_credentials_per_minute: int
    key_revocation_s: float
    policy_refresh_s: float
    local: bool
    log_level: int


class RouterSettings(NamedTuple):
    """What a route to an upstream goes by. `models` empty: every model that the upstream knows.

    `stream_usage`: every stream is asked for its usage, whether or not its client wants it. `allowed_regions` bound
    every residency. `retries` are tries after the first. `anchor_retention_days` 0: anchors are kept for ever. The name
    of a policy document's secret comes after `secret_prefix`.
    """

    config_table: str
    counters_table: str
    anchors_table: str
    anchor_retention_days: int
    limits: LimitSettings
    upstream: UpstreamSettings
    allowed_regions: frozenset[str]
    secret_prefix: str
    retries: int
    models: tuple[str, ...]
    stream_usage: bool
    policy_refresh_s: float
    home_region: str
    log_level: int
    stack: str = "local"
    canary: CanarySettings = CanarySettings()
    verification: VerificationSettings = VerificationSettings()


class AppSettings(NamedTuple):
    """What the route to the operator's own applications goes by: all of them are in the policy document.

    As in `RouterSettings`; timeouts in seconds.
    """

    config_table: str
    counters_table: str
    anchors_table: str
    anchor_retention_days: int
    limits: LimitSettings
    allowed_regions: frozenset[str]
    secret_prefix: str
    retries: int
    connect_timeout_s: float
    idle_timeout_s: float
    policy_refresh_s: float
    home_region: str
    log_level: int
    stack: str = "local"
    verification: VerificationSettings = VerificationSettings()


class PlainSettings(NamedTuple):
    """What a route without an upstream goes by."""

    home_region: str
    log_level: int


class ModelsSettings(NamedTuple):
    """What the list of models goes by, where no policy document says which are on offer."""

    config_table: str
    policy_refresh_s: float
    models: tuple[str, ...]
    plain: PlainSettings


def read_authorizer_settings(environ: Mapping[str, str]) -> AuthorizerSettings:
    """Read the authorizer's settings. Raises `ConfigurationError`."""
    read = Variables(environ)
    default_scopes = _read_scopes(read)
    local = environ.get("AWS_SAM_LOCAL") == "true"
    settings = AuthorizerSettings(
        stack=_read_stack(environ),
        config_table=read.text("CONFIG_TABLE"),
        counters_table=read.text("COUNTERS_TABLE"),
        api_keys=read.choice("API_KEYS", {"enabled": True, "disabled": False}),
        issuers=_read_issuers(read, default_scopes, local=local),
        default_scopes=default_scopes,
        default_residency=read.regions("DEFAULT_RESIDENCY"),
        ip_allow=read.items("IP_ALLOW"),
        ip_deny=read.items("IP_DENY"),
        trusted_proxies=read.items("TRUSTED_PROXIES"),
        origin_secret=read.optional("ORIGIN_SECRET"),
        countries_allow=_read_countries(read, "COUNTRY_ALLOW"),
        countries_deny=_read_countries(read, "COUNTRY_DENY"),
        failed_credentials_per_minute=int(read.number("FAILED_CREDENTIALS_PER_MINUTE", 1, 1_000_000, default="100")),
        key_revocation_s=read.number("KEY_REVOCATION_S", 0, 300, default="15"),
        policy_refresh_s=_read_refresh(read),
        local=local,
        log_level=read.choice("LOG_LEVEL", _LOG_LEVELS),
    )
    _check_authorizer(settings)
    return settings


def _check_authorizer(settings: AuthorizerSettings) -> None:
    """Raise `ConfigurationError` for what no single variable can tell."""
    if not settings.api_keys and not settings.issuers:
        raise ConfigurationError(
            "SALLYPORT_API_KEYS: API keys are disabled and no JWT issuer is set; nobody could call"
        )
    if bool(settings.trusted_proxies) != bool(settings.origin_secret):
        raise ConfigurationError(
            "SALLYPORT_TRUSTED_PROXIES and SALLYPORT_ORIGIN_SECRET: one without the other trusts nobody, or anybody"
        )


def read_router_settings(environ: Mapping[str, str]) -> RouterSettings:
    """Read the settings of a route to an upstream. Raises `ConfigurationError`."""
    read = Variables(environ)
    return RouterSettings(
        config_table=read.text("CONFIG_TABLE"),
        counters_table=read.text("COUNTERS_TABLE"),
        anchors_table=read.text("ANCHORS_TABLE"),
        anchor_retention_days=_read_retention(read),
        limits=_read_limits(read),
        upstream=read_upstream(read),
        allowed_regions=frozenset(read.regions("ALLOWED_REGIONS")),
        secret_prefix=read.text("SECRET_PREFIX"),
        retries=_read_retries(read),
        models=read.items("MODELS"),
        stream_usage=read.choice("STREAM_USAGE", {"enabled": True, "disabled": False}, default="enabled"),
        policy_refresh_s=_read_refresh(read),
        home_region=environ.get("AWS_REGION", ""),
        log_level=read.choice("LOG_LEVEL", _LOG_LEVELS),
        stack=_read_stack(environ),
        canary=read_canary(read),
        verification=read_verification(read),
    )


def read_app_settings(environ: Mapping[str, str]) -> AppSettings:
    """Read the settings of the route to applications. Raises `ConfigurationError`."""
    read = Variables(environ)
    return AppSettings(
        config_table=read.text("CONFIG_TABLE"),
        counters_table=read.text("COUNTERS_TABLE"),
        anchors_table=read.text("ANCHORS_TABLE"),
        anchor_retention_days=_read_retention(read),
        limits=_read_limits(read),
        allowed_regions=frozenset(read.regions("ALLOWED_REGIONS")),
        secret_prefix=read.text("SECRET_PREFIX"),
        retries=_read_retries(read),
        connect_timeout_s=read_connect_timeout_s(read),
        idle_timeout_s=read_idle_timeout_s(read),
        policy_refresh_s=_read_refresh(read),
        home_region=environ.get("AWS_REGION", ""),
        log_level=read.choice("LOG_LEVEL", _LOG_LEVELS),
        stack=_read_stack(environ),
        verification=read_verification(read),
    )


def read_plain_settings(environ: Mapping[str, str]) -> PlainSettings:
    """Read the settings of a route without an upstream. Raises `ConfigurationError`."""
    read = Variables(environ)
    log_level = read.choice("LOG_LEVEL", _LOG_LEVELS)
    return PlainSettings(environ.get("AWS_REGION", ""), log_level)


def read_models_settings(environ: Mapping[str, str]) -> ModelsSettings:
    """Read the settings of the list of models. Raises `ConfigurationError`."""
    read = Variables(environ)
    return ModelsSettings(
        config_table=read.text("CONFIG_TABLE"),
        policy_refresh_s=_read_refresh(read),
        models=read.items("MODELS"),
        plain=read_plain_settings(environ),
    )


def discovery_url(issuer: str) -> str:
    """Give where an issuer publishes its configuration (OpenID Connect Discovery 1.0, section 4)."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def _read_stack(environ: Mapping[str, str]) -> str:
    return environ.get("SALLYPORT_STACK", "local")


def _read_issuers(read: Variables, default_scopes: tuple[str, ...], *, local: bool) -> tuple[IssuerRules, ...]:
    issuer = read.optional("JWT_ISSUER")
    if not issuer:
        return ()
    algorithms = read.items("JWT_ALGORITHMS")
    if not algorithms or not SIGNING_ALGORITHMS.issuperset(algorithms):
        raise ConfigurationError(f"SALLYPORT_JWT_ALGORITHMS: must be of {', '.join(sorted(SIGNING_ALGORITHMS))}")
    audiences = read.items("JWT_AUDIENCES")
    if not audiences:
        raise ConfigurationError("SALLYPORT_JWT_AUDIENCES: an issuer needs at least one audience")
    jwks_url = read.optional("JWT_JWKS_URL")
    found_at = "" if jwks_url else discovery_url(issuer)
    name = "JWT_JWKS_URL" if jwks_url else "JWT_ISSUER"
    read.checked(name, jwks_url or found_at, lambda text: check_url(text, loopback_http=local))
    scopes_claim = read.optional("JWT_SCOPES_CLAIM")
    rules = IssuerRules(
        issuer=issuer,
        audiences=audiences,
        algorithms=algorithms,
        jwks_url=jwks_url,
        discovery_url=found_at,
        token_type=read.optional("JWT_TOKEN_TYPE"),
        leeway_s=int(read.number("JWT_LEEWAY_S", 0, MAX_LEEWAY_S, default="30")),
        tenant_claim=read.text("JWT_TENANT_CLAIM"),
        subject_claim=read.text("JWT_SUBJECT_CLAIM"),
        scopes_claims=(scopes_claim,) if scopes_claim else (),
        residency_claim=read.optional("JWT_RESIDENCY_CLAIM"),
        default_scopes=default_scopes,
    )
    return (rules,)


def _read_limits(read: Variables) -> LimitSettings:
    return LimitSettings(
        requests_per_minute=read.count("REQUESTS_PER_MINUTE", 1, 1_000_000, default=60),
        tokens_per_minute=read.count("TOKENS_PER_MINUTE", 0, _MAX_TOKENS),
        concurrent_requests=read.count("CONCURRENT_REQUESTS", 0, MAX_CONCURRENT),
        tenant_requests_per_minute=read.count("TENANT_REQUESTS_PER_MINUTE", 0, 1_000_000),
        tenant_tokens_per_minute=read.count("TENANT_TOKENS_PER_MINUTE", 0, _MAX_TOKENS),
        ip_requests_per_minute=read.count("IP_REQUESTS_PER_MINUTE", 0, 1_000_000),
        store_failure=read.choice("LIMIT_STORE_FAILURE", {name: name for name in STORE_FAILURE}, default="allow"),
        max_output_tokens=read.count("MAX_OUTPUT_TOKENS", 1, 1_000_000, default=16_384),
    )


def _read_scopes(read: Variables) -> tuple[str, ...]:
    scopes = tuple(read.optional("DEFAULT_SCOPES").split())
    if not set(SCOPES).issuperset(scopes):
        raise ConfigurationError(f"SALLYPORT_DEFAULT_SCOPES: must be of {' '.join(SCOPES)}")
    return scopes


def _read_countries(read: Variables, name: str) -> tuple[str, ...]:
    countries = read.items(name)
    if any(len(country) != 2 or not country.isascii() or not country.isupper() for country in countries):  # noqa: PLR2004 - ISO 3166-1 alpha-2
        raise ConfigurationError(f"SALLYPORT_{name}: must be countries as two capital letters, such as DE")
    return countries


def _read_refresh(read: Variables) -> float:
    return read.number("POLICY_REFRESH_S", 1, 300, default="10")


def _read_retries(read: Variables) -> int:
    return read.count("UPSTREAM_RETRIES", 0, 5, default=2)


def _read_retention(read: Variables) -> int:
    return read.count("ANCHOR_RETENTION_DAYS", 0, 3653, default=400)
