"""Which upstream a local gateway talks to, as stack parameters and a secret: the same way a deploy says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

URL_PARAMETER: Final = "UpstreamBaseUrl"
SECRET_PARAMETER: Final = "UpstreamSecret"  # noqa: S105 - the name of a parameter
PROVIDER_PARAMETER: Final = "UpstreamProvider"
REGION_PARAMETER: Final = "UpstreamRegion"
OPENAI_KEY_VARIABLE: Final = "OPENAI_API_KEY"
ANTHROPIC_KEY_VARIABLE: Final = "ANTHROPIC_API_KEY"
ANTHROPIC_URL: Final = "https://api.anthropic.com"
UPSTREAM_KEY_VARIABLE: Final = "SALLYPORT_UPSTREAM_API_KEY"


@dataclass(frozen=True)
class UpstreamChoice:
    """The upstream: an echo to be started, or a URL; `key` goes into the secret and nowhere else."""

    start_echo: bool
    description: str
    key: str = ""
    parameters: Mapping[str, str] | None = None


def choose_upstream(
    url: str | None, environment: Mapping[str, str], given: Mapping[str, str], echo_key: str
) -> UpstreamChoice:
    """The upstream asked for by `--upstream` or a parameter, else its provider's own with its key, else an echo.

    OPENAI_API_KEY is sent to OpenAI alone, ANTHROPIC_API_KEY to Anthropic; any other upstream's key is
    SALLYPORT_UPSTREAM_API_KEY.
    """
    asked = url or given.get(URL_PARAMETER)
    if asked is not None:
        key = environment.get(UPSTREAM_KEY_VARIABLE, "")
        secret: dict[str, str] = {} if key else {SECRET_PARAMETER: ""}
        parameters = {URL_PARAMETER: asked, **secret}
        return UpstreamChoice(start_echo=False, description=asked, key=key, parameters=parameters)
    provider = provider_of(given)
    if provider == "anthropic" and environment.get(ANTHROPIC_KEY_VARIABLE):
        description = f"Anthropic, with the key in {ANTHROPIC_KEY_VARIABLE}"
        key = environment[ANTHROPIC_KEY_VARIABLE]
        return UpstreamChoice(False, description, key, {URL_PARAMETER: ANTHROPIC_URL})
    if provider == "openai" and environment.get(OPENAI_KEY_VARIABLE):
        description = f"OpenAI, with the key in {OPENAI_KEY_VARIABLE}"
        return UpstreamChoice(start_echo=False, description=description, key=environment[OPENAI_KEY_VARIABLE])
    return UpstreamChoice(start_echo=True, description="an echo of what you say", key=echo_key)


def provider_of(given: Mapping[str, str]) -> str:
    """Which provider's API the upstream speaks."""
    return given.get(PROVIDER_PARAMETER, "openai")


def echo_base_url(url: str, given: Mapping[str, str]) -> str:
    """An echo's base URL as its provider's SDK would have it: with the version, but for Anthropic and Bedrock."""
    return f"{url}/v1" if provider_of(given) == "openai" else url
