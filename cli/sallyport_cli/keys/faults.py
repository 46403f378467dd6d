"""What can go wrong between the command and a table, told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def dynamodb_errors(table: str) -> Iterator[None]:
    """Turns botocore's errors into click's. An endpoint may be anything at all, so an answer may be no answer."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

    try:
        yield
    except (ResponseParserError, AttributeError, KeyError, TypeError):  # botocore's parser takes any JSON for an object
        raise not_dynamodb(table) from None
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"table {table}: {error}") from None


def not_dynamodb(table: str) -> click.ClickException:
    """The error of an endpoint that answers, but not as DynamoDB does."""
    return click.ClickException(f"table {table}: what answers there isn't DynamoDB")
