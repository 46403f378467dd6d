"""What tests of canaries share: upstreams that fail when told to, users who ask, a gateway that may be restarted."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, NamedTuple, Self

import boto3
import openai
from openai import OpenAI

from sallyport.policy.canary_rules import CanaryState
from sallyport_cli.canary.state_table import CanaryTable
from tests.support.aws import CONFIG_TABLE, ROOT
from tests.support.local_stack import LocalStack

DEADLINE_S = 120
SETTLED_S = 1.5
MESSAGES: Any = [{"role": "user", "content": "one two three"}]
STABLE, CANARY = "stable", "canary"


class Answer(NamedTuple):
    """What a user was given: by which arm, and with which status."""

    user: str
    arm: str
    status: int

    @property
    def is_error(self) -> bool:
        return self.status >= 400


class Echo:
    """An echo upstream that keeps its port over restarts."""

    def __init__(self, *arguments: str) -> None:
        self.port = "0"
        self._start(arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def restart(self, *arguments: str) -> None:
        """Have it fail otherwise, at the same place."""
        self._end()
        self._start(arguments)

    def _start(self, arguments: Iterable[str]) -> None:
        self._process = start(["sallyport_cli.main", "echo-upstream", "--port", self.port, *arguments])
        self.port = ready_url(self._process).rpartition(":")[2]

    def _end(self) -> None:
        end(self._process)


def start(arguments: list[str]) -> "subprocess.Popen[str]":
    """Start `python -m arguments`."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ready_url(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("ready "), line
    return line.removeprefix("ready ").strip()


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


class Gateway:
    """A running gateway with the log of its functions, and what its users and operators do."""

    def __init__(self, stack: LocalStack, log: Path, cleanup: ExitStack) -> None:
        self.stack = stack
        self._log = log
        self._rounds = 0
        made = OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0, timeout=DEADLINE_S)
        self.openai = cleanup.enter_context(made)
        dynamodb = boto3.client("dynamodb", endpoint_url=stack.emulator_url, region_name="us-east-1")
        self.states = CanaryTable(dynamodb, CONFIG_TABLE)

    def state(self, canary: str = "next") -> CanaryState:
        """How far the canary has come."""
        return self.states.read().states[canary]

    def guard_runs(self) -> int:
        """How often the guard has run up to now."""
        return self._log.read_text().count('"CanaryGuardRuns":')

    def sallyport(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "sallyport_cli.main", *arguments, "--endpoint-url", self.stack.emulator_url]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    def canary(self, *arguments: str) -> str:
        done = self.sallyport("canary", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def told(self, *arguments: str) -> Any:
        """What `sallyport canary ... --json` says."""
        return json.loads(self.canary(*arguments, "--json"))

    def ask(self, client: OpenAI, user: str, **headers: str) -> Answer:
        """Ask as a user; every other one by a stream, which is read to its end."""
        create = client.chat.completions.with_raw_response.create
        sent = {"x-user": user, **headers}
        try:
            raw = create(model="echo", messages=MESSAGES, stream=is_streamer(user), extra_headers=sent)
            said: Any = raw.parse()
            text = read(said)
        except openai.APIStatusError as error:
            return Answer(user, arm_of(error.response.headers), error.status_code)
        assert text == MESSAGES[0]["content"]
        return Answer(user, arm_of(raw.headers), raw.http_response.status_code)

    def round(self, users: Sequence[str], key: str = "", **headers: str) -> list[Answer]:
        """Each user asks once, in an order of its own: what fails every third time isn't to meet the same ones."""
        self._rounds += 1
        shuffled = Random(self._rounds).sample(users, len(users))  # noqa: S311 - no secret
        client = self.openai.with_options(api_key=key or self.stack.key)
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda user: self.ask(client, user, **headers), shuffled))

    def rounds_until(
        self, users: Sequence[str], reached: Callable[[list[Answer]], bool], **headers: str
    ) -> list[Answer]:
        """Have all users ask until a round is as wanted; gives every answer."""
        deadline, answers = time.monotonic() + DEADLINE_S, list[Answer]()
        while True:
            found = self.round(users, **headers)
            answers += found
            if reached(found):
                return answers
            assert time.monotonic() < deadline, (Counter(found), self.stack.printed[-2000:])

    def settle(self, users: Sequence[str], reached: Callable[[list[Answer]], bool]) -> list[Answer]:
        """Have users ask until all is as wanted for longer than a process keeps to what it knows; the last round."""
        since: list[float] = []

        def has_settled(found: list[Answer]) -> bool:
            since[:] = (since or [time.monotonic()]) if reached(found) else []
            return bool(since) and time.monotonic() - since[0] > SETTLED_S

        return self.rounds_until(users, has_settled)[-len(users) :]


def read(said: Any) -> str:
    """Give what was said, streamed or not."""
    if hasattr(said, "choices"):
        return str(said.choices[0].message.content)
    return "".join(chunk.choices[0].delta.content or "" for chunk in said if chunk.choices)


def is_streamer(user: str) -> bool:
    return int(user.rpartition("-")[2]) % 2 == 0


def arm_of(headers: Any) -> str:
    """Read an answer's header, such as `next=canary`."""
    return str(headers.get("x-sallyport-canary", "=none")).partition("=")[2]


def arms(answers: Iterable[Answer]) -> dict[str, set[str]]:
    """Give the arms that each user was answered by."""
    found: dict[str, set[str]] = {}
    for answer in answers:
        found.setdefault(answer.user, set()).add(answer.arm)
    return found


def are_all(arm: str) -> Callable[[list[Answer]], bool]:
    """Say whether all of a round are this arm's, and good."""
    return lambda found: all(answer.arm == arm and not answer.is_error for answer in found)


def local_stack(cleanup: ExitStack, log: Path, *options: str, **environ: str) -> Gateway:
    """Start a gateway whose guard runs twice a second."""
    told = ("--schedule-seconds", "0.5", "--log-file", str(log), *options)
    return Gateway(cleanup.enter_context(LocalStack(*told, environ=environ)), log, cleanup)
