"""What became of canaries' requests, in the `counters` table: an item per run, arm and bucket."""

from collections.abc import Iterator, Mapping
from typing import Any

from sallyport.adapters.aws_client import AwsError, AwsWrite
from sallyport.policy.canary_counts import (
    Counted,
    CountsError,
    Outcomes,
    Place,
    amounts,
    partition,
    read_items,
    sort_key,
)


class DynamoDbCanaryCounts:
    """A `CanaryCounts` in a table; TTL removes what is old."""

    def __init__(self, client: AwsWrite, table: str) -> None:
        self._client = client
        self._table = table

    def add(self, place: Place, outcomes: Outcomes, expires_at_s: int) -> None:
        """Add to a bucket's counts, once at most. Raises `CountsError`."""
        try:
            self._client.call("UpdateItem", self._payload(place, outcomes, expires_at_s), repeatable=False)
        except AwsError as error:
            raise CountsError(error.code) from error

    def read(self, canary: str, run: str) -> Counted:
        """Give all counts of a run. Raises `CountsError`."""
        return read_items(self._items(partition(canary, run)))

    def _payload(self, place: Place, outcomes: Outcomes, expires_at_s: int) -> dict[str, Any]:
        added = amounts(outcomes)
        return {
            "TableName": self._table,
            "Key": {
                "pk": {"S": partition(place.canary, place.run)},
                "sk": {"S": sort_key(place.arm, place.bucket)},
            },
            "UpdateExpression": "ADD " + ", ".join(f"#{name} :{name}" for name in added) + " SET expires_at = :expires",
            "ExpressionAttributeNames": {f"#{name}": name for name in added},
            "ExpressionAttributeValues": {
                **{f":{name}": {"N": str(amount)} for name, amount in added.items()},
                ":expires": {"N": str(expires_at_s)},
            },
        }

    def _items(self, pk: str) -> Iterator[Mapping[str, Any]]:
        """Give a partition's items, page by page; a page holds 1 MB."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": pk}},
        }
        while True:
            try:
                page = self._client.call("Query", query)
            except AwsError as error:
                raise CountsError(error.code) from error
            yield from page.get("Items", ())
            if not page.get("LastEvaluatedKey"):
                return
            query = {**query, "ExclusiveStartKey": page["LastEvaluatedKey"]}
