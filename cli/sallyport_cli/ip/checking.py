"""Whether an address may call, and which rule decides: the same lists in the same order as at the door.

The door only needs the answer; here every step names its rule, so that an operator knows what to change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sallyport.access.networks import parse_network
from sallyport_cli.ip.rules import Lists, Rule, Sources


class Caller(NamedTuple):
    """Who would call: from where (IP version and number), and as which tenant and key, empty if that doesn't matter.

    `country` empty: unknown. `key_state`: why the key lets nobody in, empty if it does. `key_allow`: its own networks.
    """

    version: int
    number: int
    country: str = ""
    tenant: str = ""
    key_id: str = ""
    key_state: str = ""
    key_allow: Sequence[str] = ()


@dataclass(frozen=True)
class Step:
    """One look at a list. `code` is the refusal's code, empty where the list lets the caller pass."""

    list_name: str
    code: str
    reason: str
    rule: Rule | None = None


def judge(caller: Caller, sources: Sources) -> list[Step]:
    """Give the steps until one refuses, or all of them."""
    steps = []
    for step in _steps(caller, sources):
        steps.append(step)
        if step.code:
            break
    return steps


def _steps(caller: Caller, sources: Sources) -> Iterator[Step]:
    networks = sources.networks()
    yield _denied("global deny", caller, networks)
    yield _allowed("global allow", caller, networks)
    yield from _countries(caller.country, sources.countries())
    if caller.key_id:
        yield _key_state(caller)
    if caller.tenant:
        yield _suspended(caller.tenant, sources)
        tenant = sources.of_tenant(caller.tenant)
        yield _denied(f"tenant {caller.tenant}'s deny", caller, tenant)
        yield _allowed(f"tenant {caller.tenant}'s allow", caller, tenant)
    if caller.key_id:
        key = Lists(allow=[Rule(network, f"key {caller.key_id}") for network in caller.key_allow])
        yield _allowed(f"key {caller.key_id}'s allow", caller, key)


def _denied(name: str, caller: Caller, lists: Lists) -> Step:
    rule = narrowest(lists.deny, caller.version, caller.number)
    return Step(name, "", "has no network with it") if rule is None else Step(name, "ip_denied", _has(rule), rule)


def _allowed(name: str, caller: Caller, lists: Lists) -> Step:
    if not lists.allow:
        return Step(name, "", "is empty: all that aren't denied")
    rule = narrowest(lists.allow, caller.version, caller.number)
    if rule is None:
        origins = ", ".join(dict.fromkeys(rule.origin.partition(",")[0].partition(":")[0] for rule in lists.allow))
        return Step(name, "ip_denied", f"is set and has no network with it ({origins})")
    return Step(name, "", _has(rule), rule)


def _countries(country: str, lists: Lists) -> Iterator[Step]:
    denied = next((rule for rule in lists.deny if rule.value == country), None)
    if denied is not None:
        yield Step("countries", "country_denied", f"deny {_has(denied)}", denied)
        return
    if not lists.allow:
        yield Step("countries", "", "no list of those that may call" if lists.deny else "no list")
        return
    allowed = next((rule for rule in lists.allow if rule.value == country), None)
    reason = f"allow is set and hasn't {country}" if country else "allow is set and the country is unknown"
    yield (
        Step("countries", "country_denied", reason)
        if allowed is None
        else Step("countries", "", f"allow {_has(allowed)}", allowed)
    )


def _key_state(caller: Caller) -> Step:
    reason = f"is {caller.key_state}" if caller.key_state else "is active"
    return Step(f"key {caller.key_id}", "invalid_credentials" if caller.key_state else "", reason)


def _suspended(tenant: str, sources: Sources) -> Step:
    suspended = sources.is_suspended(tenant)
    reason = "is suspended (policy document)" if suspended else "isn't suspended"
    return Step(f"tenant {tenant}", "tenant_suspended" if suspended else "", reason)


def narrowest(rules: Sequence[Rule], version: int, number: int) -> Rule | None:
    """Give the rule with the smallest network that has the address."""
    sizes = []
    for place, rule in enumerate(rules):
        network_version, first, last = parse_network(rule.value)
        if network_version == version and first <= number <= last:
            sizes.append((last - first, place))
    return rules[min(sizes)[1]] if sizes else None


def _has(rule: Rule) -> str:
    return f"has {rule.value} ({rule.origin})"
