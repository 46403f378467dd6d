"""What another document changes, in a line per value and by its path: order, comments and spelling change nothing."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Final

from pydantic import BaseModel

from sallyport.access.networks import parse_network
from sallyport_cli.policy.canaries import Canary
from sallyport_cli.policy.canary_types import GUARD_OFF
from sallyport_cli.policy.ip_rules import IpRules
from sallyport_cli.policy.limit_types import decimal_text
from sallyport_cli.policy.limit_words import describe_rule
from sallyport_cli.policy.limits import Limit, TenantLimit, rules_of
from sallyport_cli.policy.model import Issuer, Policy
from sallyport_cli.policy.problems import field_name
from sallyport_cli.policy.verification import GuardHook, Leaks, OwnPattern, Prompts
from sallyport_cli.policy.yaml_reading import Path

type Named = Canary | Leaks | OwnPattern | Prompts | GuardHook

_NO_POLICY: Final = Policy(version=1)
_NAMED: Final = (Canary, Leaks, OwnPattern, Prompts, GuardHook)


def policy_differences(old: Policy | None, new: Policy | None) -> list[str]:
    """Give the lines: `+ path: value` for what is new, `- path: value` for what is gone, `~ path: old -> new`."""
    return list(_compare(old or _NO_POLICY, new or _NO_POLICY, ()))


def ip_differences(old: IpRules, new: IpRules) -> list[str]:
    """Give the same for the entries of `sallyport ip`."""
    pairs = ((("ip", "allow"), old.allow, new.allow), (("ip", "deny"), old.deny, new.deny))
    return [
        line
        for path, before, after in pairs
        for line in _compare_lists([entry.network for entry in before], [entry.network for entry in after], path)
    ]


def _compare(old: Any, new: Any, path: Path) -> Iterator[str]:
    if old is None or new is None:
        yield from _compare_with_nothing(old, new, path)
    elif isinstance(old, BaseModel) != isinstance(new, BaseModel):  # a guard that was off
        yield from (*_whole("-", old, path), *_whole("+", new, path))
    elif isinstance(new, BaseModel):
        yield from _compare_mappings(_fields(old), _fields(new), path)
    elif isinstance(new, Mapping):
        yield from _compare_mappings(old, new, path)
    elif isinstance(new, Sequence) and not isinstance(new, str):
        yield from _compare_entries(old, new, path)
    elif old != new:
        yield f"~ {field_name(path)}: {_show(old)} -> {_show(new)}"


def _compare_entries(old: Sequence[Any], new: Sequence[Any], path: Path) -> Iterator[str]:
    if _are_limits(old) or _are_limits(new):
        yield from _compare_mappings(_limits_in_words(old), _limits_in_words(new), path)
    elif _are_named(old) or _are_named(new):
        yield from _compare_named(old, new, path)
    elif _are_issuers(old) or _are_issuers(new):
        yield from _compare_issuers(old, new, path)
    elif _are_sections(old) or _are_sections(new):
        for place, (before, after) in enumerate(zip_longest(old, new)):
            yield from _compare(before, after, (*path, place))
    else:
        yield from _compare_lists(old, new, path)


def _compare_with_nothing(old: Any, new: Any, path: Path) -> Iterator[str]:
    if new is not None:
        yield from _whole("+", new, path)
    elif old is not None:
        yield from _whole("-", old, path)


def _compare_mappings(old: Mapping[str, Any], new: Mapping[str, Any], path: Path) -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        yield from _compare(old.get(name), new.get(name), (*path, name))


def _compare_lists(old: Sequence[str], new: Sequence[str], path: Path) -> Iterator[str]:
    before, after = ({_meaning(item): item for item in items} for items in (old, new))
    yield from (f"- {field_name(path)}: {item}" for meaning, item in before.items() if meaning not in after)
    yield from (f"+ {field_name(path)}: {item}" for meaning, item in after.items() if meaning not in before)


def _compare_issuers(old: Sequence[Issuer], new: Sequence[Issuer], path: Path) -> Iterator[str]:
    """Compare issuers of the same name, wherever they stand."""
    before = {issuer.issuer: issuer for issuer in old}
    after = {issuer.issuer for issuer in new}
    for place, issuer in enumerate(old):
        if issuer.issuer not in after:
            yield f"- {field_name((*path, place))}: {issuer.issuer}"
    for place, issuer in enumerate(new):
        yield from _compare(before.get(issuer.issuer), issuer, (*path, place))


def _compare_named(old: Sequence[Named], new: Sequence[Named], path: Path) -> Iterator[str]:
    """Compare those of the same name, and then their order: the first canary that is for a request decides."""
    before, after = _by_name(old), _by_name(new)
    yield from _compare_mappings(before, after, path)
    kept, moved = [name for name in before if name in after], [name for name in after if name in before]
    if kept != moved:
        yield f"~ {field_name(path)}: {_show(kept)} -> {_show(moved)}"


def _whole(sign: str, value: Any, path: Path) -> Iterator[str]:
    """Tell of what is new or gone: itself, and all in it that isn't as it is by default."""
    value = _by_name(value) if _are_named(value) else value
    if isinstance(value, BaseModel):
        yield f"{sign} {field_name(path)}"
        usual = {field.alias or name: field.default for name, field in type(value).model_fields.items()}
        for name, below in _fields(value).items():
            if below != usual[name]:
                yield from _whole(sign, below, (*path, name))
    elif isinstance(value, Mapping):
        yield f"{sign} {field_name(path)}"
        for name, below in value.items():
            yield from _whole(sign, below, (*path, name))
    elif _are_limits(value):
        yield from _compare_mappings(*_as_sides(sign, _limits_in_words(value)), path)
    elif _are_sections(value):
        for place, section in enumerate(value):
            yield from _whole(sign, section, (*path, place))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        yield from (f"{sign} {field_name(path)}: {item}" for item in value)
    else:
        yield f"{sign} {field_name(path)}: {_show(value)}"


def _fields(model: BaseModel) -> dict[str, Any]:
    """Give a section's values by name. No guard is a value, since a canary has one by default."""
    fields = {field.alias or name: getattr(model, name) for name, field in type(model).model_fields.items()}
    return fields | {"guard": fields["guard"] or GUARD_OFF} if isinstance(model, Canary) else fields


def _are_issuers(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and isinstance(value[0], Issuer)


def _by_name(named: Sequence[Named]) -> dict[str, Named]:
    return {one.name: one for one in named}


def _are_named(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and isinstance(value[0], _NAMED)


def _are_sections(value: Any) -> bool:
    """Say whether it is a list of which each place means something, such as targets in their order."""
    return isinstance(value, Sequence) and bool(value) and isinstance(value[0], BaseModel)


def _are_limits(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and isinstance(value[0], Limit | TenantLimit)


def _limits_in_words(limits: Sequence[Limit | TenantLimit]) -> dict[str, str]:
    """Give limits by name: where they stand in their list means nothing."""
    return {name: describe_rule(rule) for name, rule in rules_of(limits).items()}


def _as_sides(sign: str, value: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    return ({}, value) if sign == "+" else (value, {})


def _meaning(item: str) -> Hashable:
    """What makes two entries the same: of networks the addresses, of all else the text."""
    try:
        return parse_network(item)
    except ValueError:
        return item


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(value) or "[]"
    return decimal_text(value) if isinstance(value, Decimal) else str(value)
