"""Other ways to keep a limit, for `bench.limits_crowd`; each is one process's part of a `tests.support.contention` job.

They run in .venv-bench, where `limits` is installed and the project is not.
"""

import random

from limits import RateLimitItemPerHour
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from tests.support.contention_worker import LOCAL_AWS, PATIENCE_S, Job, UnreliableClient

STRATEGIES = {"moving window": MovingWindowRateLimiter, "sliding counter": SlidingWindowCounterRateLimiter}


class ReadThenWrite:
    """Reads how many there were, and adds one if that is below the limit: two requests, and nothing between them."""

    timeouts = 0

    def __init__(self, job: Job, chance: random.Random) -> None:
        environ = {**LOCAL_AWS, "AWS_ENDPOINT_URL": job["url"]}
        client = AwsClient(DYNAMODB, environ, timeout_s=PATIENCE_S, total_s=PATIENCE_S)
        self._client = UnreliableClient(client, job.get("delay_ms", (0, 0)), 0.0, chance)
        self._item = {"TableName": job["table"], "Key": {"pk": {"S": job["member"]}, "sk": {"S": "window"}}}
        self._limit = job["limit"]

    def attempt(self, number: int) -> bool:
        """Ask once."""
        del number
        item = self._client.call("GetItem", {**self._item, "ConsistentRead": True}).get("Item", {})
        if int(item.get("used", {"N": "0"})["N"]) >= self._limit:
            return False
        one = {":one": {"N": "1"}}
        self._client.call(
            "UpdateItem", {**self._item, "UpdateExpression": "ADD used :one", "ExpressionAttributeValues": one}
        )
        return True


class Limits:
    """The package `limits`, by the job's strategy: in this process's memory, or where the job has it, on a server."""

    timeouts = 0

    def __init__(self, job: Job, chance: random.Random) -> None:
        del chance
        storage = RedisStorage(job["redis"]) if job["redis"] else MemoryStorage()
        self._limiter: RateLimiter = STRATEGIES[job["strategy"]](storage)
        self._limit = RateLimitItemPerHour(job["limit"])
        self._member = job["member"]

    def attempt(self, number: int) -> bool:
        """Ask once."""
        del number
        return bool(self._limiter.hit(self._limit, self._member))
