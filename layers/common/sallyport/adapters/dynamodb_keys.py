"""API key records, in the `config` table, and the days on which keys were last used, in `counters`."""

from collections.abc import Mapping
from typing import Any

from sallyport.adapters.aws_client import AwsCall, AwsError

SORT_KEY = "key"
LAST_USED_SORT_KEY = "day"


class ConfigUnavailableError(Exception):
    """The `config` table can't be read. The message is AWS's error code."""


class DynamoDbKeyStore:
    """API key records in the `config` table, under `key#<key id>`."""

    def __init__(self, client: AwsCall, table: str) -> None:
        self._client = client
        self._table = table

    def read_key(self, key_id: str) -> Mapping[str, str | int | None] | None:
        """Give a key's stored attributes, None if there is none. Raises `ConfigUnavailableError`."""
        key = {"pk": {"S": f"key#{key_id}"}, "sk": {"S": SORT_KEY}}
        try:
            answer = self._client.call("GetItem", {"TableName": self._table, "Key": key, "ConsistentRead": True})
        except AwsError as error:
            raise ConfigUnavailableError(error.code) from error
        item = answer.get("Item")
        return None if item is None else read_attributes(item)


class DynamoDbLastUsedStore:
    """Days of last use in the `counters` table, under `used#<key id>`; TTL removes those of keys long unused."""

    def __init__(self, client: AwsCall, table: str) -> None:
        self._client = client
        self._table = table

    def write(self, key_id: str, day: str, expires_at_s: int) -> None:
        """Store a day (ISO 8601, so that text order is time's) unless the same or a later one is there.

        Raises `AwsError`.
        """
        try:
            self._client.call("UpdateItem", self._payload(key_id, day, expires_at_s))
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise

    def _payload(self, key_id: str, day: str, expires_at_s: int) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "Key": {"pk": {"S": f"used#{key_id}"}, "sk": {"S": LAST_USED_SORT_KEY}},
            "UpdateExpression": "SET last_used = :day, expires_at = :expires",
            "ConditionExpression": "attribute_not_exists(last_used) OR last_used < :day",
            "ExpressionAttributeValues": {":day": {"S": day}, ":expires": {"N": str(expires_at_s)}},
        }


def read_attributes(item: Mapping[str, Mapping[str, Any]]) -> dict[str, str | int | None]:
    """Read an item in DynamoDB's typed form. None stands for what is neither a text nor a whole number."""
    return {name: _plain(value) for name, value in item.items()}


def _plain(value: Mapping[str, Any]) -> str | int | None:
    if "S" in value:
        return str(value["S"])
    try:
        return int(value["N"])
    except (KeyError, ValueError):
        return None
