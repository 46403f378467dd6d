"""Stack parameters: defaults, then `--parameter Name=Value`, checked as CloudFormation checks them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sallyport_cli.local.template_file import TemplateError

type ParameterValue = str | list[str]

_ASSIGNMENT = re.compile(r"[A-Za-z0-9]+=.*", re.DOTALL)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class ParameterDeclaration(BaseModel):
    """One entry of the template's Parameters section."""

    model_config = ConfigDict(extra="ignore")

    Type: str
    Default: str | int | float | bool | None = None
    AllowedValues: list[str | int | float | bool] | None = None
    AllowedPattern: str | None = None
    ConstraintDescription: str | None = None
    MinLength: int | None = None
    MaxLength: int | None = None
    MinValue: float | None = None
    MaxValue: float | None = None


def parse_assignments(values: Iterable[str]) -> dict[str, str]:
    """`Name=Value` pairs from repeated options, each of which may hold several, as `sam deploy` takes them."""
    assignments: dict[str, str] = {}
    for value in values:
        for assignment in _split_assignments(value):
            name, _, text = assignment.partition("=")
            assignments[name] = text
    return assignments


def _split_assignments(value: str) -> list[str]:
    words = shlex.split(value)
    if words and all(_ASSIGNMENT.fullmatch(word) for word in words):
        return words
    if _ASSIGNMENT.fullmatch(value):  # a value with spaces that the shell has already unquoted
        return [value]
    raise TemplateError(f"--parameter {value}", "isn't Name=Value")


def resolve_parameters(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, ParameterValue]:
    """Every parameter's value; an unknown, missing or refused one raises `TemplateError`."""
    for name in given:
        if name not in declared:
            raise TemplateError(f"parameter {name}", "the template has no such parameter")
    return {name: _resolve_one(name, raw, given.get(name)) for name, raw in declared.items()}


def _resolve_one(name: str, raw: Any, given: str | None) -> ParameterValue:
    try:
        declaration = ParameterDeclaration.model_validate(raw)
    except ValidationError as error:
        raise TemplateError(f"Parameters.{name}", f"isn't a parameter ({error.error_count()} errors)") from None
    text = given if given is not None else _as_text(declaration.Default)
    if text is None:
        raise TemplateError(f"parameter {name}", "has no default; give it with --parameter")
    if declaration.Type == "CommaDelimitedList":
        items = [item.strip() for item in text.split(",")] if text else []
        for item in items:
            _check(name, declaration, item)
        return items
    if declaration.Type not in ("String", "Number"):
        raise TemplateError(f"parameter {name}", f"type {declaration.Type} isn't supported locally")
    _check(name, declaration, text)
    return text


def _as_text(value: str | float | bool | None) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _check(name: str, declaration: ParameterDeclaration, text: str) -> None:
    reason = _complaint(declaration, text)
    if reason is not None:
        raise TemplateError(f"parameter {name}", f"{text!r} {reason}")


def _complaint(declaration: ParameterDeclaration, text: str) -> str | None:
    allowed = declaration.AllowedValues
    if allowed is not None and text not in [_as_text(value) for value in allowed]:
        return f"isn't one of {', '.join(str(_as_text(value)) for value in allowed)}"
    if declaration.AllowedPattern is not None and not re.fullmatch(declaration.AllowedPattern, text):
        return declaration.ConstraintDescription or f"doesn't match {declaration.AllowedPattern}"
    if declaration.Type == "Number":
        return _number_complaint(declaration, text)
    if declaration.MinLength is not None and len(text) < declaration.MinLength:
        return f"is shorter than {declaration.MinLength}"
    if declaration.MaxLength is not None and len(text) > declaration.MaxLength:
        return f"is longer than {declaration.MaxLength}"
    return None


def _number_complaint(declaration: ParameterDeclaration, text: str) -> str | None:
    if not _NUMBER.fullmatch(text):
        return "isn't a number"
    if declaration.MinValue is not None and float(text) < declaration.MinValue:
        return f"is less than {declaration.MinValue:g}"
    if declaration.MaxValue is not None and float(text) > declaration.MaxValue:
        return f"is more than {declaration.MaxValue:g}"
    return None
