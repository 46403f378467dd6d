"""What requests and answers are held to beyond their API's schema, as the effective policy says it. Plain data.

Patterns are texts in RE2's syntax; who uses them compiles them once per policy version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

OFF, REPORT, ENFORCE = "off", "report", "enforce"
MODES = (OFF, REPORT, ENFORCE)
"""Of the verification of answers: nothing is looked at; what is wrong is logged; what is wrong doesn't go on."""

IGNORE, STRIP, REFUSE = "ignore", "strip", "refuse"
UNKNOWN_FIELDS = (IGNORE, STRIP, REFUSE)
"""What happens to a field of a request that the API's specification doesn't have: it goes on, is left out, is a 400."""

REDACT, BLOCK = "redact", "block"
ACTIONS = (REPORT, REDACT, BLOCK)
"""What happens to a finding: it is logged, is replaced by its kind in brackets, or ends the request or the answer."""

REQUESTS, ANSWERS = "requests", "answers"
DIRECTIONS = (REQUESTS, ANSWERS)

CLOSED, OPEN = "closed", "open"


class Scope(NamedTuple):
    """Whom a rule is for; what is empty is everyone. `routes` are operations, `apps` names of applications."""

    routes: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()


class RequestRules(NamedTuple):
    """What a request may hold; None or empty: nothing is said.

    `schemas`: JSON Schemas (draft 2020-12) beside the API's own.
    """

    unknown_fields: str = IGNORE
    max_messages: int | None = None
    max_images: int | None = None
    max_tools: int | None = None
    max_prompt_bytes: int | None = None
    max_output_tokens: int | None = None
    forbidden: tuple[str, ...] = ()
    forced: Mapping[str, Any] = {}
    schemas: tuple[Mapping[str, Any], ...] = ()


class AnswerRules(NamedTuple):
    """What happens to an answer. `strip`: paths of JSON fields that are taken out, such as `choices[*].logprobs`."""

    mode: str = REPORT
    strip: tuple[str, ...] = ()


class Pattern(NamedTuple):
    """An operator's own pattern. `max_length`: of what it can match, in characters; bounds what a stream holds back."""

    name: str
    pattern: str
    max_length: int


class LeakRules(NamedTuple):
    """One rule of the leak guard. `detectors` are names of built-in ones; `words` are looked for as they are."""

    name: str
    detectors: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    words: tuple[str, ...]
    action: str
    directions: tuple[str, ...]
    scope: Scope = Scope()


class PromptRules(NamedTuple):
    """One rule for prompts. `roles`: whose texts are looked at. Where `allow` isn't empty, one of it must match.

    `forbid`: `control` and `bidi` characters. `max_repetition`: how often one character, or one word, may stand in a
    row.
    """

    name: str
    roles: tuple[str, ...]
    deny: tuple[str, ...]
    allow: tuple[str, ...]
    forbid: tuple[str, ...]
    max_repetition: int | None
    action: str
    scope: Scope = Scope()


class GuardHookRules(NamedTuple):
    """An external guard: an upstream of its own that is asked about each prompt before it goes on.

    `upstream`: its URL, region and secret. `on_failure`: what an answer that doesn't come or can't be read means.
    """

    name: str
    upstream: str
    timeout_ms: int
    on_failure: str
    scope: Scope = Scope()


class VerificationRules(NamedTuple):
    """All of it. `requests` and `answers` by route; `tenant_requests` by tenant, then by route ("" for all routes)."""

    requests: Mapping[str, RequestRules] = {}
    tenant_requests: Mapping[str, Mapping[str, RequestRules]] = {}
    answers: Mapping[str, AnswerRules] = {}
    leaks: tuple[LeakRules, ...] = ()
    prompts: tuple[PromptRules, ...] = ()
    guards: tuple[GuardHookRules, ...] = ()
