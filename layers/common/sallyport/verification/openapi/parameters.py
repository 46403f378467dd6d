"""Parameters of a request as their schemas' types: how OpenAPI writes values into paths, queries, headers and cookies.

API Gateway has decoded the query, so that a comma that was encoded in a list of the style `form` without `explode` ends
an item, as it does for most servers.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,62})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,62})(?:\.[0-9]{1,62})?(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: Mapping[str, tuple[str, bool | None]] = {
    "true": ("boolean", True),
    "false": ("boolean", False),
    "null": ("null", None),
}
_TYPES = ("integer", "number", "boolean", "null")
"""What a text may be where a schema says nothing of its type."""
_PAIRED = frozenset({"query", "cookie"})
"""Where each value comes with its name."""
_SEPARATORS = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
MAX_ITEMS = 1000
"""Of a list, or an object, in one parameter."""


class ParameterFault(NamedTuple):
    """Why a parameter can't be read, in words that repeat none of it."""

    reason: str


class Sent(NamedTuple):
    """Where parameters come from. `query` has the decoded values of each name; header names are in small letters."""

    path: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    cookies: Mapping[str, Sequence[str]]


def read_cookies(header: str) -> dict[str, list[str]]:
    """Give the cookies of a header (RFC 6265, section 4.2.1), undecoded."""
    cookies: dict[str, list[str]] = {}
    for pair in header.split(";"):
        name, found, value = pair.strip().partition("=")
        if found:
            cookies.setdefault(name, []).append(value)
    return cookies


def read_parameter(parameter: Mapping[str, Any], sent: Sent) -> list[Any] | ParameterFault:
    """Give what a parameter's value may be, none if it wasn't sent, or why it can't be read.

    `parameter` is as the compiled document has it. `5` is a number where the schema wants one, and
    may be a text where it takes both.
    """
    if parameter["style"] == "deepObject":
        return _deep_object(parameter, sent.query)
    if parameter["shape"] == "object" and parameter["explode"] and parameter["in"] in _PAIRED:
        return _spread_object(parameter, _pairs(parameter["in"], sent))
    values = _values(parameter, sent)
    if not values:
        return []
    return _list(parameter, values) if parameter["shape"] == "array" else _single(parameter, values)


def _single(parameter: Mapping[str, Any], values: Sequence[str]) -> list[Any] | ParameterFault:
    if len(values) > 1:
        return ParameterFault("is given more than once")
    if parameter["shape"] == "object":
        return _object(parameter, values[0])
    return [typed(values[0], parameter["types"] or _TYPES), values[0]]


def typed(text: str, types: Sequence[str]) -> Any:
    """Give a text as the first of the types that it can be; without any types it is a text."""
    if "integer" in types and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text):
        return float(text) if set(text) & set(".eE") else int(text)
    kind, word = _WORDS.get(text, ("", None))
    return word if kind in types else text


def _pairs(place: str, sent: Sent) -> Mapping[str, Sequence[str]]:
    return sent.query if place == "query" else sent.cookies


def _values(parameter: Mapping[str, Any], sent: Sent) -> Sequence[str]:
    name, place = parameter["name"], parameter["in"]
    if place in _PAIRED:
        return [value or "" for value in _pairs(place, sent).get(name, ())]
    value = sent.path.get(name) if place == "path" else sent.headers.get(name.lower())
    return [] if value is None else [value.strip(" \t") if place == "header" else value]


def _list(parameter: Mapping[str, Any], values: Sequence[str]) -> list[Any] | ParameterFault:
    """`explode` says that each item of a query is a pair of its own; elsewhere items are separated either way."""
    if not (parameter["explode"] and parameter["in"] in _PAIRED):
        if len(values) > 1:
            return ParameterFault("is given more than once")
        values = _split(parameter, values[0])
    if len(values) > MAX_ITEMS:
        return ParameterFault(f"has more than {MAX_ITEMS} items")
    return [[typed(value, parameter["items"]) for value in values]]


def _object(parameter: Mapping[str, Any], text: str) -> list[Any] | ParameterFault:
    """Read `a,1,b,2`, or with `explode` `a=1,b=2`."""
    items = _split(parameter, text)
    if len(items) > MAX_ITEMS:
        return ParameterFault(f"has more than {MAX_ITEMS} items")
    if parameter["explode"]:
        pairs = [item.partition("=")[::2] for item in items]
    elif len(items) % 2:
        return ParameterFault("isn't a list of names and values")
    else:
        pairs = list(zip(items[::2], items[1::2], strict=True))
    return _fields(parameter, pairs)


def _split(parameter: Mapping[str, Any], text: str) -> list[str]:
    items = text.split(_SEPARATORS[parameter["style"]], MAX_ITEMS * 2) if text else []
    return [item.strip(" \t") for item in items] if parameter["in"] == "header" else items


def _deep_object(parameter: Mapping[str, Any], query: Mapping[str, Sequence[str]]) -> list[Any] | ParameterFault:
    """Read `name[a]=1&name[b]=2`."""
    before = f"{parameter['name']}["
    pairs = [
        (name[len(before) : -1], value or "")
        for name, values in query.items()
        if name.startswith(before) and name.endswith("]")
        for value in values
    ]
    if any(not name or set(name) & set("[]") for name, _ in pairs):
        return ParameterFault("has a field that isn't written name[field]")
    return _fields(parameter, pairs) if pairs else []


def _spread_object(parameter: Mapping[str, Any], query: Mapping[str, Sequence[str]]) -> list[Any] | ParameterFault:
    """Read `a=1&b=2`: the object's own name isn't there, so its fields are those that its schema names."""
    pairs = [(name, value or "") for name in parameter["properties"] for value in query.get(name, ())]
    return _fields(parameter, pairs) if pairs else []


def _fields(parameter: Mapping[str, Any], pairs: Sequence[tuple[str, str]]) -> list[Any] | ParameterFault:
    types = parameter["properties"]
    fields = {name: typed(value, types.get(name, ())) for name, value in pairs}
    return [fields] if len(fields) == len(pairs) else ParameterFault("has a field more than once")
