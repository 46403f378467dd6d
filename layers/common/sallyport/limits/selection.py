"""Which rules count a request, and under whose name: what is charged together stands in one item of the store."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sallyport.limits.rules import Cost
from sallyport.policy.limit_rules import LIMIT_SCOPES, LimitRule, RouterRules

_PLAIN = re.compile(r"[A-Za-z0-9._:/@-]{1,64}")
_DIGEST_DIGITS = 32
_NETWORK_BITS = 64
_RANK = {part: rank for rank, part in enumerate(LIMIT_SCOPES)}


class Demand(NamedTuple):
    """A request as the limits see it.

    `scopes` are the credential's; `values` says by part of a rule's scope who is counted (`caller_values`); `cost` is
    what to reserve; `lease_s` is after how many seconds a place of a concurrency limit is free again by itself.
    """

    route: str
    model: str
    tenant: str
    scopes: tuple[str, ...]
    values: Mapping[str, str]
    cost: Cost
    lease_s: float


def caller_values(
    *, tenant: str, subject: str, key: str = "", ip: str = "", model: str = "", route: str = ""
) -> dict[str, str]:
    """Give who is counted for each part of a scope. `key`: the key's family or id, empty for a JWT."""
    return {
        "key": key or f"jwt {tenant} {subject}",
        "subject": f"{tenant} {subject}",
        "ip": ip_value(ip),
        "tenant": tenant,
        "model": model,
        "route": route,
    }


def rules_for(rules: RouterRules, tenant: str, key_rules: Sequence[LimitRule]) -> tuple[LimitRule, ...]:
    """Give what is in force for a caller: the general rules, by name under its tenant's, under its key's.

    A tenant's None lifts the rule of that name; the key's own still holds. What must not be passed while the store is
    away, a key's own number of it must not be either; and where answers are capped, they stay so.
    """
    own = rules.tenant_limits.get(tenant)
    if not own and not key_rules:
        return rules.limits
    by_name: dict[str, LimitRule | None] = {rule.name: rule for rule in rules.limits}
    by_name.update(own or {})
    for rule in key_rules:
        by_name[rule.name] = _no_laxer(rule, by_name.get(rule.name))
    return tuple(rule for rule in by_name.values() if rule is not None)


def _no_laxer(rule: LimitRule, replaced: LimitRule | None) -> LimitRule:
    if replaced is None:
        return rule
    on_store_failure = "deny" if replaced.on_store_failure == "deny" else rule.on_store_failure
    return rule._replace(on_store_failure=on_store_failure, enforce_cap=rule.enforce_cap or replaced.enforce_cap)


def matches(rule: LimitRule, demand: Demand) -> bool:
    """Say whether a rule counts a request."""
    match = rule.match
    return (
        (not match.routes or demand.route in match.routes)
        and (not match.models or demand.model in match.models)
        and (not match.tenants or demand.tenant in match.tenants)
        and (not match.scopes or any(scope in match.scopes for scope in demand.scopes))
    )


def matching(rules: Iterable[LimitRule], demand: Demand) -> tuple[LimitRule, ...]:
    """Give the rules that count a request."""
    return tuple(rule for rule in rules if matches(rule, demand))


def by_scope(rules: Iterable[LimitRule], demand: Demand) -> list[tuple[str, list[LimitRule]]]:
    """Give the rules that count a request with the member that each counts, by scope, the narrowest first."""
    grouped: dict[tuple[str, ...], list[LimitRule]] = {}
    for rule in matching(rules, demand):
        grouped.setdefault(rule.scope, []).append(rule)
    return [(member_of(scope, demand.values), grouped[scope]) for scope in sorted(grouped, key=_breadth)]


def member_of(scope: tuple[str, ...], values: Mapping[str, str]) -> str:
    """Name whom one scope counts, such as `tenant+model#acme#gpt-4o`, `subject#~0f...` or `global`.

    A value that isn't plain, or too long, stands as a digest; so nothing personal such as a subject is in the store.
    Those without a value are counted together.
    """
    parts = [f"#{_member_value(values.get(part, ''))}" for part in scope if part != "global"]
    return "+".join(scope) + "".join(parts)


def ip_value(address: str) -> str:
    """Give what an address is counted as: IPv4 itself, also where IPv6 only wraps it, and of IPv6 its /64.

    A client has all of a /64. A text that is no address stays as it is.
    """
    if ":" not in address:
        return address
    from ipaddress import IPv6Address  # noqa: PLC0415 - only a process that is called over IPv6 loads it

    try:
        number = int(IPv6Address(address))
    except ValueError:
        return address
    mapped = IPv6Address(number).ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return f"{IPv6Address(number >> _NETWORK_BITS << _NETWORK_BITS)}/{_NETWORK_BITS}"


def _breadth(scope: tuple[str, ...]) -> tuple[int, int, tuple[str, ...]]:
    return _RANK[scope[0]], -len(scope), scope


def _member_value(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    # A subject may hold half a surrogate pair, which a strict encoder refuses.
    return "~" + hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_DIGITS]
