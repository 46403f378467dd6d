"""Changes of the entries in force, with the questions that an operator is asked before one that concerns everyone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import click

from sallyport_cli.ip.entries import ListName, networks_in, with_entries, without_networks
from sallyport_cli.ip.rules import Sources, sources_of
from sallyport_cli.policy.documents import Document
from sallyport_cli.policy.effects import covered_versions, newly_covered
from sallyport_cli.policy.ip_rules import NO_IP_RULES, IpEntry, IpRules
from sallyport_cli.policy.operating import RefusedError, global_lists
from sallyport_cli.policy.stored import Source
from sallyport_cli.policy.table import Applied, Author, Change, PolicyTable
from sallyport_cli.stack_parameters import Parameters

type AskParameters = Callable[[], Parameters]
"""Gives the stack's parameters; asked only where they decide, because not everybody may read them."""

_SURE = "say --yes if that is what you want"


def add_entries(
    table: PolicyTable,
    name: ListName,
    networks: Sequence[str],
    author: Author,
    parameters: AskParameters,
    *,
    sure: bool,
) -> Change:
    """Put networks on a list. Raises `RefusedError` where it would concern everyone and the operator isn't `sure`."""
    entries = [IpEntry(network, author.note, int(time.time()), author.by) for network in networks]

    def change(applied: Applied | None) -> IpRules:
        if not sure:
            _check_addition(name, networks, applied, parameters)
        return with_entries(_rules(applied), name, entries)

    return table.change_ip(change, author)


def remove_networks(
    table: PolicyTable, networks: Sequence[str], author: Author, parameters: AskParameters, *, sure: bool
) -> Change:
    """Take networks off both lists. Raises `RefusedError` where one isn't on them, or the allow list would end."""

    def change(applied: Applied | None) -> IpRules:
        before = _rules(applied)
        _check_known(networks, before, applied, parameters)
        after = without_networks(before, networks)
        if not sure and before.allow and not after.allow:
            _check_still_allowing(applied, after, parameters)
        return after

    return table.change_ip(change, author)


def _rules(applied: Applied | None) -> IpRules:
    return NO_IP_RULES if applied is None else applied.source.ip


def _check_addition(
    name: ListName, networks: Sequence[str], applied: Applied | None, parameters: AskParameters
) -> None:
    if name == "deny":
        _check_not_everyone(networks, Source() if applied is None else applied.source)
        return
    document = sources_of(applied, {}).document
    if networks and not _is_allowing(document, _rules(applied), parameters):
        raise RefusedError(f"this turns the allow list on: only what is listed can call from then on; {_SURE}")


def _check_not_everyone(networks: Sequence[str], source: Source) -> None:
    """Refuse what leaves nobody of an IP version, by itself or with what is denied already."""
    denied = global_lists(source).deny
    covered = covered_versions(networks) | newly_covered(denied, (*denied, *networks))
    if covered:
        versions = " and ".join(f"IPv{version}" for version in sorted(covered))
        raise RefusedError(f"all of {versions} would be denied: nobody with such an address could call; {_SURE}")


def _check_still_allowing(applied: Applied | None, after: IpRules, parameters: AskParameters) -> None:
    if not _is_allowing(sources_of(applied, {}).document, after, parameters):
        raise RefusedError(f"this turns the allow list off: everyone who isn't denied can call from then on; {_SURE}")


def _is_allowing(document: Document | None, ip: IpRules, parameters: AskParameters) -> bool:
    """Say whether there is an allow list. The stack is asked only where neither document nor entries tell."""
    told = Sources({}, document, ip)
    if told.networks().allow or told.has_access():
        return bool(told.networks().allow)
    return bool(Sources(parameters(), document, ip).networks().allow)


def _check_known(networks: Sequence[str], rules: IpRules, applied: Applied | None, parameters: AskParameters) -> None:
    """Refuse all where one isn't there: a slip in a network mustn't pass for having been taken back."""
    known = networks_in((*rules.allow, *rules.deny))
    unknown = [network for network in networks if not networks_in([IpEntry(network)]) <= known]
    if unknown:
        found: Parameters = {}
        with suppress(click.ClickException):  # it is refused in any case; where the network is would be a courtesy
            found = parameters()
        sources = sources_of(applied, found)
        raise RefusedError("\n".join(_why_not_removable(network, sources) for network in unknown))


def _why_not_removable(network: str, sources: Sources) -> str:
    origins = sources.origins(network)
    where = f"is in the {origins[0]}: change it there" if origins else "is on neither list"
    return f"{network} {where}"
