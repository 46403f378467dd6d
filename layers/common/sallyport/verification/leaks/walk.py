"""The leak guard over a JSON value: every string in it, and every number that is long enough to be a card's.

Names of fields are left alone. They are the API's or the app's, not the model's; another name would make the answer
another type, and a client that looks for the field would fail. Log probabilities, which spell a text token by token,
are left out of what was changed.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from sallyport.verification.findings import Finding
from sallyport.verification.leaks.scanner import Found, Scanner, findings_of, is_blocked

_API_FIELDS = frozenset({"type", "object", "role"})
_API_WORD = re.compile(r"[a-z_.]{1,64}")
"""What those fields hold in every API: a planted word such as `response` must not make another event of an event."""
_SHORTEST_NUMBER = 100_000_000
"""Nine digits, a Dutch person's number."""


class Scanned(NamedTuple):
    """`value`: the same object if nothing in it was to be redacted. `is_blocked`: it may not go on."""

    value: Any
    findings: tuple[Finding, ...]
    is_blocked: bool


def scan_json(scanner: Scanner, value: Any) -> Scanned:
    """Look at every string of a value as a text of its own; what is to be redacted is, in a copy."""
    found: list[Found] = []
    changed = _walk(scanner, value, found)
    if changed is not value:
        changed = without_tokens(changed)
    return Scanned(changed, findings_of(found), is_blocked(found))


def without_tokens(value: Any) -> Any:
    """Give a value whose `logprobs` tell none, in the shape that says so: `null` for an object, `[]` for a list."""
    if isinstance(value, list):
        return [without_tokens(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {name: _no_tokens(field) if name == "logprobs" else without_tokens(field) for name, field in value.items()}


def _no_tokens(field: Any) -> Any:
    if isinstance(field, list):
        return []
    return None if isinstance(field, Mapping) else field


def _walk(scanner: Scanner, value: Any, found: list[Found]) -> Any:
    if isinstance(value, str):
        return _text(scanner, value, found)
    if isinstance(value, int) and abs(value) >= _SHORTEST_NUMBER:
        text = str(value)
        redacted = _text(scanner, text, found)
        return value if redacted == text else redacted
    if isinstance(value, Mapping):
        return _fields(scanner, value, found)
    if isinstance(value, list):
        items = [_walk(scanner, item, found) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def _fields(scanner: Scanner, value: Mapping[str, Any], found: list[Found]) -> Mapping[str, Any]:
    fields = {
        name: field if name in _API_FIELDS and _is_api_word(field) else _walk(scanner, field, found)
        for name, field in value.items()
    }
    return fields if any(fields[name] is not value[name] for name in fields) else value


def _is_api_word(field: Any) -> bool:
    return isinstance(field, str) and _API_WORD.fullmatch(field) is not None


def _text(scanner: Scanner, text: str, found: list[Found]) -> str:
    leaks = scanner.scan(text)
    found += leaks
    return scanner.redact(text, leaks) if leaks else text
