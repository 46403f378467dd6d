"""The kinds of values in limits and prices, each with its check and its form in the JSON Schema.

Amounts are decimal: what stands in the document as 0.1 is a tenth, and no binary fraction near it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

from sallyport.policy.limit_rules import LIMIT_SCOPES, NANODOLLARS, ROUTES, STORE_FAILURE, UNITS, parse_window
from sallyport.policy.limit_texts import MAX_AMOUNT, amount_text, check_amount
from sallyport.policy.rules import SCOPES
from sallyport_cli.policy.field_types import Model, TenantName

PICODOLLARS_PER_MILLION: Final = 1_000_000
"""A US dollar per million tokens is so many picodollars per token."""
LIFTED: Final = "none"
MAX_PRICE: Final = 1_000_000
"""US dollars per million tokens."""

_NAME: Final = "^[a-z0-9+._-]{1,64}$"
_DECIMAL: Final = r"[0-9]{1,15}(\.[0-9]{1,9})?"
_NUMBER_SCHEMA: Final = {"type": "number", "exclusiveMinimum": 0}


def _name(text: str) -> str:
    if re.fullmatch(_NAME, text) is None:
        raise ValueError("a limit's name is 1 to 64 lower-case letters, digits and +._-")
    return text


def _scope(value: object) -> object:
    return tuple(value.split("+")) if isinstance(value, str) else value


def _ordered_scope(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Give the parts in their one order. `global` is everything, so it has no other part beside it."""
    for part in parts:
        _check_one_of(LIMIT_SCOPES, "scope of a limit", part)
    if len(set(parts)) != len(parts):
        raise ValueError("names a scope twice")
    if "global" in parts and len(parts) > 1:
        raise ValueError("global stands alone: it counts everything together")
    return tuple(sorted(parts, key=LIMIT_SCOPES.index))


def _window(text: str) -> str:
    return parse_window(text).text


def _check_one_of(known: Collection[str], what: str, text: str) -> str:
    if text not in known:
        raise ValueError(f"{text[:40]!r} is no {what}; known are {', '.join(known)}")
    return text


def _one_of(known: Collection[str], what: str) -> Callable[[str], str]:
    return lambda text: _check_one_of(known, what, text)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def decimal_of(value: object) -> Decimal:
    """Read a number, or its text. A float's shortest text is what stood in the document. Raises `ValueError`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_text = isinstance(value, str) and re.fullmatch(_DECIMAL, value) is not None
    number = Decimal(str(value)) if is_number or is_text else None
    if number is None or not number.is_finite():
        raise ValueError("must be a number, such as 60 or 0.25")
    return number


def _amount_or_lifted(value: object) -> Decimal | None:
    return None if value == LIFTED else decimal_of(value)


def _price(value: object) -> Decimal:
    price = decimal_of(value)
    if not 0 <= price <= MAX_PRICE:
        raise ValueError(f"is US dollars per million tokens, from 0 to {MAX_PRICE:,}")
    if not _is_whole(price.scaleb(6)):
        raise ValueError("has more than six decimals; prices are US dollars per million tokens")
    return price


def picodollars(price: Decimal) -> int:
    """Give a price in US dollars per million tokens as picodollars per token."""
    return int(price * PICODOLLARS_PER_MILLION)


def whole_amount(unit: str, amount: Decimal) -> int:
    """Give an amount as it is counted, usd in nanodollars. Raises `ValueError` where no limit can be so."""
    if amount > MAX_AMOUNT:
        raise ValueError(f"must be at most {amount_text('requests', MAX_AMOUNT)}")
    counted = amount * NANODOLLARS if unit == "usd" else amount
    if not _is_whole(counted):
        raise ValueError("has more than nine decimals" if unit == "usd" else f"must be a whole number of {unit}")
    return check_amount(unit, int(counted))


def decimal_text(number: Decimal) -> str:
    """Write a number without an exponent or idle zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()


def _schema(**keywords: Any) -> WithJsonSchema:
    return WithJsonSchema(keywords)


def _list_of(item: Any, schema: dict[str, Any]) -> Any:
    """A list with at least one entry, or the one entry itself: an empty list would count everything, or nothing."""
    listed = {"type": "array", "items": schema, "minItems": 1}
    checks = (BeforeValidator(_listed), Field(strict=False, min_length=1))
    return Annotated[tuple[item, ...], *checks, WithJsonSchema({"anyOf": [schema, listed]})]


_SCOPE_SCHEMA: Final = {
    "anyOf": [
        {"type": "string", "pattern": "^[a-z]+(\\+[a-z]+)*$"},
        {"type": "array", "items": {"enum": list(LIMIT_SCOPES)}, "minItems": 1, "uniqueItems": True},
    ]
}

RuleName = Annotated[str, AfterValidator(_name), _schema(type="string", pattern=_NAME)]
ScopeParts = Annotated[
    tuple[str, ...], BeforeValidator(_scope), Field(strict=False, min_length=1), AfterValidator(_ordered_scope),
    WithJsonSchema(_SCOPE_SCHEMA),
]  # fmt: skip
Unit = Annotated[str, AfterValidator(_one_of(UNITS, "unit")), _schema(enum=list(UNITS))]
Amount = Annotated[
    Decimal, PlainValidator(decimal_of),
    WithJsonSchema({"anyOf": [_NUMBER_SCHEMA, {"type": "string", "pattern": f"^{_DECIMAL}$"}]}),
]  # fmt: skip
AmountOrLifted = Annotated[
    Decimal | None, PlainValidator(_amount_or_lifted),
    WithJsonSchema({"anyOf": [_NUMBER_SCHEMA, {"type": "string", "pattern": f"^({LIFTED}|{_DECIMAL})$"}]}),
]  # fmt: skip
WindowText = Annotated[str, AfterValidator(_window), _schema(type="string", pattern="^([0-9]+[smhd]|day|month)$")]
StoreFailure = Annotated[
    str, AfterValidator(_one_of(STORE_FAILURE, "way to go on without the store")), _schema(enum=list(STORE_FAILURE))
]
Routes = _list_of(Annotated[str, AfterValidator(_one_of(ROUTES, "route"))], {"enum": list(ROUTES)})
CallerScopes = _list_of(Annotated[str, AfterValidator(_one_of(SCOPES, "scope"))], {"enum": list(SCOPES)})
ModelNames = _list_of(Model, {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"})
TenantNames = _list_of(TenantName, {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"})
PricePerMillion = Annotated[
    Decimal, PlainValidator(_price),
    WithJsonSchema({"anyOf": [
        {"type": "number", "minimum": 0, "maximum": MAX_PRICE}, {"type": "string", "pattern": f"^{_DECIMAL}$"},
    ]}),
]  # fmt: skip
