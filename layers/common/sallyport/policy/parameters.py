"""Stack parameters, as the functions find them in their environment, read once into frozen settings.

Every reader raises `ConfigurationError` that names the variable and the reason: a function with a broken configuration
doesn't start.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sallyport.policy.urls import check_url

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
_SIGNING_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
_LOG_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}


class ConfigurationError(Exception):
    """A variable is missing or broken; the message names it and says why, and is for the operator alone."""


class JwtSettings(NamedTuple):
    """One issuer of JWTs. `scopes_claim` empty: no claim is read, every token has the default scopes."""

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    jwks_url: str
    tenant_claim: str
    subject_claim: str
    scopes_claim: str


class AuthorizerSettings(NamedTuple):
    """What the authorizer goes by. `jwt` None: no JWT is accepted."""

    config_table: str
    api_keys: bool
    jwt: JwtSettings | None
    default_scopes: tuple[str, ...]
    default_residency: tuple[str, ...]
    ip_allow: tuple[str, ...]
    ip_deny: tuple[str, ...]
    log_level: int


class UpstreamSettings(NamedTuple):
    """One OpenAI-compatible upstream. `secret` empty: it needs no credential. Timeouts in seconds."""

    base_url: str
    region: str
    secret: str
    connect_timeout_s: float
    idle_timeout_s: float


class RouterSettings(NamedTuple):
    """What a route to an upstream goes by. `models` empty: every model that the upstream knows."""

    counters_table: str
    requests_per_minute: int
    upstream: UpstreamSettings
    models: tuple[str, ...]
    home_region: str
    log_level: int


class PlainSettings(NamedTuple):
    """What a route without an upstream goes by."""

    models: tuple[str, ...]
    home_region: str
    log_level: int


def read_authorizer_settings(environ: Mapping[str, str]) -> AuthorizerSettings:
    """Read the authorizer's settings. Raises `ConfigurationError`."""
    read = _Reader(environ)
    settings = AuthorizerSettings(
        config_table=read.text("CONFIG_TABLE"),
        api_keys=read.choice("API_KEYS", {"enabled": True, "disabled": False}),
        jwt=_read_jwt(read),
        default_scopes=tuple(read.optional("DEFAULT_SCOPES").split()),
        default_residency=read.regions("DEFAULT_RESIDENCY"),
        ip_allow=read.items("IP_ALLOW"),
        ip_deny=read.items("IP_DENY"),
        log_level=read.choice("LOG_LEVEL", _LOG_LEVELS),
    )
    if not settings.api_keys and settings.jwt is None:
        raise ConfigurationError(
            "SALLYPORT_API_KEYS: API keys are disabled and no JWT issuer is set; nobody could call"
        )
    return settings


def read_router_settings(environ: Mapping[str, str]) -> RouterSettings:
    """Read the settings of a route to an upstream. Raises `ConfigurationError`."""
    read = _Reader(environ)
    return RouterSettings(
        counters_table=read.text("COUNTERS_TABLE"),
        requests_per_minute=int(read.number("REQUESTS_PER_MINUTE", 1, 1_000_000)),
        upstream=UpstreamSettings(
            base_url=read.url("UPSTREAM_BASE_URL"),
            region=read.regions("UPSTREAM_REGION")[0],
            secret=read.optional("UPSTREAM_SECRET"),
            connect_timeout_s=read.number("UPSTREAM_CONNECT_TIMEOUT_S", 0.1, 60),
            idle_timeout_s=read.number("UPSTREAM_IDLE_TIMEOUT_S", 0.1, 900),
        ),
        models=read.items("MODELS"),
        home_region=environ.get("AWS_REGION", ""),
        log_level=read.choice("LOG_LEVEL", _LOG_LEVELS),
    )


def read_plain_settings(environ: Mapping[str, str]) -> PlainSettings:
    """Read the settings of a route without an upstream. Raises `ConfigurationError`."""
    read = _Reader(environ)
    log_level = read.choice("LOG_LEVEL", _LOG_LEVELS)
    return PlainSettings(read.items("MODELS"), environ.get("AWS_REGION", ""), log_level)


def _read_jwt(read: "_Reader") -> JwtSettings | None:
    issuer = read.optional("JWT_ISSUER")
    if not issuer:
        return None
    algorithms = read.items("JWT_ALGORITHMS")
    if not algorithms or not _SIGNING_ALGORITHMS.issuperset(algorithms):
        raise ConfigurationError(f"SALLYPORT_JWT_ALGORITHMS: must be of {', '.join(sorted(_SIGNING_ALGORITHMS))}")
    audiences = read.items("JWT_AUDIENCES")
    if not audiences:
        raise ConfigurationError("SALLYPORT_JWT_AUDIENCES: an issuer needs at least one audience")
    return JwtSettings(
        issuer=issuer,
        audiences=audiences,
        algorithms=algorithms,
        jwks_url=read.url("JWT_JWKS_URL"),
        tenant_claim=read.text("JWT_TENANT_CLAIM"),
        subject_claim=read.text("JWT_SUBJECT_CLAIM"),
        scopes_claim=read.optional("JWT_SCOPES_CLAIM"),
    )


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

    def choice[T](self, name: str, values: Mapping[str, T]) -> T:
        text = self.text(name)
        if text not in values:
            raise ConfigurationError(f"SALLYPORT_{name}: must be one of {', '.join(values)}")
        return values[text]

    def number(self, name: str, minimum: float, maximum: float) -> float:
        return _checked(name, self.text(name), lambda text: _bounded(float(text), minimum, maximum))

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
