"""The kinds of values in a policy document, each with its check and its form in the JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from sallyport.access.networks import parse_network
from sallyport.identity.api_keys import MAX_MODELS_LENGTH
from sallyport.identity.principal import is_tenant, parse_regions
from sallyport.policy.rules import HMAC_ALGORITHMS, SCOPES, SIGNING_ALGORITHMS
from sallyport.policy.urls import check_upstream_url, check_url
from sallyport_cli.policy.countries import COUNTRIES, check_country

FORM_VERSION: Final = 1
MAX_TENANT_NETWORKS: Final = 1000
MAX_MODELS: Final = 100
"""As many as a key may name: with the rest of a principal they fit into the authorizer's answer."""
ALGORITHMS: Final = tuple(sorted(SIGNING_ALGORITHMS | HMAC_ALGORITHMS))

_TENANT: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_REGION: Final = "^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$"
_ZONE: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_MODEL: Final = "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"
_SECRET: Final = "^[A-Za-z0-9_+=.@-]{1,100}$"  # noqa: S105 - what names of secrets look like
_MANY_HEX_DIGITS: Final = 32
_LONG_WITHOUT_SIGNS: Final = 40
_LONG_NAME: Final = 20
_KEY_PREFIXES: Final = ("sk-", "sk_", "sp_", "gsk_", "xai-", "bedrock-api-key-")
"""What API keys of providers, and of this gateway, begin with."""
_TOKEN_TYPE: Final = "^[A-Za-z0-9!#$&^_.+/-]{1,64}$"  # noqa: S105 - what `typ` looks like


@dataclass(frozen=True)
class Surroundings:
    """What a value is judged by besides itself. `local`: loopback http may be named. `zones`: the document's own."""

    local: bool = False
    zones: frozenset[str] = field(default_factory=frozenset)


def surroundings(info: ValidationInfo) -> Surroundings:
    """Give what values are judged by; where nobody told, the strictest."""
    return info.context if isinstance(info.context, Surroundings) else Surroundings()


def matching(pattern: str, reason: str) -> Callable[[str], str]:
    """Give a check that never repeats the value, because a secret may stand where its name should."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(reason)
        return text

    return check


def _secret_name(text: str) -> str:
    return check_secret_name(text, "identity")


def check_secret_name(text: str, folder: str) -> str:
    """Refuse a secret in the place of its name, which isn't kept secret: it is stored, shown and logged."""
    name = matching(_SECRET, "is the name of a secret: 1 to 100 letters, digits and _+=.@-")(text)
    is_hex = len(name) >= _MANY_HEX_DIGITS and re.fullmatch("[0-9A-Fa-f]+", name) is not None
    is_key = len(name) > _LONG_NAME and name.startswith(_KEY_PREFIXES)
    if is_hex or is_key or (len(name) > _LONG_WITHOUT_SIGNS and not set("-_./") & set(name)):
        raise ValueError(
            f"looks like a secret itself; here stands its name in Secrets Manager, after <stack>/{folder}/"
        )
    return name


def _is_region(text: str) -> bool:
    try:
        return parse_regions(text) == (text,)
    except ValueError:
        return False


def _endpoint(text: str, info: ValidationInfo) -> str:
    return check_upstream_url(text, local=surroundings(info).local, private=True)


def _url(text: str, info: ValidationInfo) -> str:
    return check_url(text, loopback_http=surroundings(info).local)


def _network(text: str) -> str:
    parse_network(text)
    return text


def _tenant(text: str) -> str:
    if not is_tenant(text):
        raise ValueError("a tenant is 1 to 64 letters, digits, dots, dashes and underscores, and begins with no sign")
    return text


def _version(number: int) -> int:
    if number != FORM_VERSION:
        raise ValueError(f"must be {FORM_VERSION}")
    return number


def _zone(text: str) -> str:
    if _is_region(text):
        raise ValueError("has the name of a region; a zone needs a name of its own")
    return matching(_ZONE, "a zone is 1 to 64 letters, digits, dots, dashes and underscores")(text)


def _region(text: str) -> str:
    if not _is_region(text):
        raise ValueError(f"{text[:40]!r} is no name of a region, such as eu-central-1")
    return text


def _residency(names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    zones = surroundings(info).zones
    for name in names:
        if name not in zones and not _is_region(name):
            known = ", ".join(sorted(zones)) or "none"
            raise ValueError(f"{name[:70]!r} is neither a zone of this document (known: {known}) nor a region")
    return names


def _claim(text: str) -> str:
    if not 0 < len(text) <= 128 or not text.isprintable():  # noqa: PLR2004 - as the schema says
        raise ValueError("a claim's name is 1 to 128 printable characters")
    if text.startswith("/") and re.search("~(?![01])", text):
        raise ValueError("begins with / and so is a JSON Pointer, in which ~ is written ~0")
    return text


def _scope(text: str) -> str:
    if text not in SCOPES:
        raise ValueError(f"{text[:40]!r} is no scope; scopes are {', '.join(SCOPES)}")
    return text


def _algorithm(text: str) -> str:
    if text not in ALGORITHMS:
        raise ValueError(f"{text[:20]!r} is no algorithm that is taken; those are {', '.join(ALGORITHMS)}")
    return text


def _models(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > MAX_MODELS or len(",".join(names)) > MAX_MODELS_LENGTH:
        raise ValueError(f"at most {MAX_MODELS} models, and {MAX_MODELS_LENGTH:,} characters in all")
    return names


def _country(value: object) -> object:
    """YAML 1.1 reads an unquoted NO as false, and so may what wrote a JSON file."""
    if value is False:
        raise ValueError('must be text, and is false; Norway is "NO", in quotes for older YAML tools')
    return check_country(value) if isinstance(value, str) else value


def _split(value: object) -> object:
    return value.split() if isinstance(value, str) else value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _schema(**keywords: Any) -> WithJsonSchema:
    return WithJsonSchema(keywords)


def _one_or_several(item: dict[str, Any], **keywords: Any) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, **keywords}]})


_IS_LIST: Final = Field(strict=False)
"""Strict mode would take a tuple for a tuple, and YAML makes lists. What is in it stays strict."""

Version = Annotated[int, AfterValidator(_version), _schema(const=FORM_VERSION)]
Url = Annotated[str, AfterValidator(_url), _schema(type="string", pattern="^https?://")]
EndpointUrl = Annotated[str, AfterValidator(_endpoint), _schema(type="string", pattern="^https?://")]
Network = Annotated[str, AfterValidator(_network), _schema(type="string", pattern="^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$")]
Networks = Annotated[tuple[Network, ...], _IS_LIST]
TenantNetworks = Annotated[tuple[Network, ...], _IS_LIST, Field(max_length=MAX_TENANT_NETWORKS)]
TenantName = Annotated[str, AfterValidator(_tenant), _schema(type="string", pattern=_TENANT)]
Tenants = Annotated[tuple[TenantName, ...], _IS_LIST, Field(min_length=1)]
ZoneName = Annotated[str, AfterValidator(_zone), _schema(type="string", pattern=_ZONE)]
Region = Annotated[str, AfterValidator(_region), _schema(type="string", pattern=_REGION)]
Regions = Annotated[tuple[Region, ...], _IS_LIST, Field(min_length=1)]
Residency = Annotated[
    tuple[str, ...], BeforeValidator(_listed), _IS_LIST, Field(min_length=1), AfterValidator(_residency),
    _one_or_several({"type": "string", "pattern": _ZONE}, minItems=1),
]  # fmt: skip
Scopes = Annotated[
    tuple[Annotated[str, AfterValidator(_scope)], ...], BeforeValidator(_split), _IS_LIST,
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"enum": list(SCOPES)}}]}),
]  # fmt: skip
Claim = Annotated[str, AfterValidator(_claim), _schema(type="string", minLength=1, maxLength=128)]
Claims = Annotated[
    tuple[Claim, ...], BeforeValidator(_listed), _IS_LIST,
    _one_or_several({"type": "string", "minLength": 1, "maxLength": 128}),
]  # fmt: skip
Algorithm = Annotated[str, AfterValidator(_algorithm), _schema(enum=list(ALGORITHMS))]
Algorithms = Annotated[tuple[Algorithm, ...], _IS_LIST, Field(min_length=1)]
Audience = Annotated[str, AfterValidator(matching("(?s:.{1,1024})", "must be 1 to 1,024 characters"))]
Audiences = Annotated[tuple[Audience, ...], _IS_LIST, Field(min_length=1)]
Model = Annotated[
    str,
    AfterValidator(matching(_MODEL, "a model's name is letters, digits and ._:/@-, and begins with no sign")),
    _schema(type="string", pattern=_MODEL),
]
Models = Annotated[tuple[Model, ...], _IS_LIST, AfterValidator(_models)]
Country = Annotated[str, BeforeValidator(_country), _schema(enum=sorted(COUNTRIES))]
Countries = Annotated[tuple[Country, ...], _IS_LIST]
SecretName = Annotated[
    str,
    AfterValidator(_secret_name),
    _schema(type="string", pattern=_SECRET),
]
TokenType = Annotated[
    str,
    AfterValidator(matching(_TOKEN_TYPE, "must be what a token's `typ` says, such as at+jwt")),
    _schema(type="string", pattern=_TOKEN_TYPE),
]
ScopePrefix = Annotated[str, AfterValidator(matching(r"[!-~]{1,128}", "must be 1 to 128 characters without spaces"))]
