"""The upstreams that stack parameters can name, read with what only two of them together can tell.

The second is for a canary alone.
"""

from typing import NamedTuple

from sallyport.policy.canary_rules import STICKY_BY
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, UpstreamRules
from sallyport.policy.urls import aws_region_of, is_bedrock_url, is_loopback
from sallyport.policy.variables import ConfigurationError, Variables

CANARY_UPSTREAM = "canary"
"""The name of the upstream that stack parameters name for their canary."""

_ROUNDING = 1e-6

_PROVIDERS = {name: name for name in ("openai", "anthropic", "bedrock")}


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


class CanarySettings(NamedTuple):
    """The canary that stack parameters make. `weight` is in hundredths of a percent, 0: there is none.

    `model` is its name at the canary's upstream, empty: as the client calls it. `upstream` None: the stack's own.
    """

    weight: int = 0
    sticky_by: str = "subject"
    model: str = ""
    upstream: UpstreamRules | None = None


def read_upstream(read: Variables) -> UpstreamSettings:
    """Read the upstream. Raises `ConfigurationError`."""
    settings = UpstreamSettings(
        base_url=read.url("UPSTREAM_BASE_URL"),
        region=_read_region(read, "UPSTREAM_REGION"),
        secret=read.optional("UPSTREAM_SECRET"),
        connect_timeout_s=read_connect_timeout_s(read),
        idle_timeout_s=read_idle_timeout_s(read),
        provider=read.choice("UPSTREAM_PROVIDER", _PROVIDERS, default="openai"),
    )
    is_proved = _check_place(settings.rules, "UPSTREAM")
    return settings._replace(is_proved=is_proved)


def read_canary(read: Variables) -> CanarySettings:
    """Read the canary, whose upstream is as the stack's own where nothing else is said. Raises `ConfigurationError`."""
    weight = _read_weight(read)
    if weight == 0:
        return CanarySettings()
    settings = CanarySettings(
        weight=weight,
        sticky_by=read.choice("CANARY_STICKY_BY", {name: name for name in STICKY_BY}, default="subject"),
        model=read.optional("CANARY_MODEL"),
        upstream=_read_canary_upstream(read) if read.optional("CANARY_UPSTREAM_BASE_URL") else None,
    )
    if not settings.model and settings.upstream is None:
        raise ConfigurationError("SALLYPORT_CANARY_WEIGHT: a canary needs SALLYPORT_CANARY_MODEL or an upstream")
    return settings


def _read_weight(read: Variables) -> int:
    """Read a share in percent, with two decimals at most, as hundredths of a percent."""
    hundredths = read.number("CANARY_WEIGHT", 0, 100, default="0") * 100
    if abs(hundredths - round(hundredths)) > _ROUNDING:
        raise ConfigurationError("SALLYPORT_CANARY_WEIGHT: must have two decimals at most")
    return round(hundredths)


def _read_canary_upstream(read: Variables) -> UpstreamRules:
    provider = read.optional("CANARY_UPSTREAM_PROVIDER") or read.optional("UPSTREAM_PROVIDER") or "openai"
    region = "CANARY_UPSTREAM_REGION" if read.optional("CANARY_UPSTREAM_REGION") else "UPSTREAM_REGION"
    rules = UpstreamRules(
        name=CANARY_UPSTREAM,
        provider=read.choice("CANARY_UPSTREAM_PROVIDER", _PROVIDERS, default=provider),
        base_url=read.url("CANARY_UPSTREAM_BASE_URL"),
        region=_read_region(read, region),
        secret=read.optional("CANARY_UPSTREAM_SECRET"),
    )
    return rules._replace(is_proved=_check_place(rules, "CANARY_UPSTREAM"))


def _read_region(read: Variables, name: str) -> str:
    """Read the one region; of several, those after the first would count for nothing."""
    regions = read.regions(name)
    if len(regions) > 1:
        raise ConfigurationError(f"SALLYPORT_{name}: must name one region")
    return regions[0]


def read_connect_timeout_s(read: Variables) -> float:
    """Read how long connecting may take. Raises `ConfigurationError`."""
    return read.number("UPSTREAM_CONNECT_TIMEOUT_S", 0.1, 60)


def read_idle_timeout_s(read: Variables) -> float:
    """Read how long an upstream may stay silent. Raises `ConfigurationError`."""
    return read.number("UPSTREAM_IDLE_TIMEOUT_S", 0.1, 900)


def _check_place(rules: UpstreamRules, prefix: str) -> bool:
    """Tell whether the URL proves the region. Raises `ConfigurationError` where it contradicts it."""
    if rules.provider == "bedrock":
        return _check_bedrock(rules, prefix)
    if (named := aws_region_of(rules.base_url)) not in {None, rules.region}:
        raise ConfigurationError(f"SALLYPORT_{prefix}_BASE_URL: is in {named}, and SALLYPORT_{prefix}_REGION is not")
    return False


def _check_bedrock(rules: UpstreamRules, prefix: str) -> bool:
    if rules.secret:
        raise ConfigurationError(f"SALLYPORT_{prefix}_SECRET: Bedrock is called as the function's role, with no secret")
    is_proved = is_bedrock_url(rules.base_url, rules.region)
    if not is_proved and not is_loopback(rules.base_url):
        raise ConfigurationError(
            f"SALLYPORT_{prefix}_BASE_URL: must be Bedrock's endpoint in SALLYPORT_{prefix}_REGION"
        )
    return is_proved
