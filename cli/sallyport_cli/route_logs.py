"""Where lines that routes write are read from: CloudWatch Logs, or a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from sallyport_cli.target import Target


class LogLine(NamedTuple):
    """A line. `place` orders those of one function instance: its time in milliseconds, or its number in a file."""

    place: int
    text: str


def stack_log(target: Target, since_s: float, routes: Sequence[str], messages: Sequence[str]) -> Iterator[LogLine]:
    """Give lines with some messages of a stack's routes, since a time in epoch seconds. Raises click's exceptions."""
    stack = stack_of(target)
    client = target.client("logs")
    for route in routes:
        group = f"{groups_prefix(stack)}{route}"
        with logs_errors(f"log group {group}"):
            yield from group_log(client, group, since_s, messages)


def stack_of(target: Target) -> str:
    """Give the stack whose logs are read. Raises click's exception where none is named."""
    if target.stack is None:
        raise click.UsageError("give --stack, whose logs are read, or --log-file")
    return target.stack


def groups_prefix(stack: str) -> str:
    """Give what the names of a stack's log groups begin with."""
    return f"/sallyport/{stack}/"


@contextmanager
def logs_errors(place: str) -> Iterator[None]:
    """Turns botocore's errors into click's. An endpoint may be anything at all, so an answer may be no answer."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"{place}: {error}") from None
    except (ResponseParserError, AttributeError, KeyError, TypeError):
        raise click.ClickException(f"{place}: that endpoint has no CloudWatch Logs") from None


def group_log(client: Any, group: str, since_s: float, messages: Sequence[str]) -> Iterator[LogLine]:
    """Give lines with some messages of a log group. Raises botocore's errors."""
    pattern = " || ".join(f'$.message = "{message}"' for message in messages)
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=int(since_s * 1000), filterPattern=f"{{ {pattern} }}"
    )
    for page in pages:
        for event in page["events"]:
            yield LogLine(int(event.get("timestamp", 0)), event["message"])


def file_log(path: str) -> Iterator[LogLine]:
    """Give a file's lines, `-` for stdin. Raises click's exception."""
    if path == "-":
        yield from _numbered(sys.stdin)
        return
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            yield from _numbered(file)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None


def _numbered(lines: Iterator[str]) -> Iterator[LogLine]:
    for number, line in enumerate(lines, start=1):
        yield LogLine(number, line)
