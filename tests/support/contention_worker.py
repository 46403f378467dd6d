"""`python -m tests.support.contention_worker 2 8 32`: processes that ask a limit all at once.

It forks as many as the greatest number, once, for their start costs more than what they do. A line of JSON on standard
input is a job; its answer on standard output is what came of it in each process. Python's library and the layer are all
it imports, so that any environment can run it.
"""

import importlib
import json
import multiprocessing
import random
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, Protocol

from sallyport.adapters.aws_client import DYNAMODB, AwsClient, AwsError
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.limits.sliding import SlidingLimiter
from sallyport.policy.limit_rules import LimitRule, parse_window, rule_name

PATIENCE_S = 60.0
LOCAL_AWS = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

type Job = Mapping[str, Any]


class Contender(Protocol):
    """A limiter of one process. `timeouts`: answers that it didn't get, of writes that were made."""

    timeouts: int

    def attempt(self, number: int) -> bool:
        """Ask for the process's call of that number, and say whether it is admitted."""


class UnreliableClient:
    """Comes late by `delay_ms` (from, to), and of every write's answers loses the share `lose`.

    A lost answer is a timeout, and is handled as `AwsClient` handles one: one more try if that is allowed.
    """

    def __init__(self, client: AwsClient, delay_ms: Sequence[float], lose: float, chance: random.Random) -> None:
        self._client = client
        self._delay_ms = delay_ms
        self._lose = lose
        self._chance = chance
        self.timeouts = 0

    def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
        """Call as the client does. Raises `AwsError`."""
        try:
            return self._call_once(operation, payload, repeatable)
        except AwsError as error:
            if error.code != "Timeout" or not repeatable:
                raise
        return self._call_once(operation, payload, repeatable)

    def _call_once(self, operation: str, payload: Mapping[str, Any], repeatable: bool) -> dict[str, Any]:
        if any(self._delay_ms):
            time.sleep(self._chance.uniform(*self._delay_ms) / 1000)
        answer = self._client.call(operation, payload, repeatable=repeatable)
        if self._chance.random() < self._lose:
            self.timeouts += 1
            raise AwsError("Timeout")
        return answer


class Sliding:
    """The gateway's limiter with a client and a memory of its own, as a function's instance has.

    `settle`, where the job has it: what is added to each admission's charge before the next one is asked for.
    """

    def __init__(self, job: Job, chance: random.Random) -> None:
        client = AwsClient(
            DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": job["url"]}, timeout_s=PATIENCE_S, total_s=PATIENCE_S
        )
        self._client = UnreliableClient(client, job.get("delay_ms", (0, 0)), job.get("lose", 0.0), chance)
        self._job = job
        self._rules = [read_rule(*rule) for rule in job["rules"]]
        self._now_ms = 0
        self._limiter = SlidingLimiter(DynamoDbCounterStore(self._client, job["table"]), lambda: self._now_ms)

    @property
    def timeouts(self) -> int:
        """Count the lost answers."""
        return self._client.timeouts

    def attempt(self, number: int) -> bool:
        """Ask at the time that the job has for this call; settle what is admitted."""
        self._now_ms = self._job["clock_ms"][number]
        decision = self._limiter.admit(self._job["member"], self._rules, self._job["cost"])
        if decision.admitted and "settle" in self._job:
            self._limiter.settle(decision.receipts[0], self._job["settle"])
        return decision.admitted


def read_rule(unit: str, limit: int, window: str) -> LimitRule:
    """Give a key's rule."""
    length = parse_window(window)
    return LimitRule(rule_name(("key",), unit, length), ("key",), unit, limit, length)


def main(sizes: Sequence[int]) -> None:
    """Serve jobs until standard input ends."""
    context = multiprocessing.get_context("fork")
    barriers = {size: context.Barrier(size) for size in sizes}
    pipes = []
    for number in range(max(sizes)):
        mine, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, barriers, number), daemon=True).start()
        pipes.append(mine)
    for line in sys.stdin:
        job = json.loads(line)
        taking_part = pipes[: job["processes"]]
        for pipe in taking_part:
            pipe.send(job)
        sys.stdout.write(json.dumps([pipe.recv() for pipe in taking_part]) + "\n")
        sys.stdout.flush()


def _serve(pipe: Connection, barriers: Mapping[int, Barrier], number: int) -> None:
    while True:
        job = pipe.recv()
        module, _, name = job["contender"].partition(":")
        chance = random.Random(f"{job['seed']} {number}")  # noqa: S311 - it is to be the same in every run
        contender = getattr(importlib.import_module(module), name)(job, chance)
        barriers[job["processes"]].wait(PATIENCE_S)
        pipe.send(_take_part(contender, len(job["clock_ms"])))


def _take_part(contender: Contender, calls: int) -> dict[str, Any]:
    admitted, errors = 0, []
    for number in range(calls):
        try:
            admitted += contender.attempt(number)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be seen by who counts
            errors.append(repr(error))
    return {"admitted": admitted, "errors": errors, "timeouts": contender.timeouts}


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]])
