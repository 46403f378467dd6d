"""Where `sallyport local` and `sallyport emulator` put policies: the emulated config table, as on AWS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from sallyport_cli.local.parameters import ParameterValue
from sallyport_cli.local.policy_file import PolicyNotStoredError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from sallyport_cli.policy.documents import Document

REFRESH_PARAMETER: Final = "PolicyRefreshSeconds"
_TRIES: Final = 3


class TableStore:
    """The policy in an emulated config table. Somebody else may apply others to it with `sallyport policy`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        from sallyport_cli.policy.table import PolicyTable  # noqa: PLC0415 - only with a policy

        self._table = PolicyTable(client, table)

    def apply(self, document: Document) -> int:
        """Put a document in force, unless it is already, and give its version. Raises `PolicyNotStoredError`."""
        from sallyport_cli.policy.table import PolicyConflictError  # noqa: PLC0415 - only with a policy

        for _ in range(_TRIES):
            with _explained(), suppress(PolicyConflictError):
                return self._table.apply(document, by="sallyport local").version.version
        raise PolicyNotStoredError("others put policies in force at the same time")

    def version(self) -> int:
        """Give the version in force, 0 for none. Raises `PolicyNotStoredError`."""
        with _explained():
            current = self._table.current()
        return 0 if current is None else current.version.version


@contextmanager
def _explained() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - half a second

    from sallyport_cli.policy.table import PolicyTableError  # noqa: PLC0415 - only with a policy

    try:
        yield
    except (BotoCoreError, ClientError, PolicyTableError) as error:
        raise PolicyNotStoredError(f"the emulated AWS: {error}") from None


def describe_refresh(parameters: Mapping[str, ParameterValue]) -> str:
    """Say how soon functions with these parameters go by a new version."""
    seconds = str(parameters.get(REFRESH_PARAMETER, "10"))
    return f"within {seconds} second{'' if seconds == '1' else 's'}"
