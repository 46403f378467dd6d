"""The kinds of values in upstreams, targets and apps, each with its check and its form in the JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from sallyport.gateway.app_headers import may_forward, may_return
from sallyport.policy.upstream_rules import AUTHENTICATION, DEFAULT_UPSTREAM, GLOBAL, PROVIDERS
from sallyport_cli.policy.field_types import Region, check_secret_name, matching

_NAME: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_APP: Final = "^[a-z0-9][a-z0-9_-]{0,63}$"
_SECRET: Final = "^[A-Za-z0-9_+=.@-]{1,100}$"  # noqa: S105 - what names of secrets look like
_TOOL: Final = "^[a-z][a-z0-9_]{0,63}$"
_HEADER: Final = "^[a-z0-9][a-z0-9-]{0,63}$"
_MODEL: Final = "^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$"
_REGION: Final = "^([a-z]{2}(-[a-z]+)+-[0-9]{1,2}|global)$"


def one_of(known: tuple[str, ...], what: str) -> Callable[[str], str]:
    """Give a check that a text is one of those known."""

    def check(text: str) -> str:
        if text not in known:
            raise ValueError(f"{text[:40]!r} is no {what}; known are {', '.join(known)}")
        return text

    return check


def _upstream_name(text: str) -> str:
    if text == DEFAULT_UPSTREAM:
        raise ValueError(f"{DEFAULT_UPSTREAM} is the stack parameters' upstream, which this section replaces")
    return matching(_NAME, "an upstream is 1 to 64 letters, digits, dots, dashes and underscores")(text)


def _secret(text: str) -> str:
    return check_secret_name(text, "upstreams")


def _header(may_pass: Callable[[str], bool]) -> Callable[[str], str]:
    """Give a check by what the function of /apps/ lets pass, so that nothing is taken here and left out there."""
    is_name = matching(_HEADER, "a header's name is 1 to 64 lower-case letters, digits and dashes")

    def check(text: str) -> str:
        if not may_pass(is_name(text)):
            raise ValueError(f"{text} is never passed on")
        return text

    return check


def _is_place(text: str) -> bool:
    return re.fullmatch(_REGION, text) is not None


def _place(text: str) -> str:
    if not _is_place(text):
        raise ValueError(f"{text[:40]!r} is neither a region, such as eu-central-1, nor {GLOBAL}")
    return text


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _distinct(items: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(items)) != len(items):
        raise ValueError("names one twice")
    return items


def _schema(**keywords: Any) -> WithJsonSchema:
    return WithJsonSchema(keywords)


def _pattern(pattern: str) -> WithJsonSchema:
    return _schema(type="string", pattern=pattern)


def list_of(item: Any, schema: dict[str, Any], most: int, least: int = 0) -> Any:
    """Give the kind of a list without repetitions, of which one entry may stand alone."""
    listed = {"type": "array", "items": schema, "minItems": least, "maxItems": most}
    checks = (
        BeforeValidator(_listed),
        Field(strict=False, min_length=least, max_length=most),
        AfterValidator(_distinct),
    )
    return Annotated[tuple[item, ...], *checks, WithJsonSchema({"anyOf": [schema, listed]})]


UpstreamName = Annotated[str, AfterValidator(_upstream_name), _pattern(_NAME)]
TargetUpstream = Annotated[str, AfterValidator(matching(_NAME, "is no name of an upstream")), _pattern(_NAME)]
AppName = Annotated[
    str, AfterValidator(matching(_APP, "an app is 1 to 64 lower-case letters, digits, dashes and underscores")),
    _pattern(_APP),
]  # fmt: skip
Provider = Annotated[str, AfterValidator(one_of(PROVIDERS, "provider")), _schema(enum=list(PROVIDERS))]
BaseUrl = Annotated[str, _pattern("^https?://")]
SecretName = Annotated[str, AfterValidator(_secret), _pattern(_SECRET)]
CredentialHeader = Annotated[
    str, AfterValidator(one_of(AUTHENTICATION, "header for a credential")), _schema(enum=list(AUTHENTICATION))
]
ModelId = Annotated[
    str,
    AfterValidator(matching(_MODEL, "a model is letters, digits and ._:/@-, and begins with no sign")),
    _pattern(_MODEL),
]
UpstreamRegion = Region
HostedTools = list_of(
    Annotated[str, AfterValidator(matching(_TOOL, "a type of tool is lower-case letters, digits and underscores"))],
    {"type": "string", "pattern": _TOOL},
    50,
)
Places = list_of(Annotated[str, AfterValidator(_place)], {"type": "string", "pattern": _REGION}, 50, 1)
RequestHeaders = list_of(
    Annotated[str, AfterValidator(_header(may_forward))], {"type": "string", "pattern": _HEADER}, 50
)
AnswerHeaders = list_of(Annotated[str, AfterValidator(_header(may_return))], {"type": "string", "pattern": _HEADER}, 50)
