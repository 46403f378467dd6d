"""Upstreams, put together by what they speak. A provider's modules are imported when the policy has one of it."""

from collections.abc import Callable
from contextlib import suppress

from sallyport.adapters.aws_client import SECRETS_MANAGER
from sallyport.adapters.secrets_manager import CachedSecret
from sallyport.adapters.upstream_http import HttpTransport
from sallyport.errors import SecretUnavailableError
from sallyport.gateway.assembly.environment import Environ, make_aws_client
from sallyport.gateway.upstreams import NoSecret, Secret, Upstream, Upstreams
from sallyport.policy.parameters import ConfigurationError
from sallyport.policy.upstream_rules import MODELLESS, UpstreamRules
from sallyport.policy.urls import parse_url
from sallyport.providers.provider import Provider

type Clock = Callable[[], float]


def make_upstreams(
    environ: Environ, connect_timeout_s: float, idle_timeout_s: float, left_s: Callable[[], float], now: Clock
) -> Upstreams:
    """Give the upstreams of one function, none of them connected yet."""
    secrets: dict[str, Secret] = {"": NoSecret()}

    def secret(name: str) -> Secret:
        """Two upstreams of one secret share it, and so does one whose rules have changed."""
        if name not in secrets:
            secrets[name] = CachedSecret(make_aws_client(SECRETS_MANAGER, environ, left_s), name)
        return secrets[name]

    def make(rules: UpstreamRules) -> Upstream:
        return Upstream(
            rules=rules,
            host=parse_url(rules.base_url).authority,
            provider=_provider(rules, environ, now),
            transport=HttpTransport(rules.base_url, connect_timeout_s, idle_timeout_s, resend=rules.provider != "app"),
            secret=secret(rules.secret),
        )

    return Upstreams(make)


def read_early(upstream: Upstream) -> None:
    """Read an upstream's secret before anybody waits for it; a request will ask again, and tell its client."""
    with suppress(SecretUnavailableError):
        upstream.secret.read()


def _provider(rules: UpstreamRules, environ: Environ, now: Clock) -> Provider | None:
    if rules.provider == "anthropic":
        from sallyport.providers.anthropic import AnthropicProvider  # noqa: PLC0415 - most processes have one provider

        return AnthropicProvider(rules)
    if rules.provider == "bedrock":
        return _bedrock(rules, environ, now)
    if rules.provider in MODELLESS:
        return None
    from sallyport.providers.openai import OpenAiProvider  # noqa: PLC0415 - most processes have one provider

    return OpenAiProvider(rules)


def _bedrock(rules: UpstreamRules, environ: Environ, now: Clock) -> Provider:
    from sallyport.adapters.bedrock_signer import BedrockSigner  # noqa: PLC0415 - most processes have one provider
    from sallyport.providers.bedrock import BedrockProvider  # noqa: PLC0415 - the same

    try:
        signer = BedrockSigner(environ, rules.region, parse_url(rules.base_url).authority, now)
    except ValueError as error:
        raise ConfigurationError(f"the environment's AWS settings: {error}") from None
    return BedrockProvider(rules, signer)
