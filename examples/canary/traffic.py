"""Plays users of an app, for the tutorial of docs/canary.md: chats by the openai SDK, and each second what came back.

    SALLYPORT_KEY=sp_... .venv/bin/python examples/canary/traffic.py [--rate 20] [--users 200] [--seconds N]

Nothing is retried, so that every error is seen.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import random
import signal
import sys
import threading
import time
from collections import Counter

import openai

WORKERS = 8
CANARY_HEADER = "x-sallyport-canary"


def main() -> None:
    """Send so many requests a second, until Ctrl-C or the end of the time."""
    options = read_options()
    outcomes: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    turns: queue.Queue[int] = queue.Queue(maxsize=WORKERS)
    with openai.OpenAI(base_url=f"{options.url}/v1", api_key=os.environ["SALLYPORT_KEY"], max_retries=0) as client:
        for _ in range(WORKERS):
            threading.Thread(target=work, args=(client, turns, outcomes), daemon=True).start()
        send(options, turns, outcomes)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Plays users of an app behind Sallyport.")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="The gateway's.")
    parser.add_argument("--rate", type=float, default=20.0, help="Requests per second.")
    parser.add_argument("--users", type=int, default=200, help="As many different x-user headers.")
    parser.add_argument("--seconds", type=int, default=0, help="How long; 0: until Ctrl-C.")
    return parser.parse_args()


def send(options: argparse.Namespace, turns: queue.Queue[int], outcomes: queue.SimpleQueue[tuple[str, str]]) -> None:
    """Hand out the users' turns in time, and print each second what came back."""
    print(f"{'':8}  {'stable':>6}  {'failed':>6}    {'canary':>6}  {'failed':>6}", flush=True)
    began_s = told_s = time.monotonic()
    for number in itertools.count():
        if options.seconds and time.monotonic() - began_s >= options.seconds:
            return
        time.sleep(max(0.0, began_s + number / options.rate - time.monotonic()))
        turns.put(random.randrange(options.users))  # noqa: S311 - no secret
        if time.monotonic() - told_s >= 1:
            told_s = time.monotonic()
            tell(outcomes)


def work(client: openai.OpenAI, turns: queue.Queue[int], outcomes: queue.SimpleQueue[tuple[str, str]]) -> None:
    """Ask as one user after the other."""
    while True:
        outcomes.put(ask(client, f"user-{turns.get()}"))


def ask(client: openai.OpenAI, user: str) -> tuple[str, str]:
    """Ask once; the arm that answered, and whether it did well."""
    try:
        answer = client.chat.completions.with_raw_response.create(
            model="echo", messages=[{"role": "user", "content": "Hello, world!"}], extra_headers={"x-user": user}
        )
    except openai.APIStatusError as error:
        return arm_of(error.response.headers.get(CANARY_HEADER)), "failed"
    except openai.APIConnectionError as error:
        print(error, file=sys.stderr)
        return "stable", "failed"
    return arm_of(answer.headers.get(CANARY_HEADER)), "ok"


def arm_of(header: str | None) -> str:
    """Read an answer's header, such as `next=canary`."""
    return (header or "=stable").partition("=")[2]


def tell(outcomes: queue.SimpleQueue[tuple[str, str]]) -> None:
    """Print a line of all that has come back since the last one."""
    counts: Counter[tuple[str, str]] = Counter()
    while not outcomes.empty():
        counts[outcomes.get()] += 1
    sums = [counts[arm, "ok"] + counts[arm, "failed"] for arm in ("stable", "canary")]
    print(
        f"{time.strftime('%H:%M:%S')}  {sums[0]:>6}  {counts['stable', 'failed'] or '':>6}"
        f"    {sums[1] or '':>6}  {counts['canary', 'failed'] or '':>6}",
        flush=True,
    )


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
