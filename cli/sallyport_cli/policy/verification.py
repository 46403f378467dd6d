"""The document's section on verification: what requests and answers are held to beyond their API's schema."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from sallyport.policy.compiled_verification import (
    COUNTS,
    MAX_GUARDS,
    MAX_MATCH_CHARS,
    MAX_PATTERNS,
    MAX_RULES,
    MAX_TIMEOUT_MS,
    MAX_TIMES,
    MIN_TIMEOUT_MS,
    MIN_TIMES,
)
from sallyport.policy.verification_rules import ANSWERS, CLOSED, Scope
from sallyport_cli.policy import verification_types as kinds
from sallyport_cli.policy.field_types import TenantName
from sallyport_cli.policy.problems import at
from sallyport_cli.policy.sections import Section
from sallyport_cli.policy.upstream_types import TargetUpstream
from sallyport_cli.policy.yaml_reading import Path

MAX_TENANTS: Final = 1000
_USUAL_TIMEOUT_MS: Final = 800


class Request(Section):
    """What requests may hold."""

    unknown_fields: kinds.UnknownFields | None = Field(
        default=None, description="What becomes of fields that the API's specification doesn't have."
    )
    max_messages: int | None = Field(
        default=None,
        ge=COUNTS["max_messages"][0],
        le=COUNTS["max_messages"][1],
        description="Messages, or items.",
    )
    max_images: int | None = Field(
        default=None, ge=COUNTS["max_images"][0], le=COUNTS["max_images"][1], description="Images in all messages."
    )
    max_tools: int | None = Field(
        default=None, ge=COUNTS["max_tools"][0], le=COUNTS["max_tools"][1], description="Tools that are offered."
    )
    max_prompt_bytes: int | None = Field(
        default=None, ge=COUNTS["max_prompt_bytes"][0], le=COUNTS["max_prompt_bytes"][1],
        description="Bytes of all texts of the prompt.",
    )  # fmt: skip
    max_output_tokens: int | None = Field(
        default=None, ge=COUNTS["max_output_tokens"][0], le=COUNTS["max_output_tokens"][1],
        description="What a request may ask for.",
    )  # fmt: skip
    forbidden: kinds.Forbidden = Field(default=(), description="Fields that a request may not have.")
    forced: kinds.Forced = Field(default={}, description="Fields that are set, whatever the client sent.")
    own_schema: kinds.OwnSchema | None = Field(
        default=None, alias="schema", description="A JSON Schema beside the API's: itself, or a file beside this one."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems: list[tuple[Path, str]] = [
            (("forbidden",), f"{name} is forced: a client's value counts for nothing as it is")
            for name in self.forbidden
            if name in self.forced
        ]
        if problems:
            raise at(*problems)
        return self


class Route(Section):
    """What one route's requests and answers are held to."""

    request: Request | None = Field(default=None, description="On top of verification.request; it only narrows.")
    response: kinds.Mode | None = Field(default=None, description="Instead of verification.response.")
    strip: kinds.StripTexts = Field(default=(), description="Fields to take out of answers, by their paths.")


class TenantRequests(Section):
    """What one tenant's requests are held to."""

    request: Request = Field(description="On top of verification.request and the route's; it only narrows.")


class _Scoped(Section):
    """A rule for some."""

    tenants: kinds.Tenants = Field(default=(), description="Tenants. Without it: every one.")


class OwnPattern(Section):
    """A pattern of your own."""

    name: kinds.FindingName = Field(description="What it is called in logs and in place of what it finds.")
    pattern: kinds.PatternText = Field(description="In RE2's syntax.")
    max_length: int = Field(ge=1, le=MAX_MATCH_CHARS, description="Of what it may match, in characters.")


class Leaks(_Scoped):
    """One rule of the leak guard."""

    name: kinds.RuleName = Field(description="Unique; logs know it by this.")
    detectors: kinds.Detectors = Field(default=(), description="Names of built-in detectors.")
    patterns: Annotated[tuple[OwnPattern, ...], Field(strict=False)] = Field(
        default=(), max_length=MAX_PATTERNS, description="Patterns of your own."
    )
    words: kinds.Words = Field(default=(), description="Texts to look for as they are, such as one in a system prompt.")
    action: kinds.LeakAction = Field(description="report, redact or block.")
    where: kinds.Directions = Field(default=(ANSWERS,), description="Of answers, requests, or both.")
    routes: kinds.Routes = Field(default=(), description="Routes. Without it: every one.")
    apps: kinds.Apps = Field(default=(), description="Applications, and nothing else.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [pattern.name for pattern in self.patterns]
        problems: list[tuple[Path, str]] = [
            (("patterns", place, "name"), f"is that of patterns[{names.index(name)}] already")
            for place, name in enumerate(names)
            if names.index(name) != place
        ]
        if not (self.detectors or self.patterns or self.words):
            problems.append((("detectors",), "is missing: give detectors, patterns or words"))
        if self.apps and self.routes:
            problems.append((("routes",), "can't stand beside apps; a rule is for the routes or for the applications"))
        if problems:
            raise at(*problems)
        return self

    @property
    def scope(self) -> Scope:
        """Whom it is for."""
        return Scope(("apps",) if self.apps else self.routes, self.apps, self.tenants)


class Prompts(_Scoped):
    """One rule for prompts."""

    name: kinds.RuleName = Field(description="Unique; logs know it by this.")
    roles: kinds.Roles = Field(default=("user",), description="Whose texts are looked at.")
    deny: kinds.PatternTexts = Field(default=(), description="Patterns in RE2's syntax, none of which may match.")
    allow: kinds.PatternTexts = Field(default=(), description="Patterns, one of which must match.")
    forbid: kinds.Characters = Field(default=(), description="Kinds of characters: control, bidi.")
    max_repetition: int | None = Field(
        default=None, ge=MIN_TIMES, le=MAX_TIMES, description="Of one character, or one word, in a row."
    )
    action: kinds.PromptAction = Field(description="report or block.")
    routes: kinds.RequestRoutes = Field(default=(), description="Routes of providers. Without it: every one.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (self.deny or self.allow or self.forbid or self.max_repetition):
            raise at((("deny",), "is missing: give deny, allow, forbid or max_repetition"))
        return self

    @property
    def scope(self) -> Scope:
        """Whom it is for."""
        return Scope(self.routes, (), self.tenants)


class GuardHook(_Scoped):
    """An external guard."""

    name: kinds.RuleName = Field(description="Unique; logs know it by this.")
    upstream: TargetUpstream = Field(description="One of upstreams, of the provider guard.")
    timeout_ms: int = Field(
        default=_USUAL_TIMEOUT_MS, ge=MIN_TIMEOUT_MS, le=MAX_TIMEOUT_MS, description="How long it may take."
    )
    on_failure: kinds.OnFailure = Field(default=CLOSED, description="closed: no answer refuses; open: it doesn't.")
    routes: kinds.RequestRoutes = Field(default=(), description="Routes of providers. Without it: every one.")

    @property
    def scope(self) -> Scope:
        """Whom it is for."""
        return Scope(self.routes, (), self.tenants)


class Verification(Section):
    """What requests and answers are held to."""

    request: Request | None = Field(default=None, description="All requests to providers.")
    response: kinds.Mode | None = Field(
        default=None, description="What becomes of answers that aren't as their API says: off, report, enforce."
    )
    routes: dict[kinds.RequestRoute, Route] = Field(default={}, description="One route's, by its name.")
    tenants: dict[TenantName, TenantRequests] = Field(
        default={}, max_length=MAX_TENANTS, description="One tenant's, by its name."
    )
    leaks: Annotated[tuple[Leaks, ...], Field(strict=False)] | None = Field(
        default=None, max_length=MAX_RULES, description="The leak guard. It replaces the stack's LeakGuard."
    )
    prompts: Annotated[tuple[Prompts, ...], Field(strict=False)] = Field(
        default=(), max_length=MAX_RULES, description="Rules for prompts."
    )
    guards: Annotated[tuple[GuardHook, ...], Field(strict=False)] = Field(
        default=(), max_length=MAX_GUARDS, description="External guards that are asked about prompts."
    )
