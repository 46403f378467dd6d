"""Fields of a request that its API's specification doesn't have, found by the route's schema.

Nobody has checked what such a field does. The schema is read into forms once, and a body is walked by them: JSON
Schema's own `unevaluatedProperties` can't leave a field out, and costs more. Where a field tells what an object is
(`role`, `type`), the schema says so by `if` and `const`, and one look-up finds its form.

A schema may say `"x-free": true`: what is in there is the client's own, such as a tool's parameters.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sallyport.errors import UnsupportedFieldError
from sallyport.verification.strict_json import MAX_SHOWN_CHARS

_CONTAINERS = (dict, list)
_NOT_KNOWN = object()
"""Stands for whatever an object says it is and no schema knows."""


class KnownFields:
    """What the objects of a body may hold; read from a route's schema once per process."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.root = _Reader(document).form((document,))

    def check(self, body: Any) -> None:
        """Raise `UnsupportedFieldError` that names the first field the specification doesn't have."""
        if steps := _first_unknown(body, self.root, is_any=True):
            raise UnsupportedFieldError("The API's specification has no such field.", param=_path(steps))

    def check_spelling(self, body: Any) -> None:
        """Raise `UnsupportedFieldError` for a field that some upstreams take for another, such as `Content`.

        To an upstream in Go (encoding/json) it is `content`, and the last of the two counts: a prompt no rule has seen.
        """
        if steps := _first_unknown(body, self.root, is_any=False):
            raise UnsupportedFieldError("A field's name must be in small letters.", param=_path(steps))

    def strip(self, body: Any) -> Any:
        """Give a body without what the specification doesn't have; the same object if there is nothing of it."""
        return _stripped(body, self.root)


class Form:
    """What is known of a value: the fields of an object, and what an array holds. Read further when it is needed."""

    def __init__(self, reader: "_Reader", parts: "_Parts") -> None:
        self._reader = reader
        self._parts = parts
        self._forms: dict[Any, Form] = {}
        self._fields: dict[str, Form] = {}
        self._items: Form | None = None
        self.is_free = parts.is_free
        self.names = parts.names

    def of(self, value: Mapping[str, Any]) -> "Form":
        """Give the form of an object that says what it is; of all its forms together where nobody knows that one."""
        if not self._parts.cases:
            return self
        said = value.get(self._parts.cases[0].key)
        said = said if said is None or (isinstance(said, str) and said in self._parts.values) else _NOT_KNOWN
        form = self._forms.get(said)
        if form is None:
            form = self._forms[said] = self._reader.chosen(self._parts, said)
        return form

    def field(self, name: str) -> "Form":
        """Give what is known of the value of a field that is in `names`."""
        form = self._fields.get(name)
        if form is None:
            form = self._fields[name] = self._reader.form(self._parts.of_field(name))
        return form

    def items(self) -> "Form":
        """Give what is known of an array's values."""
        if self._items is None:
            self._items = self._reader.form(self._parts.of_items())
        return self._items


class _Case(NamedTuple):
    """Where the field `key` has one of `values` (None: it may be absent), an object is as `then` says, too."""

    key: str
    values: tuple[Any, ...]
    then: Mapping[str, Any]


class _Parts:
    """Schemas for one value, with their references followed, and those that count for some objects alone."""

    def __init__(self, base: Sequence[Mapping[str, Any]], cases: Sequence[_Case]) -> None:
        self.base = base
        self.cases = cases
        self.is_free = any(schema.get("x-free") is True for schema in base)
        self.names = frozenset(name for schema in base for name in schema.get("properties", ()))
        self.values = frozenset(value for case in cases for value in case.values)

    def of_field(self, name: str) -> tuple[Mapping[str, Any], ...]:
        return tuple(schema["properties"][name] for schema in self.base if name in schema.get("properties", ()))

    def of_items(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(schema["items"] for schema in self.base if "items" in schema)


class _Reader:
    """Reads forms from a document; each set of schemas once, so that what refers to itself ends."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._definitions = document.get("$defs", {})
        self._forms: dict[frozenset[int], Form] = {}

    def form(self, schemas: Sequence[Mapping[str, Any]]) -> Form:
        """Give the form of what all of some schemas are for."""
        key = frozenset(id(schema) for schema in schemas)
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = self._read([], schemas)
        return form

    def chosen(self, parts: _Parts, said: Any) -> Form:
        """Give the form of an object that says what it is."""
        is_known = said in parts.values
        return self._read(parts.base, [case.then for case in parts.cases if said in case.values or not is_known])

    def _read(self, base: Sequence[Mapping[str, Any]], schemas: Sequence[Mapping[str, Any]]) -> Form:
        plain, cases = list(base), list[_Case]()
        for schema in schemas:
            self._collect(schema, plain, cases)
        while len({case.key for case in cases}) > 1:
            self._collect(cases.pop().then, plain, cases)
        return Form(self, _Parts(plain, cases))

    def _collect(self, schema: Mapping[str, Any], plain: list[Mapping[str, Any]], cases: list[_Case]) -> None:
        plain.append(schema)
        if "$ref" in schema:
            self._collect(self._definitions[schema["$ref"].removeprefix("#/$defs/")], plain, cases)
        for part in schema.get("allOf", ()):
            self._collect(part, plain, cases)
        if "if" in schema:
            cases.append(_case(schema["if"], schema["then"]))
            self._collect(schema.get("else", {}), plain, cases)


def _case(condition: Mapping[str, Any], then: Mapping[str, Any]) -> _Case:
    ((key, values),) = condition["properties"].items()
    return _Case(key, tuple(values["enum"]) if "enum" in values else (values["const"],), then)


def _first_unknown(value: Any, form: Form, *, is_any: bool) -> list[str | int]:
    """Give the steps to the first unknown field, the last step first; empty if there is none.

    Not `is_any`: only of those that differ from a known one in the case of their letters alone.
    """
    if form.is_free:
        return []
    if isinstance(value, list):
        return _first_in_list(value, form.items(), is_any=is_any)
    form = form.of(value)
    for name, child in value.items():
        if name not in form.names:
            if is_any or name.casefold() in form.names:
                return [name]
        elif isinstance(child, _CONTAINERS) and (steps := _first_unknown(child, form.field(name), is_any=is_any)):
            return [*steps, name]
    return []


def _first_in_list(values: list[Any], form: Form, *, is_any: bool) -> list[str | int]:
    for index, child in enumerate(values):
        if isinstance(child, _CONTAINERS) and (steps := _first_unknown(child, form, is_any=is_any)):
            return [*steps, index]
    return []


def _path(steps: Sequence[str | int]) -> str:
    path = ""
    for step in reversed(steps):
        path += f"[{step}]" if isinstance(step, int) else f".{step[:MAX_SHOWN_CHARS]}"
    return path.removeprefix(".")


def _stripped(value: Any, form: Form) -> Any:
    if form.is_free or not isinstance(value, _CONTAINERS):
        return value
    if isinstance(value, list):
        return _stripped_list(value, form.items())
    form = form.of(value)
    kept = {name: _stripped(child, form.field(name)) for name, child in value.items() if name in form.names}
    is_same = len(kept) == len(value) and all(kept[name] is value[name] for name in kept)
    return value if is_same else kept


def _stripped_list(values: list[Any], form: Form) -> list[Any]:
    kept = [_stripped(child, form) for child in values]
    return values if all(new is old for new, old in zip(kept, values, strict=True)) else kept
