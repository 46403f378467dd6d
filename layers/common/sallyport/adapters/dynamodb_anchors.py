"""Anchors of audit chains, in the `anchors` table, to which functions may add, and nothing else."""

import time
from typing import Any

from sallyport.adapters.aws_client import AwsCall, AwsError
from sallyport.observability.anchors import Anchor, AnchorError

KEY_PREFIX = "anchors#"
DAY_S = 86_400
_SEQ_DIGITS = 12


class DynamoDbAnchorStore:
    """One item per anchor, under `anchors#<day>` and `<chain>#<number>`; TTL removes it where retention has an end."""

    def __init__(self, client: AwsCall, table: str, retention_days: int = 0) -> None:
        """`retention_days` 0: for ever."""
        self._client = client
        self._table = table
        self._retention_days = retention_days

    def write(self, anchor: Anchor) -> None:
        """Add an anchor. Raises `AnchorError`, also where another one has its place."""
        try:
            self._client.call("PutItem", self._payload(anchor))
        except AwsError as error:
            if error.code == "ConditionalCheckFailedException" and _hash(error) == anchor.hash:
                return  # the first try of this call was carried out
            raise AnchorError(error.code) from error

    def _payload(self, anchor: Anchor) -> dict[str, Any]:
        pk, sk = anchor_key(anchor)
        item = {
            "pk": {"S": pk},
            "sk": {"S": sk},
            "hash": {"S": anchor.hash},
            "function": {"S": anchor.function},
            "at": {"N": str(anchor.at_s)},
        }
        if self._retention_days:
            item["expires_at"] = {"N": str(anchor.at_s + self._retention_days * DAY_S)}
        return {
            "TableName": self._table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


def anchor_key(anchor: Anchor) -> tuple[str, str]:
    """Give an anchor's partition and sort key; text order is that of numbers."""
    return day_key(anchor.at_s), f"{anchor.chain}#{anchor.seq:0{_SEQ_DIGITS}d}"


def day_key(at_s: float) -> str:
    """Give the partition of all anchors of a time's day, which is UTC's."""
    return KEY_PREFIX + time.strftime("%Y-%m-%d", time.gmtime(at_s))


def _hash(error: AwsError) -> str:
    item = error.answer.get("Item")
    return str(item.get("hash", {}).get("S", "")) if isinstance(item, dict) else ""
