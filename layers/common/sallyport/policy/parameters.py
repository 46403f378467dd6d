"""Stack parameters, as the functions find them in their environment, read once into frozen settings.

Every reader raises `ConfigurationError` that names the variable and the reason: a function with a broken configuration
doesn't start.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sallyport.policy.limit_parameters import LimitSettings
from sallyport.policy.limit_rules import MAX_CONCURRENT, STORE_FAILURE
from sallyport.policy.rules import MAX_LEEWAY_S, SCOPES, SIGNING_ALGORITHMS, IssuerRules
from sallyport.policy.urls import check_url

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
_MAX_TOKENS = 1_000_000_000
_LOG_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}


class ConfigurationError(Exception):
    """A variable is missing or broken; the message names it and says why, and is for the operator alone."""


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


class UpstreamSettings(NamedTuple):
    """One OpenAI-compatible upstream. `secret` empty: it needs no credential. Timeouts in seconds."""

    base_url: str
    region: str
    secret: str
    connect_timeout_s: float
    idle_timeout_s: float


class RouterSettings(NamedTuple):
    """What a route to an upstream goes by. `models` empty: every model that the upstream knows.

    `stream_usage`: every stream is asked for its usage, whether or not its client wants it.
    """

    config_table: str
    counters_table: str
    limits: LimitSettings
    upstream: UpstreamSettings
    models: tuple[str, ...]
    stream_usage: bool
    policy_refresh_s: float
    home_region: str
    log_level: int


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
    read = _Reader(environ)
    default_scopes = _read_scopes(read)
    local = environ.get("AWS_SAM_LOCAL") == "true"
    settings = AuthorizerSettings(
        stack=environ.get("SALLYPORT_STACK", "local"),
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
        policy_refresh_s=read.number("POLICY_REFRESH_S", 1, 300, default="10"),
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
    read = _Reader(environ)
    return RouterSettings(
        config_table=read.text("CONFIG_TABLE"),
        counters_table=read.text("COUNTERS_TABLE"),
        limits=_read_limits(read),
        upstream=UpstreamSettings(
            base_url=read.url("UPSTREAM_BASE_URL"),
            region=read.regions("UPSTREAM_REGION")[0],
            secret=read.optional("UPSTREAM_SECRET"),
            connect_timeout_s=read.number("UPSTREAM_CONNECT_TIMEOUT_S", 0.1, 60),
            idle_timeout_s=read.number("UPSTREAM_IDLE_TIMEOUT_S", 0.1, 900),
        ),
        models=read.items("MODELS"),
        stream_usage=read.choice("STREAM_USAGE", {"enabled": True, "disabled": False}, default="enabled"),
        policy_refresh_s=read.number("POLICY_REFRESH_S", 1, 300, default="10"),
        home_region=environ.get("AWS_REGION", ""),
        log_level=read.choice("LOG_LEVEL", _LOG_LEVELS),
    )


def read_plain_settings(environ: Mapping[str, str]) -> PlainSettings:
    """Read the settings of a route without an upstream. Raises `ConfigurationError`."""
    read = _Reader(environ)
    log_level = read.choice("LOG_LEVEL", _LOG_LEVELS)
    return PlainSettings(environ.get("AWS_REGION", ""), log_level)


def read_models_settings(environ: Mapping[str, str]) -> ModelsSettings:
    """Read the settings of the list of models. Raises `ConfigurationError`."""
    read = _Reader(environ)
    return ModelsSettings(
        config_table=read.text("CONFIG_TABLE"),
        policy_refresh_s=read.number("POLICY_REFRESH_S", 1, 300, default="10"),
        models=read.items("MODELS"),
        plain=read_plain_settings(environ),
    )


def discovery_url(issuer: str) -> str:
    """Give where an issuer publishes its configuration (OpenID Connect Discovery 1.0, section 4)."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def _read_issuers(read: "_Reader", default_scopes: tuple[str, ...], *, local: bool) -> tuple[IssuerRules, ...]:
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
    _checked(name, jwks_url or found_at, lambda text: check_url(text, loopback_http=local))
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


def _read_limits(read: "_Reader") -> LimitSettings:
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


def _read_scopes(read: "_Reader") -> tuple[str, ...]:
    scopes = tuple(read.optional("DEFAULT_SCOPES").split())
    if not set(SCOPES).issuperset(scopes):
        raise ConfigurationError(f"SALLYPORT_DEFAULT_SCOPES: must be of {' '.join(SCOPES)}")
    return scopes


def _read_countries(read: "_Reader", name: str) -> tuple[str, ...]:
    countries = read.items(name)
    if any(len(country) != 2 or not country.isascii() or not country.isupper() for country in countries):  # noqa: PLR2004 - ISO 3166-1 alpha-2
        raise ConfigurationError(f"SALLYPORT_{name}: must be countries as two capital letters, such as DE")
    return countries


class _Reader:
    """Reads variables by their name after `SALLYPORT_`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def optional(self, name: str) -> str:
        return self._environ.get(f"SALLYPORT_{name}", "").strip()

    def text(self, name: str) -> str:
        text = self.optional(name)
        if not text:
            raise ConfigurationError(f"SALLYPORT_{name}: must be set")
        return text

    def items(self, name: str) -> tuple[str, ...]:
        return tuple(item.strip() for item in self.optional(name).split(",") if item.strip())

    def regions(self, name: str) -> tuple[str, ...]:
        regions = self.items(name)
        if not regions or any(_REGION.fullmatch(region) is None for region in regions):
            raise ConfigurationError(f"SALLYPORT_{name}: must name regions, such as eu-central-1")
        return regions

    def choice[T](self, name: str, values: Mapping[str, T], *, default: str = "") -> T:
        text = self.optional(name) or default or self.text(name)
        if text not in values:
            raise ConfigurationError(f"SALLYPORT_{name}: must be one of {', '.join(values)}")
        return values[text]

    def number(self, name: str, minimum: float, maximum: float, *, default: str = "") -> float:
        text = self.optional(name) or default or self.text(name)
        return _checked(name, text, lambda text: _bounded(float(text), minimum, maximum))

    def count(self, name: str, minimum: int, maximum: int, *, default: int = 0) -> int:
        number = self.number(name, minimum, maximum, default=str(default))
        if number != int(number):
            raise ConfigurationError(f"SALLYPORT_{name}: must be a whole number")
        return int(number)

    def url(self, name: str) -> str:
        return _checked(name, self.text(name), check_url)


def _checked[T](name: str, text: str, check: Callable[[str], T]) -> T:
    try:
        return check(text)
    except ValueError as error:
        raise ConfigurationError(f"SALLYPORT_{name}: {error}") from None


def _bounded(number: float, minimum: float, maximum: float) -> float:
    if not minimum <= number <= maximum:
        raise ValueError(f"must be from {minimum:g} to {maximum:g}")
    return number
