"""The kinds of values in canaries, each with its check and its form in the JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema

from sallyport.gateway.app_headers import may_forward
from sallyport.policy.canary_rules import FULL_WEIGHT, PARAMETER_CANARY, STICKY_BY
from sallyport.policy.compiled_canaries import (
    CANARY_NAME,
    CANARY_ROUTES,
    COOKIE_NAME,
    FORBIDDEN_PARAMETERS,
    HEADER_NAME,
    MAX_HOLD_S,
    MAX_PARAMETERS_BYTES,
    MIN_HOLD_S,
    PARAMETER_NAME,
)
from sallyport.policy.limit_rules import parse_window
from sallyport.policy.rules import MAX_CLAIMS_TOLD
from sallyport_cli.policy.field_types import Claim, Country, Model, Region, TenantName, matching
from sallyport_cli.policy.limit_types import decimal_of

MAX_NAMES: Final = 100
MAX_HEADERS: Final = 10
STARTS: Final = ("applied", "command")
GUARD_OFF: Final = "off"

_HUNDREDTHS: Final = FULL_WEIGHT // 100
"""In a percent."""
_VALUE: Final = "^[!-~]([ -~]{0,254}[!-~])?$"
_CLAIM_VALUE: Final = "^.{1,256}$"
_HOLD: Final = "^[0-9]+[smhd]$"


def hundredths(percent: Decimal) -> int:
    """Give a weight in percent as it is compiled, in hundredths of a percent."""
    return int(percent * _HUNDREDTHS)


def hold_s(hold: str | None) -> int:
    """Give how many seconds a step holds, 0 where nothing is said."""
    return 0 if hold is None else parse_window(hold).length_s


def _name(text: str) -> str:
    if text == PARAMETER_CANARY:
        raise ValueError(f"{PARAMETER_CANARY} is the canary of the stack's parameters, which this section replaces")
    return matching(CANARY_NAME, "a canary is 1 to 40 lower-case letters, digits and dashes")(text)


def _percent(value: object) -> Decimal:
    percent = value if isinstance(value, Decimal) else decimal_of(value)
    if not 0 <= percent <= 100:  # noqa: PLR2004 - percent
        raise ValueError("is a share in percent, from 0 to 100")
    if percent * _HUNDREDTHS != int(percent * _HUNDREDTHS):
        raise ValueError("has more than two decimals; a weight is a share in percent")
    return percent


def _hold(text: str) -> str:
    if re.fullmatch(_HOLD, text) is None:
        raise ValueError("must be a number with s, m, h or d, such as 10m")
    try:
        window = parse_window(text)
    except ValueError:
        window = parse_window("1s")
    if not MIN_HOLD_S <= window.length_s <= MAX_HOLD_S:
        raise ValueError("must be from 1m to 30d")
    return window.text


def _route(text: str) -> str:
    if text not in CANARY_ROUTES:
        hint = "; for an application write app: NAME" if text == "apps" else ""
        raise ValueError(f"{text[:40]!r} is no route of a canary; known are {', '.join(CANARY_ROUTES)}{hint}")
    return text


def _start(text: str) -> str:
    if text not in STARTS:
        raise ValueError(f"must be {' or '.join(STARTS)}")
    return text


def _sticky(text: str) -> str:
    kind, _, name = text.partition(":")
    if kind == "header":
        _header(name)
    elif kind == "cookie":
        matching(COOKIE_NAME, "a cookie's name is 1 to 64 letters, digits and signs without separators")(name)
    elif text not in STICKY_BY:
        raise ValueError(f"must be one of {', '.join(STICKY_BY)}, header:NAME, cookie:NAME")
    return text


def _header(text: str) -> str:
    """Refuse what holds a credential, or is written on the way and so says nothing of who calls."""
    matching(HEADER_NAME, "a header's name is 1 to 64 lower-case letters, digits and dashes")(text)
    if not may_forward(text):
        raise ValueError(f"{text} isn't taken: it may hold a credential, or it is written on the way")
    return text


def _claim_value(value: object) -> str:
    """Give a claim's value as the first door tells it: booleans and whole numbers as JSON writes them."""
    if isinstance(value, bool | int):
        value = json.dumps(value)
    if not isinstance(value, str) or re.fullmatch(_CLAIM_VALUE, value) is None or not value.isprintable():
        raise ValueError("must be text of 1 to 256 printable characters, a whole number, true or false")
    return value


def json_text(value: object) -> str:
    """Give a value as JSON text, by which two of them can be compared."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except ValueError:
        raise ValueError("has a number that JSON can't say") from None


def _parameter(text: str) -> str:
    if text in FORBIDDEN_PARAMETERS:
        raise ValueError(f"{text} can't be set by a canary; that is for the caller, or for the target")
    return matching(PARAMETER_NAME, "a parameter's name is 1 to 64 lower-case letters, digits and underscores")(text)


def _small(parameters: Mapping[str, str]) -> Mapping[str, str]:
    size = len(json.dumps({name: json.loads(text) for name, text in parameters.items()}))
    if size > MAX_PARAMETERS_BYTES:
        raise ValueError(f"has {size:,} bytes of JSON; at most {MAX_PARAMETERS_BYTES:,}")
    return parameters


def _distinct(items: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(items)) != len(items):
        raise ValueError("names one twice")
    return items


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _pattern(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


def _names(item: Any) -> Any:
    return Annotated[
        tuple[item, ...], Field(strict=False, min_length=1, max_length=MAX_NAMES), AfterValidator(_distinct)
    ]


class _OrOne:
    """Puts the one entry itself into the schema of a list."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        several = handler(core)
        return {"anyOf": [several["items"], several]}


def _one_or_several(item: Any) -> Any:
    return Annotated[_names(item), BeforeValidator(_listed), _OrOne()]


CanaryName = Annotated[str, AfterValidator(_name), _pattern(f"^{CANARY_NAME}$")]
Percent = Annotated[
    Decimal, PlainValidator(_percent),
    WithJsonSchema({
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": 100},
            {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"},
        ]
    }),
]  # fmt: skip
Hold = Annotated[str, AfterValidator(_hold), _pattern(_HOLD)]
Route = Annotated[str, AfterValidator(_route), WithJsonSchema({"enum": list(CANARY_ROUTES)})]
Start = Annotated[str, AfterValidator(_start), WithJsonSchema({"enum": list(STARTS)})]
StickyBy = Annotated[
    str, AfterValidator(_sticky), _pattern(f"^({'|'.join(STICKY_BY)}|header:{HEADER_NAME}|cookie:{COOKIE_NAME})$")
]
ModelNames = _names(Model)
RouteNames = _names(Route)
MatchTenants = _one_or_several(TenantName)
MatchRegions = _one_or_several(Region)
MatchCountries = _one_or_several(Country)
ClaimValue = Annotated[
    str, PlainValidator(_claim_value),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _CLAIM_VALUE}, {"type": "integer"}, {"type": "boolean"}]}),
]  # fmt: skip
Claims = Annotated[dict[Claim, ClaimValue], Field(max_length=MAX_CLAIMS_TOLD)]
HeaderName = Annotated[str, AfterValidator(_header), _pattern(f"^{HEADER_NAME}$")]
HeaderValue = Annotated[
    str,
    AfterValidator(matching(_VALUE, "must be 1 to 256 characters of ASCII, without spaces around them")),
    _pattern(_VALUE),
]
Headers = Annotated[dict[HeaderName, HeaderValue], Field(max_length=MAX_HEADERS)]
ParameterName = Annotated[str, AfterValidator(_parameter), _pattern(f"^{PARAMETER_NAME}$")]
Parameters = Annotated[
    dict[ParameterName, Annotated[str, PlainValidator(json_text), WithJsonSchema({})]], AfterValidator(_small)
]
Share = Annotated[float, Field(ge=0, le=1)]
