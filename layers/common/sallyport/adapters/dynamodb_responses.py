"""Owners of stored responses in the counters table: `response#<SHA-256 of the id>` / `owner`, for 30 days."""

import hashlib
import time
from collections.abc import Callable

from sallyport.adapters.aws_client import AwsCall, AwsError
from sallyport.routing.stored_responses import Owner, StoreUnavailableError

KEPT_S = 30 * 86_400
"""As long as OpenAI keeps a response ("Conversation state")."""


class DynamoDbResponseStore:
    """A `ResponseStore` in a table."""

    def __init__(self, client: AwsCall, table: str, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._now = now

    def read(self, response_id: str) -> Owner | None:
        """Give the owner, None for an id that isn't known. Raises `StoreUnavailableError`."""
        payload = {"TableName": self._table, "Key": _key(response_id), "ConsistentRead": True}
        try:
            item = self._client.call("GetItem", payload).get("Item")
            return None if item is None else Owner(item["tenant"]["S"], item["target"]["S"])
        except AwsError as error:
            raise StoreUnavailableError(error.code) from error
        except (KeyError, TypeError):
            raise StoreUnavailableError("InvalidItem") from None

    def write(self, response_id: str, owner: Owner) -> None:
        """Keep an owner; an id that somebody has already stays theirs. Raises `StoreUnavailableError`."""
        item = {
            **_key(response_id),
            "tenant": {"S": owner.tenant},
            "target": {"S": owner.target},
            "expires_at": {"N": str(int(self._now()) + KEPT_S)},
        }
        payload = {"TableName": self._table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
        try:
            self._client.call("PutItem", payload)
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":  # there already: a second try, or an upstream's mistake
                raise StoreUnavailableError(error.code) from error


def _key(response_id: str) -> dict[str, dict[str, str]]:
    digest = hashlib.sha256(response_id.encode(errors="surrogatepass")).hexdigest()
    return {"pk": {"S": f"response#{digest}"}, "sk": {"S": "owner"}}
