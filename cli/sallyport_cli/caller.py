"""Who gives an operator's command: what is stored beside what it changed."""

from __future__ import annotations

import getpass
from typing import Any, Final

import click

from sallyport_cli.target import Target

_MAX_LENGTH: Final = 256


def caller_name(target: Target) -> str:
    """The ARN that AWS knows the caller by; this machine's user against an emulator, or where STS can't be asked.

    It is a note and no proof: whoever may write the table may write another name.
    """
    return (None if target.is_local else _arn_at(target)) or _user()


def caller_arn(sts: Any) -> str | None:
    """The ARN by a client of STS, None if there is no answer."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

    try:
        arn = sts.get_caller_identity().get("Arn")
    except (BotoCoreError, ClientError, ResponseParserError, AttributeError, KeyError, TypeError):
        return None
    return str(arn)[:_MAX_LENGTH] if arn else None


def _arn_at(target: Target) -> str | None:
    from botocore.config import Config  # noqa: PLC0415 - boto3 is heavy

    config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
    try:
        return caller_arn(target.client("sts", config))
    except click.ClickException:
        return None


def _user() -> str:
    try:
        return getpass.getuser()[:_MAX_LENGTH]
    except (OSError, KeyError):  # a container's user needn't have a name
        return "unknown"
