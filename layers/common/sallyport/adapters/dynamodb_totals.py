"""Daily totals of usage, in the `counters` table."""

from typing import Any

from sallyport.adapters.aws_client import AwsError, AwsWrite
from sallyport.limits.totals import Total, TotalsError

KEY_PREFIX = "usage#"


class DynamoDbTotalsStore:
    """One item per tenant, day and model, under `usage#<tenant>` and `<day>#<model>`; TTL removes it."""

    def __init__(self, client: AwsWrite, table: str) -> None:
        self._client = client
        self._table = table

    def add(self, tenant: str, day: str, model: str, total: Total, expires_at_s: int) -> None:
        """Add to a day's total, once at most. Raises `TotalsError`."""
        try:
            self._client.call("UpdateItem", self._payload(tenant, day, model, total, expires_at_s), repeatable=False)
        except AwsError as error:
            raise TotalsError(error.code) from error

    def _payload(self, tenant: str, day: str, model: str, total: Total, expires_at_s: int) -> dict[str, Any]:
        amounts = total._asdict()
        values = {f":{name}": {"N": str(amount)} for name, amount in amounts.items()}
        return {
            "TableName": self._table,
            "Key": {"pk": {"S": KEY_PREFIX + tenant}, "sk": {"S": f"{day}#{model}"}},
            "UpdateExpression": "ADD "
            + ", ".join(f"#{name} :{name}" for name in amounts)
            + " SET #tenant = :tenant, #model = :model, expires_at = :expires",
            "ExpressionAttributeNames": {f"#{name}": name for name in (*amounts, "tenant", "model")},
            "ExpressionAttributeValues": {
                **values,
                ":tenant": {"S": tenant},
                ":model": {"S": model},
                ":expires": {"N": str(expires_at_s)},
            },
        }
