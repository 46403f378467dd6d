"""The document's upstreams and apps: what each may say, and the rules that they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

from pydantic import Field, ValidationInfo, model_validator

from sallyport.policy.bedrock_ids import is_at_bedrock
from sallyport.policy.upstream_rules import MODELLESS
from sallyport.policy.urls import aws_region_of, bedrock_url, check_upstream_url, is_bedrock_url, is_loopback
from sallyport_cli.policy import upstream_types as kinds
from sallyport_cli.policy.field_types import Tenants, surroundings
from sallyport_cli.policy.problems import at
from sallyport_cli.policy.sections import Section
from sallyport_cli.policy.verification_types import BesideName, Mode
from sallyport_cli.policy.yaml_reading import Path

ANTHROPIC_URL: Final = "https://api.anthropic.com"
_OWN_URL: Final = ("anthropic", "bedrock")
"""Providers whose URL is known."""

type Problems = Iterator[tuple[Path, str]]


class Upstream(Section):
    """One place that requests may go to."""

    provider: kinds.Provider = Field(
        description="What it speaks; app: an application of your own, guard: what is asked about prompts."
    )
    base_url: kinds.BaseUrl | None = Field(
        default=None, description="https, before the API's paths. Of bedrock and anthropic it is known."
    )
    region: kinds.UpstreamRegion = Field(description="The AWS region in which, or beside which, it processes.")
    secret: kinds.SecretName | None = Field(default=None, description="The secret <stack>/upstreams/<this>.")
    credential_header: kinds.CredentialHeader | None = Field(
        default=None, description="Where the credential goes. Default: the provider's own header."
    )
    store: bool = Field(default=False, description="Whether it may keep answers (openai).")
    hosted_tools: kinds.HostedTools = Field(default=(), description="Types of tools that it may run itself.")

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        problems = [*_url_problems(self, local=surroundings(info).local), *_credential_problems(self)]
        problems += _feature_problems(self)
        if problems:
            raise at(*problems)
        return self

    @property
    def url(self) -> str:
        """Where it is, given or known, without a slash at its end."""
        known = bedrock_url(self.region) if self.provider == "bedrock" else ANTHROPIC_URL
        return (self.base_url or known).removesuffix("/")

    @property
    def is_at_bedrock(self) -> bool:
        """Whether its models are Bedrock's, so that their ids tell where they process."""
        return is_at_bedrock(self.provider, self.url)

    def as_json(self) -> dict[str, Any]:
        """Give the fields of `UpstreamRules` but its name, which stands before them; `secret` without its folder."""
        return {
            "provider": self.provider,
            "base_url": self.url,
            "region": self.region,
            "secret": self.secret or "",
            "credential_header": self.credential_header or "",
            "store": self.store,
            "hosted_tools": self.hosted_tools,
            "is_proved": self.provider == "bedrock" and is_bedrock_url(self.url, self.region),
        }


class App(Section):
    """One application of your own, under /apps/<name>/."""

    upstream: kinds.TargetUpstream = Field(description="One of upstreams, of the provider app.")
    tenants: Tenants | None = Field(default=None, description="The tenants that may call it. Without it: every one.")
    request_headers: kinds.RequestHeaders = Field(default=(), description="Headers of requests to pass on too.")
    answer_headers: kinds.AnswerHeaders = Field(default=(), description="Headers of answers to pass on too.")
    openapi: BesideName | None = Field(
        default=None, description="Its OpenAPI 3.1 or 3.0 document, a file beside this one; nothing else passes."
    )
    response: Mode | None = Field(
        default=None, description="What becomes of answers that aren't as it says. Default: verification.response."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.response is not None and self.openapi is None:
            raise at((("response",), "needs openapi: there is nothing else to hold answers to"))
        return self

    def as_json(self, openapi: Mapping[str, Any] | None) -> dict[str, Any]:
        """Give the fields of `AppRules`, with its compiled OpenAPI document if it has one."""
        own = {} if openapi is None else {"openapi": openapi, "response": self.response}
        return own | {
            "upstream": self.upstream,
            "tenants": self.tenants,
            "request_headers": self.request_headers,
            "answer_headers": self.answer_headers,
        }


def _url_problems(upstream: Upstream, *, local: bool) -> Problems:
    if upstream.base_url is None:
        if upstream.provider not in _OWN_URL:
            yield ("base_url",), "is missing"
        return
    try:
        url = check_upstream_url(upstream.base_url, local=local, private=upstream.provider in MODELLESS)
    except ValueError as error:
        yield ("base_url",), str(error)
        return
    if upstream.provider == "bedrock" and not (is_bedrock_url(url, upstream.region) or is_loopback(url)):
        reason = f"must be AWS's own endpoint of {upstream.region}, such as {bedrock_url(upstream.region)}"
        yield ("base_url",), f"{reason}; leave it out for that one"
    elif (named := aws_region_of(url)) not in {None, upstream.region}:
        yield ("region",), f"is {upstream.region}, and the host of base_url is one of AWS in {named}"
    if upstream.provider == "anthropic" and url.endswith("/v1"):
        yield ("base_url",), "ends before /v1, which is in the API's paths already"


def _credential_problems(upstream: Upstream) -> Problems:
    if upstream.provider == "bedrock" and upstream.secret is not None:
        yield ("secret",), "doesn't go with bedrock, which is called with the function's IAM role"
    if upstream.provider == "app" and upstream.secret is None:
        yield ("secret",), "is missing: with it the caller's identity is signed"
    if upstream.provider in {"bedrock", "app"} and upstream.credential_header is not None:
        yield ("credential_header",), f"doesn't go with {upstream.provider}, whose requests are signed"


def _feature_problems(upstream: Upstream) -> Problems:
    if upstream.store and upstream.provider != "openai":
        yield ("store",), "goes with openai alone"
    if upstream.hosted_tools and upstream.provider in MODELLESS:
        yield ("hosted_tools",), f"doesn't go with {upstream.provider}"
