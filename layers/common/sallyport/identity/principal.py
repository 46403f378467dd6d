"""The principal: what the authorizer learned of a caller, and its form in API Gateway's authorizer context."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from sallyport.policy.limit_rules import LimitRule
from sallyport.policy.limit_texts import MINUTE, check_key_limits, limit_text, parse_limit, per_minute

CONTEXT_VERSION = 1
MAX_CONTEXT_BYTES = 8192
"""API Gateway refuses a larger authorizer answer."""
MAX_REST_BYTES = 500
"""Of that answer beside the context: its IAM policy, and who it is for."""
NO_MODEL = "-"
"""Stands in the context for a principal that may use no model."""

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
_WORD = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
_MAX_SUBJECT_LENGTH = 256
_COUNTRY = re.compile(r"([A-Z]{2})?")


class ContextRefusedError(Exception):
    """The authorizer's context is missing, of a version that isn't understood, or broken."""


class Identity(NamedTuple):
    """What a credential says of its holder, before the tenant's rules. `method`: `api_key` or `jwt`.

    None for `models`: every model; for `residency`: the tenant's or the default one. `allow`: networks that the
    credential may be used from, none: any. `key_family`: the first key of those rotated into one another, which share
    one limit. `limits`: its own, of the scope key. `claims`: those of a token that the policy asks for, name and value.
    """

    method: str
    tenant: str
    subject: str
    scopes: tuple[str, ...]
    key_id: str = ""
    key_family: str = ""
    models: tuple[str, ...] | None = None
    residency: tuple[str, ...] | None = None
    limits: tuple[LimitRule, ...] = ()
    allow: tuple[str, ...] = ()
    claims: tuple[tuple[str, str], ...] = ()


class Principal(NamedTuple):
    """Who is calling, and what is allowed. `residency`: the regions the caller's data may go to; none: nowhere.

    `models`: None is every model, an empty tuple is none. `limits`: the key's own, each in the place of the general
    rule of its name. `source_ip`: the address that the caller was judged by, empty where an older authorizer didn't
    say. `country`: ISO 3166-1, where a trusted proxy said so. `claims`: those of the token that canaries match by.
    """

    method: str
    tenant: str
    subject: str
    key_id: str
    scopes: tuple[str, ...]
    models: tuple[str, ...] | None
    residency: tuple[str, ...]
    limits: tuple[LimitRule, ...] = ()
    key_family: str = ""
    source_ip: str = ""
    country: str = ""
    claims: tuple[tuple[str, str], ...] = ()


def is_tenant(text: str) -> bool:
    """Say whether the text can name a tenant: 1 to 64 letters, digits, dots, dashes, underscores."""
    return _TENANT.fullmatch(text) is not None


def is_subject(text: str) -> bool:
    """Say whether the text can name a subject: 1 to 256 printable characters."""
    return 0 < len(text) <= _MAX_SUBJECT_LENGTH and text.isprintable()


def parse_words(text: str) -> tuple[str, ...]:
    """Read a space-separated list, such as scopes. Raises `ValueError` for a word with other characters."""
    words = tuple(text.split())
    for word in words:
        if _WORD.fullmatch(word) is None:
            raise ValueError("a scope has a character that scopes can't have")
    return words


def parse_regions(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of regions. Raises `ValueError` for what isn't the name of a region."""
    regions = tuple(part.strip() for part in text.split(",") if part.strip())
    for region in regions:
        if _REGION.fullmatch(region) is None:
            raise ValueError("not the name of a region")
    return regions


def to_context(principal: Principal) -> dict[str, str]:
    """Write a principal as authorizer context: flat strings, at most 8 KB. Raises `ValueError` if it doesn't fit.

    Claims, and then the country, are left out where the whole answer has no room for them: only canaries read them,
    and nobody is refused for the sake of a canary.
    """
    context = {
        "version": str(CONTEXT_VERSION),
        "method": principal.method,
        "tenant": principal.tenant,
        "subject": principal.subject,
        "key_id": principal.key_id,
        "scopes": " ".join(principal.scopes),
        "models": _write_models(principal.models),
        "residency": ",".join(principal.residency),
        "limits": json.dumps(_limits(principal), separators=(",", ":")),
    }
    if principal.key_family:
        context["key_family"] = principal.key_family
    if principal.source_ip:
        context["source_ip"] = principal.source_ip
    if len(json.dumps(context)) > MAX_CONTEXT_BYTES:
        raise ValueError("the principal's context is over API Gateway's 8 KB")
    for name, text in _canary_match(principal).items():
        longer = {**context, name: text}
        if len(json.dumps(longer)) <= MAX_CONTEXT_BYTES - MAX_REST_BYTES:
            context = longer
    return context


def from_context(context: Mapping[str, object]) -> Principal:
    """Read a principal from authorizer context; a neighbour's version is accepted, so a deployment may be gradual.

    Raises `ContextRefusedError`: without a sound context nobody is known, and nothing is forwarded.
    """
    try:
        if abs(int(str(context["version"])) - CONTEXT_VERSION) > 1:
            raise ContextRefusedError("version")
        principal = Principal(
            method=str(context["method"]),
            tenant=str(context["tenant"]),
            subject=str(context["subject"]),
            key_id=str(context["key_id"]),
            scopes=parse_words(str(context["scopes"])),
            models=_read_models(str(context["models"])),
            residency=parse_regions(str(context["residency"])),
            limits=_read_limits(json.loads(str(context["limits"]))),
            key_family=str(context.get("key_family", "")),
            source_ip=str(context.get("source_ip", "")),
            country=_read_country(str(context.get("country", ""))),
            claims=_read_claims(json.loads(str(context.get("claims", "{}")))),
        )
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ContextRefusedError("broken") from error
    if not is_tenant(principal.tenant) or not is_subject(principal.subject):
        raise ContextRefusedError("broken")
    return principal


def _write_models(models: tuple[str, ...] | None) -> str:
    """No name is `-`, so that a reader which doesn't know the sign allows nothing by it."""
    return "" if models is None else ",".join(models) or NO_MODEL


def _read_models(text: str) -> tuple[str, ...] | None:
    if not text:
        return None
    return () if text == NO_MODEL else tuple(model for model in text.split(",") if model)


def _canary_match(principal: Principal) -> dict[str, str]:
    match = {}
    if principal.country:
        match["country"] = principal.country
    if principal.claims:
        match["claims"] = json.dumps(dict(principal.claims), separators=(",", ":"))
    return match


def _read_country(text: str) -> str:
    if _COUNTRY.fullmatch(text) is None:
        raise ValueError("not a country")
    return text


def _read_claims(claims: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in claims.items())


def _limits(principal: Principal) -> dict[str, Any]:
    """Give the limits for the context. Readers of before know `requests_per_minute` alone."""
    if not principal.limits:
        return {}
    limits: dict[str, Any] = {"rules": [limit_text(rule) for rule in principal.limits]}
    for rule in principal.limits:
        if (rule.unit, rule.window) == ("requests", MINUTE):
            limits["requests_per_minute"] = rule.limit
    return limits


def _read_limits(limits: Mapping[str, Any]) -> tuple[LimitRule, ...]:
    if "rules" in limits:
        return check_key_limits(parse_limit(str(text)) for text in limits["rules"])
    rate = limits.get("requests_per_minute")
    return () if rate is None else (per_minute(int(rate)),)
