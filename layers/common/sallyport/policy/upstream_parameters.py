"""The one upstream that stack parameters can name, read with what only two of them together can tell."""

from typing import NamedTuple

from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, UpstreamRules
from sallyport.policy.urls import aws_region_of, is_bedrock_url, is_loopback
from sallyport.policy.variables import ConfigurationError, Variables

_PROVIDERS = ("openai", "anthropic", "bedrock")


class UpstreamSettings(NamedTuple):
    """One upstream. `secret` empty: it needs no credential, or is signed for. Timeouts in seconds.

    `is_proved`: the region isn't only what the operator declared, since the URL is AWS's own endpoint there.
    """

    base_url: str
    region: str
    secret: str
    connect_timeout_s: float
    idle_timeout_s: float
    provider: str = "openai"
    is_proved: bool = False

    @property
    def rules(self) -> UpstreamRules:
        """Give it as a policy document's upstreams are given."""
        return UpstreamRules(
            name=DEFAULT_UPSTREAM,
            provider=self.provider,
            base_url=self.base_url,
            region=self.region,
            secret=self.secret,
            is_proved=self.is_proved,
        )


def read_upstream(read: Variables) -> UpstreamSettings:
    """Read the upstream. Raises `ConfigurationError`."""
    settings = UpstreamSettings(
        base_url=read.url("UPSTREAM_BASE_URL"),
        region=_read_region(read),
        secret=read.optional("UPSTREAM_SECRET"),
        connect_timeout_s=read_connect_timeout_s(read),
        idle_timeout_s=read_idle_timeout_s(read),
        provider=read.choice("UPSTREAM_PROVIDER", {name: name for name in _PROVIDERS}, default="openai"),
    )
    if settings.provider == "bedrock":
        return _checked_bedrock(settings)
    if (named := aws_region_of(settings.base_url)) not in {None, settings.region}:
        raise ConfigurationError(f"SALLYPORT_UPSTREAM_BASE_URL: is in {named}, and SALLYPORT_UPSTREAM_REGION is not")
    return settings


def _read_region(read: Variables) -> str:
    """Read the one region; of several, those after the first would count for nothing."""
    regions = read.regions("UPSTREAM_REGION")
    if len(regions) > 1:
        raise ConfigurationError("SALLYPORT_UPSTREAM_REGION: must name one region")
    return regions[0]


def read_connect_timeout_s(read: Variables) -> float:
    """Read how long connecting may take. Raises `ConfigurationError`."""
    return read.number("UPSTREAM_CONNECT_TIMEOUT_S", 0.1, 60)


def read_idle_timeout_s(read: Variables) -> float:
    """Read how long an upstream may stay silent. Raises `ConfigurationError`."""
    return read.number("UPSTREAM_IDLE_TIMEOUT_S", 0.1, 900)


def _checked_bedrock(settings: UpstreamSettings) -> UpstreamSettings:
    if settings.secret:
        raise ConfigurationError("SALLYPORT_UPSTREAM_SECRET: Bedrock is called as the function's role, with no secret")
    is_proved = is_bedrock_url(settings.base_url, settings.region)
    if not is_proved and not is_loopback(settings.base_url):
        raise ConfigurationError("SALLYPORT_UPSTREAM_BASE_URL: must be Bedrock's endpoint in SALLYPORT_UPSTREAM_REGION")
    return settings._replace(is_proved=is_proved)
