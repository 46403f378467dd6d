"""Which counters a rule has: one for each member of its scope that is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from sallyport.limits.selection import member_of, rules_for
from sallyport.policy.limit_rules import LIMIT_SCOPES, ROUTES, LimitRule, RouterRules
from sallyport_cli.limits.callers import Caller, Part


@dataclass(frozen=True)
class Counted:
    """A rule's counter of one member. `parts`: who that is, by part of the scope."""

    rule: LimitRule
    member: str
    parts: Mapping[str, Part]

    @property
    def shown(self) -> str:
        """Give who is counted, such as `tenant acme, model gpt-4o`."""
        return ", ".join(f"{part} {self.parts[part]}" for part in self.rule.scope if part in self.parts) or "everyone"


@dataclass(frozen=True)
class Question:
    """Whose counters are wanted. `ip` and `model` empty: not named; without a tenant: what all or any of them share."""

    rules: RouterRules
    tenant: str
    callers: Sequence[Caller]
    ip: Part | None = None
    model: str = ""


@dataclass(frozen=True)
class Answer:
    """The counters, and by rule the part of its scope that nobody named."""

    counted: Sequence[Counted]
    unknown: Mapping[str, str]


def counters_of(question: Question) -> Answer:
    """Give the counters, the widest scopes first."""
    found: dict[tuple[str, str, str], Counted] = {}
    unknown: dict[str, str] = {}
    for caller in question.callers or [Caller({})]:
        for rule in _rules_of(question, caller):
            if not _concerns(rule, question):
                continue
            values = _values(rule, caller, question)
            missing = next((part for part in rule.scope if not values[part]), "")
            if missing:
                unknown.setdefault(rule.name, missing)
            for counted in _each(rule, values):
                found[counted.member, rule.name, rule.counter] = counted
    known = {counted.rule.name for counted in found.values()}
    counters = sorted(found.values(), key=lambda counted: _width(counted.rule), reverse=True)
    return Answer(counters, {name: part for name, part in unknown.items() if name not in known})


def _rules_of(question: Question, caller: Caller) -> Iterable[LimitRule]:
    """Give the rules in force for the caller; where no tenant is named, those of all tenants."""
    if question.tenant:
        return rules_for(question.rules, question.tenant, caller.key_rules)
    own = (rule for rules in question.rules.tenant_limits.values() for rule in rules.values() if rule is not None)
    return [*question.rules.limits, *own]


def _concerns(rule: LimitRule, question: Question) -> bool:
    return (not question.tenant or not rule.match.tenants or question.tenant in rule.match.tenants) and (
        not question.model or not rule.match.models or question.model in rule.match.models
    )


def _values(rule: LimitRule, caller: Caller, question: Question) -> dict[str, list[Part]]:
    models = [question.model] if question.model else [*(rule.match.models or question.rules.models or ())]
    return {
        "key": _known(caller.parts.get("key")),
        "subject": _known(caller.parts.get("subject")),
        "ip": _known(question.ip),
        "tenant": [Part(question.tenant, question.tenant)] if question.tenant else [],
        "model": [Part(model, model) for model in models],
        "route": [Part(route, route) for route in rule.match.routes or ROUTES],
        "global": [Part("", "")],
    }


def _known(part: Part | None) -> list[Part]:
    return [] if part is None else [part]


def _each(rule: LimitRule, values: Mapping[str, Iterable[Part]]) -> Iterator[Counted]:
    for parts in product(*(values[part] for part in rule.scope)):
        named = dict(zip(rule.scope, parts, strict=True))
        member = member_of(rule.scope, {name: part.value for name, part in named.items()})
        yield Counted(rule, member, {name: part for name, part in named.items() if name != "global"})


def _width(rule: LimitRule) -> tuple[int, int]:
    return min(LIMIT_SCOPES.index(part) for part in rule.scope), -len(rule.scope)
