"""What the commands on a stored policy have in common: where, with which errors, and what is said of a change."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import click

from sallyport_cli.policy.bedrock_models import Resolver
from sallyport_cli.policy.documents import Document, PolicyFileError, read_document
from sallyport_cli.policy.effects import GlobalLists, warnings_of
from sallyport_cli.policy.stored import MAX_NOTE_CHARS, Source
from sallyport_cli.policy.table import Change, PolicyConflictError, PolicyTable, PolicyTableError
from sallyport_cli.target import Target, target_options

IN_FORCE: Final = "in force within PolicyRefreshSeconds (10 by default)"
_MAX_LINES: Final = 50


def _read_note(_context: click.Context, _parameter: click.Parameter, note: str) -> str:
    if len(note) > MAX_NOTE_CHARS or not note.isprintable():
        raise click.BadParameter(f"must be at most {MAX_NOTE_CHARS} characters in one line")
    return note


note_option: Final = click.option("--note", default="", callback=_read_note, help="Why; kept in the history.")


class RefusedError(click.ClickException):
    """A refusal whose text says it all, in lines that editors understand; click's own would begin with `Error:`."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the text."""
        click.echo(self.message, file=file or sys.stderr)


def on_target(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say where, given to the command as `target`."""

    @target_options
    @functools.wraps(command)
    def run(
        *, stack: str | None, table: str | None, region: str | None, endpoint_url: str | None, **options: Any
    ) -> None:
        command(target=Target(stack, table, region, endpoint_url), **options)

    return run


@contextmanager
def policy_table(target: Target) -> Iterator[PolicyTable]:
    """Give the policies of a target; what goes wrong with them becomes click's exceptions."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy

    name = target.config_table()
    try:
        yield PolicyTable(target.client("dynamodb"), name)
    except (BotoCoreError, ClientError, PolicyTableError) as error:
        raise click.ClickException(f"table {name}: {error}") from None
    except PolicyConflictError as error:
        raise click.ClickException(str(error)) from None
    except PolicyFileError as error:
        raise click.ClickException(f"this version of sallyport refuses the document in force:\n{error}") from None


def read_policy_file(path: str, *, local: bool, resolve: Resolver | None = None) -> Document:
    """Read and check a file, `-` for stdin; its warnings go to stderr. Raises `RefusedError`.

    `resolve` asks AWS where inference profiles process.
    """
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        name, folder = ("<stdin>", None) if path == "-" else (path, Path(path).parent)
        document = read_document(content.decode("utf-8"), name, local=local, resolve=resolve, folder=folder)
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RefusedError(f"{path}: isn't UTF-8") from None
    except PolicyFileError as error:
        raise RefusedError(str(error)) from None
    for warning in document.warnings:
        click.echo(warning, err=True)
    return document


def read_stored(source: Source) -> Document | None:
    """Read a stored document again, None where there is none.

    Loopback URLs were allowed or not when it was applied. Raises `PolicyFileError` where it was another version of
    Sallyport that took it.
    """
    return _read_again(source.text, source.name) if source.text else None


@functools.lru_cache(maxsize=2)
def _read_again(text: str, name: str) -> Document:
    """A document of 100,000 networks takes a second to read, and several questions are asked of the one in force."""
    return read_document(text, name, local=True, was_taken=True)


def show_differences(lines: Sequence[str]) -> None:
    """Print lines, of very many the first."""
    for line in lines[:_MAX_LINES]:
        print(line)
    if len(lines) > _MAX_LINES:
        print(f"and {len(lines) - _MAX_LINES:,} more changes; `sallyport policy diff` shows all")


def show_warnings(change: Change) -> None:
    """Tell on stderr what a change does to everyone, as far as both documents can be read."""
    before = Source() if change.source_before is None else change.source_before
    for warning in warnings_of(global_lists(before), global_lists(change.source)):
        click.echo(warning, err=True)


def global_lists(source: Source) -> GlobalLists:
    """Give the global lists of what the operator wrote; of a document that this version refuses, nothing."""
    try:
        document = read_stored(source)
    except PolicyFileError:
        document = None
    return GlobalLists.of(None if document is None else document.policy, source.ip)


def show_change(change: Change) -> None:
    """Say which version is in force now."""
    number = change.version.version
    if change.is_restored:
        click.echo("warning: the pointer to the policy in force had vanished; it is restored", err=True)
    print(f"version {number} applied; {IN_FORCE}" if change.is_new else f"version {number} is in force already")
