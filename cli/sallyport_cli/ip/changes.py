"""Changes of the entries in force, with the questions that an operator is asked before one that concerns everyone."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sallyport_cli.ip.entries import ListName, is_everyone, networks_in, with_entries, without_networks
from sallyport_cli.ip.rules import Parameters, Sources, sources_of
from sallyport_cli.policy.ip_rules import NO_IP_RULES, IpEntry, IpRules
from sallyport_cli.policy.operating import RefusedError
from sallyport_cli.policy.table import Applied, Author, Change, PolicyTable

_SURE = "say --yes if that is what you want"


def add_entries(
    table: PolicyTable, name: ListName, networks: Sequence[str], author: Author, parameters: Parameters, *, sure: bool
) -> Change:
    """Put networks on a list. Raises `RefusedError` where it would concern everyone and the operator isn't `sure`."""
    entries = [IpEntry(network, author.note, int(time.time()), author.by) for network in networks]

    def change(applied: Applied | None) -> IpRules:
        if not sure:
            _check_addition(name, networks, applied, parameters)
        return with_entries(_rules(applied), name, entries)

    return table.change_ip(change, author)


def remove_networks(
    table: PolicyTable, networks: Sequence[str], author: Author, parameters: Parameters, *, sure: bool
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


def _check_addition(name: ListName, networks: Sequence[str], applied: Applied | None, parameters: Parameters) -> None:
    if name == "deny":
        everyone = next((network for network in networks if is_everyone(network)), None)
        if everyone is not None:
            raise RefusedError(f"{everyone} is everyone: nobody could call any more; {_SURE}")
    elif networks and not sources_of(applied, parameters).networks().allow:
        raise RefusedError(f"this turns the allow list on: only what is listed can call from then on; {_SURE}")


def _check_still_allowing(applied: Applied | None, after: IpRules, parameters: Parameters) -> None:
    before = sources_of(applied, parameters)
    if not Sources(parameters, before.document, after).networks().allow:
        raise RefusedError(f"this turns the allow list off: everyone who isn't denied can call from then on; {_SURE}")


def _check_known(networks: Sequence[str], rules: IpRules, applied: Applied | None, parameters: Parameters) -> None:
    """Refuse all where one isn't there: a slip in a network mustn't pass for having been taken back."""
    known = networks_in((*rules.allow, *rules.deny))
    unknown = [network for network in networks if not networks_in([IpEntry(network)]) <= known]
    if unknown:
        sources = sources_of(applied, parameters)
        raise RefusedError("\n".join(_why_not_removable(network, sources) for network in unknown))


def _why_not_removable(network: str, sources: Sources) -> str:
    origins = sources.origins(network)
    where = f"is in the {origins[0]}: change it there" if origins else "is on neither list"
    return f"{network} {where}"
