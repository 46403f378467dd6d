"""The commands of `sallyport ip`."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Sequence

import click

from sallyport_cli.caller import caller_name
from sallyport_cli.ip.caveats import caveats, knows_no_country
from sallyport_cli.ip.changes import AskParameters, add_entries, remove_networks
from sallyport_cli.ip.checking import Caller, Step, judge
from sallyport_cli.ip.entries import ListName, read_networks
from sallyport_cli.ip.options import (
    caller_options,
    check_options,
    file_option,
    networks_argument,
    output_option,
    parameter_option,
    yes_option,
)
from sallyport_cli.ip.output import as_json, print_entries, print_steps
from sallyport_cli.ip.rules import sources_of
from sallyport_cli.ip.stack import parameters_of
from sallyport_cli.keys.stored import StoredKey
from sallyport_cli.keys.table import KeyTable
from sallyport_cli.policy.differences import ip_differences
from sallyport_cli.policy.operating import (
    note_option,
    on_target,
    policy_table,
    show_change,
    show_differences,
    show_warnings,
)
from sallyport_cli.policy.table import Author, Change
from sallyport_cli.stack_parameters import Parameters
from sallyport_cli.target import Target


@click.group()
def ip() -> None:
    """Addresses that may call or not, at once. Long lists belong into the policy document."""


@ip.command()
@networks_argument
@file_option
@note_option
@yes_option
@parameter_option
@on_target
def allow(
    *, networks: Sequence[str], file: str | None, note: str, yes: bool, parameters: Parameters, target: Target
) -> None:
    """Let networks call. Where there was no allow list, everyone else is refused from then on."""
    _add("allow", _read(networks, file), note, _asking(target, parameters), target, sure=yes)


@ip.command()
@networks_argument
@file_option
@note_option
@yes_option
@on_target
def deny(*, networks: Sequence[str], file: str | None, note: str, yes: bool, target: Target) -> None:
    """Refuse networks, whatever allows them."""
    _add("deny", _read(networks, file), note, dict, target, sure=yes)


@ip.command()
@networks_argument
@file_option
@note_option
@yes_option
@parameter_option
@on_target
def remove(
    *, networks: Sequence[str], file: str | None, note: str, yes: bool, parameters: Parameters, target: Target
) -> None:
    """Take back what `allow` and `deny` added."""
    wanted, known = _read(networks, file), _asking(target, parameters)
    with policy_table(target) as table:
        author = Author(caller_name(target), _action("remove", wanted), note)
        _show(remove_networks(table, wanted, author, known, sure=yes))


@ip.command("list")
@output_option
@on_target
def list_entries(*, output: str, target: Target) -> None:
    """List what `allow` and `deny` added, and say how many networks the policy document has."""
    with policy_table(target) as table:
        sources = sources_of(table.current(), {})
    if output == "json":
        print(json.dumps({**sources.ip.as_json(), "document": sources.document_counts()}))
        return
    print_entries(sources.ip)
    for name, count in sources.document_counts().items():
        click.echo(f"access.{name} of the policy document: {count:,} more", err=True)


@ip.command()
@caller_options
@parameter_option
@check_options
@on_target
def check(
    *,
    address: tuple[int, int],
    tenant: str,
    key_id: str,
    country: str,
    parameters: Parameters,
    output: str,
    exit_code: bool,
    target: Target,
) -> None:
    """Say whether ADDRESS may call, and which rule of which list decides."""
    known = parameters_of(target, parameters)
    with policy_table(target) as table:
        sources = sources_of(table.current(), known or {})
    caller = Caller(*address, country="" if knows_no_country(sources, known) else country, tenant=tenant)
    steps = judge(_with_key(caller, key_id, target) if key_id else caller, sources)
    _tell(caller, steps, list(caveats(sources, known, country)), output)
    if steps[-1].code and exit_code:
        sys.exit(1)


def _read(networks: Sequence[str], file: str | None) -> list[str]:
    if not networks and file is None:
        raise click.UsageError("give networks, or --file")
    return read_networks(networks, file)


def _add(
    name: ListName, networks: Sequence[str], note: str, parameters: AskParameters, target: Target, *, sure: bool
) -> None:
    with policy_table(target) as table:
        author = Author(caller_name(target), _action(name, networks), note)
        _show(add_entries(table, name, networks, author, parameters, sure=sure))


def _asking(target: Target, given: Parameters) -> AskParameters:
    return functools.cache(lambda: parameters_of(target, given) or {})


def _action(verb: str, networks: Sequence[str]) -> str:
    more = f" and {len(networks) - 1:,} more" if len(networks) > 1 else ""
    return f"ip {verb} {networks[0]}{more}"


def _show(change: Change) -> None:
    if change.is_new and change.source_before is not None:
        show_differences(ip_differences(change.source_before.ip, change.source.ip))
        show_warnings(change)
    show_change(change)


def _with_key(caller: Caller, key_id: str, target: Target) -> Caller:
    item = KeyTable(target.client("dynamodb"), target.config_table()).read(key_id)
    if item is None:
        raise click.ClickException(f"no such key: {key_id}")
    key = StoredKey.of(item)
    tenant = key.text("tenant")
    if caller.tenant not in {"", tenant}:
        raise click.ClickException(f"key {key_id} is of the tenant {tenant}, not of {caller.tenant}")
    state = key.state(time.time())
    return caller._replace(
        tenant=tenant,
        key_id=key_id,
        key_state="" if state in {"active", "rotating"} else state,
        key_allow=tuple(key.items("allow") or ()),
    )


def _tell(caller: Caller, steps: Sequence[Step], caveats: Sequence[str], output: str) -> None:
    if output == "json":
        print(json.dumps(as_json(caller, steps, caveats)))
    else:
        print_steps(caller, steps)
    for caveat in caveats:
        click.echo(caveat, err=True)
