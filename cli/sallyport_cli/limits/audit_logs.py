"""Which of the routes' lines are about reservations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sallyport_cli.limits.reservations import RESERVATION, SETTLEMENT
from sallyport_cli.route_logs import file_log, group_log, stack_log
from sallyport_cli.target import Target

ROUTES: Final = ("chat-completions", "responses", "embeddings", "messages")
"""Those that reserve tokens or money, as their log groups are named."""
_MESSAGES: Final = (RESERVATION, SETTLEMENT)


def lines_of_stack(target: Target, since_s: float) -> Iterator[str]:
    """Give the audit lines of a stack's routes since a time, in epoch seconds. Raises click's exceptions."""
    return (line.text for line in stack_log(target, since_s, ROUTES, _MESSAGES))


def lines_of_group(client: Any, group: str, since_s: float) -> Iterator[str]:
    """Give the audit lines of a log group. Raises botocore's errors."""
    return (line.text for line in group_log(client, group, since_s, _MESSAGES))


def lines_of_file(path: str) -> Iterator[str]:
    """Give a file's lines, `-` for stdin. Raises click's exception."""
    return (line.text for line in file_log(path))
