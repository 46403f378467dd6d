"""Where the routes' audit lines are read from: CloudWatch Logs, or a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from sallyport_cli.limits.reservations import RESERVATION, SETTLEMENT
from sallyport_cli.target import Target

ROUTES: Final = ("chat-completions", "embeddings")
"""Those that reserve, as their log groups are named."""
_PATTERN: Final = f'{{ $.message = "{RESERVATION}" || $.message = "{SETTLEMENT}" }}'


def lines_of_stack(target: Target, since_s: float) -> Iterator[str]:
    """Give the audit lines of a stack's routes since a time, in epoch seconds. Raises click's exceptions."""
    if target.stack is None:
        raise click.UsageError("give --stack, whose logs are read, or --log-file")
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

    client = target.client("logs")
    for route in ROUTES:
        group = f"/sallyport/{target.stack}/{route}"
        try:
            yield from lines_of_group(client, group, since_s)
        except (BotoCoreError, ClientError) as error:
            raise click.ClickException(f"log group {group}: {error}") from None
        except (ResponseParserError, AttributeError, KeyError, TypeError):  # an endpoint may be anything at all
            raise click.ClickException(f"log group {group}: that endpoint has no CloudWatch Logs") from None


def lines_of_group(client: Any, group: str, since_s: float) -> Iterator[str]:
    """Give the audit lines of a log group. Raises botocore's errors."""
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=int(since_s * 1000), filterPattern=_PATTERN
    )
    for page in pages:
        for event in page["events"]:
            yield event["message"]


def lines_of_file(path: str) -> Iterator[str]:
    """Give a file's lines, `-` for stdin. Raises click's exception."""
    if path == "-":
        yield from sys.stdin
        return
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
