"""Where requests may go, as the effective policy says it: upstreams, targets of models, apps. Plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sallyport.policy.verification_rules import OFF, AnswerRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sallyport.policy.limit_rules import Price

APP, GUARD = "app", "guard"
MODELLESS = (APP, GUARD)
PROVIDERS = ("openai", "anthropic", "bedrock", *MODELLESS)
"""What an upstream speaks. `app`: an operator's own application, under /apps/. `guard`: asked about prompts."""

CREDENTIAL_HEADERS = {"openai": "authorization", "anthropic": "x-api-key"}
"""Where each provider's credential goes unless its upstream says otherwise. Bedrock is signed for instead."""

AUTHENTICATION = ("authorization", "x-api-key", "api-key")
"""The headers that an upstream's credential may go into; in `authorization` as a Bearer token."""

DEFAULT_UPSTREAM = "default"
"""The name of the stack parameters' upstream."""

GLOBAL = "global"
"""Stands in a target's regions for one that may process a request anywhere."""


class UpstreamRules(NamedTuple):
    """One upstream: what it speaks, where, and in which region it says that it processes.

    `secret` is the whole name in Secrets Manager, empty: it needs none; of an app it signs the caller's identity.
    `credential_header` is one of `AUTHENTICATION`, empty: the provider's own. `store`: it may keep answers.
    `hosted_tools`: types of tools that it may run itself. `is_proved`: AWS's own endpoint of that region, so that the
    region isn't only what the operator declared.
    """

    name: str
    provider: str
    base_url: str
    region: str
    secret: str = ""
    credential_header: str = ""
    store: bool = False
    hosted_tools: tuple[str, ...] = ()
    is_proved: bool = False


class Target(NamedTuple):
    """A model at an upstream. `regions` are all in which it may process, among them the upstream's own.

    `model` is its name there, empty: as the client calls it. `price` None: the model's.
    """

    upstream: str
    model: str
    regions: tuple[str, ...]
    price: Price | None = None

    @property
    def id(self) -> str:
        """Give what names it among all targets."""
        return f"{self.upstream}/{self.model}"


class AppRules(NamedTuple):
    """One application of the operator's own. `tenants` None: every one may call it.

    `request_headers` and `answer_headers` are passed on beside the usual ones. `openapi`: its compiled document, None
    where it has none and every operation is passed on. `answers`: what happens to its answers.
    """

    upstream: str
    tenants: tuple[str, ...] | None = None
    request_headers: tuple[str, ...] = ()
    answer_headers: tuple[str, ...] = ()
    openapi: Mapping[str, Any] | None = None
    answers: AnswerRules = AnswerRules(OFF)
