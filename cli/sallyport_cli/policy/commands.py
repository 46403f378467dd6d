"""The commands of `sallyport policy`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from sallyport_cli.caller import caller_name
from sallyport_cli.policy.beside import file_differences
from sallyport_cli.policy.differences import ip_differences, policy_differences
from sallyport_cli.policy.documents import Document, PolicyFileError
from sallyport_cli.policy.inference_profiles import profile_resolver
from sallyport_cli.policy.ip_rules import IpRules
from sallyport_cli.policy.operating import (
    RefusedError,
    note_option,
    on_target,
    policy_table,
    read_policy_file,
    read_stored,
    show_change,
    show_differences,
    show_warnings,
)
from sallyport_cli.policy.schema import policy_schema
from sallyport_cli.policy.stored import Source, Version
from sallyport_cli.policy.table import Change
from sallyport_cli.target import Target

_FILE = click.Path(dir_okay=False)
_SAME_MEANING = "only comments differ, or order and spelling; in force it makes no difference"


@click.group()
def policy() -> None:
    """The policy document: who may call, from where, and whose data goes where."""


@policy.command()
def schema() -> None:
    """Print the document's JSON Schema, for editors."""
    print(json.dumps(policy_schema(), indent=2))


@policy.command()
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option("--local", is_flag=True, help="Take http:// to this machine too, as `sallyport local` does.")
def validate(*, files: Sequence[str], local: bool) -> None:
    """Check documents, and touch nothing. `-` is stdin."""
    refused = False
    for file in files:
        try:
            read_policy_file(file, local=local)
            print(f"{file}: valid")
        except RefusedError as error:
            error.show()
            refused = True
    if refused:
        sys.exit(1)


@policy.command()
@click.argument("file", type=_FILE)
@click.option("--exit-code", is_flag=True, help="End with 1 where there are differences.")
@on_target
def diff(*, file: str, exit_code: bool, target: Target) -> None:
    """Show what applying FILE would change."""
    document = read_policy_file(file, local=target.is_local, resolve=profile_resolver(target))
    with policy_table(target) as table:
        applied = table.current()
        source = Source() if applied is None else applied.source
        lines = _differences(source, document)
        if applied is not None:
            lines += file_differences(document, applied.compiled)
    for line in lines:
        print(line)
    if not lines:
        click.echo("no differences" if source.text == document.text else _SAME_MEANING, err=True)
    if lines and exit_code:
        sys.exit(1)


@policy.command()
@click.argument("file", type=_FILE)
@note_option
@click.option(
    "--drop-ip-entries",
    is_flag=True,
    help="Go on where what `sallyport ip` added can't be read any more: what it denied can call again.",
)
@on_target
def apply(*, file: str, note: str, drop_ip_entries: bool, target: Target) -> None:
    """Put FILE in force. What `sallyport ip` added stays."""
    document = read_policy_file(file, local=target.is_local, resolve=profile_resolver(target))
    with policy_table(target) as table:
        _show(table.apply(document, by=caller_name(target), note=note, drop_ip_entries=drop_ip_entries))


@policy.command()
@click.option("--version", "number", type=click.IntRange(min=1), help="[default: the one in force]")
@click.option("--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@on_target
def show(*, number: int | None, output: str, target: Target) -> None:
    """Print a document as it was applied, comments and all; what `sallyport ip` added goes to stderr."""
    with policy_table(target) as table:
        applied = table.current() if number is None else table.version(number)
    if applied is None:
        raise click.ClickException("no policy was ever applied; the stack's parameters alone are in force")
    if output == "json":
        print(json.dumps({**applied.version.as_json(), **json.loads(applied.source.as_text())}))
        return
    click.get_binary_stream("stdout").write((applied.source.text or "# no policy document\n").encode())
    for line in _ip_lines(applied.source.ip):
        click.echo(line, err=True)


@policy.command()
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@on_target
def history(*, limit: int, output: str, target: Target) -> None:
    """List the versions, the newest first: that is the one in force."""
    with policy_table(target) as table:
        versions = table.history(limit)
    if output == "json":
        print(json.dumps([version.as_json() for version in versions]))
        return
    for version in versions:
        print(_history_line(version))
    if not versions:
        click.echo("no policy was ever applied", err=True)


@policy.command()
@click.argument("version", type=click.IntRange(min=1), required=False)
@note_option
@on_target
def rollback(*, version: int | None, note: str, target: Target) -> None:
    """Put VERSION in force again, exactly as it was: `sallyport ip` included.

    Without VERSION it is the one before, and that makes a new version: doing so twice comes back to where it began.
    """
    with policy_table(target) as table:
        _show(table.roll_back(version, by=caller_name(target), note=note))


def _show(change: Change) -> None:
    """Print what a change changed, as far as this version can read it, and which version is in force."""
    if change.is_new and change.source_before is None:
        click.echo("the changes can't be listed: what was in force can't be read any more", err=True)
    elif change.is_new and change.source_before is not None:
        _show_differences(change.source_before, change.source)
    if change.is_new:
        show_warnings(change)
    show_change(change)


def _show_differences(before: Source, after: Source) -> None:
    try:
        show_differences(_differences(before, read_stored(after)))
    except PolicyFileError as error:
        click.echo(f"the changes of the document can't be listed: {error}", err=True)
    show_differences(ip_differences(before.ip, after.ip))


def _differences(before: Source, document: Document | None) -> list[str]:
    """Raises `PolicyFileError` where what was in force can't be read any more."""
    old = read_stored(before)
    return policy_differences(old.policy if old else None, document.policy if document else None)


def _ip_lines(ip: IpRules) -> list[str]:
    lines = [
        f"  {verb} {entry.network}  {_moment(entry.added_at)}  {entry.added_by}  {entry.note}".rstrip()
        for verb, entries in (("allow", ip.allow), ("deny", ip.deny))
        for entry in entries
    ]
    return ["by sallyport ip:", *lines] if lines else []


def _history_line(version: Version) -> str:
    note = f"  ({version.note})" if version.note else ""
    return f"{version.version:>6}  {_moment(version.applied_at)}  {version.applied_by}  {version.action}{note}"


def _moment(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
