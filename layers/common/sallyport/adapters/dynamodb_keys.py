"""API key records, in the `config` table."""

from collections.abc import Mapping

from sallyport.adapters.aws_client import AwsCall, AwsError

SORT_KEY = "key"


class ConfigUnavailableError(Exception):
    """The `config` table can't be read. The message is AWS's error code."""


class DynamoDbKeyStore:
    """API key records in the `config` table, under `key#<key id>`."""

    def __init__(self, client: AwsCall, table: str) -> None:
        self._client = client
        self._table = table

    def read_key(self, key_id: str) -> Mapping[str, str | int] | None:
        """Give a key's stored attributes, None if there is none. Raises `ConfigUnavailableError`."""
        key = {"pk": {"S": f"key#{key_id}"}, "sk": {"S": SORT_KEY}}
        try:
            answer = self._client.call("GetItem", {"TableName": self._table, "Key": key, "ConsistentRead": True})
        except AwsError as error:
            raise ConfigUnavailableError(error.code) from error
        item = answer.get("Item")
        return None if item is None else {name: _plain(value) for name, value in item.items()}


def _plain(value: Mapping[str, str]) -> str | int:
    """Read an attribute value that is a string or a whole number; anything else reads as an empty string."""
    return int(value["N"]) if "N" in value else str(value.get("S", ""))
