"""What a developer does with `make run`: change the policy while the gateway runs, and see what callers get."""

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.local_stack import LocalStack

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "policy.yaml"
WAIT_S = 20
SETTLED_S = 1.5


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(EXAMPLE.read_text())
    return path


@pytest.fixture(scope="module")
def stack(policy: Path) -> Iterator[LocalStack]:
    with LocalStack("--policy", str(policy)) as running:
        yield running


def ask(stack: LocalStack) -> tuple[int, str]:
    """Ask for the models with the demo key; the status, and the error's code if it is one."""
    connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=30)
    try:
        connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {stack.key}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read()).get("error", {}).get("code", "")
    finally:
        connection.close()


def ask_until(stack: LocalStack, expected: tuple[int, str]) -> None:
    """Ask until every answer is the expected one for longer than a process may keep to its last policy.

    Two requests may meet two processes, each of which looks for a new policy once in its interval, here a second.
    """
    deadline = time.monotonic() + WAIT_S
    since: float | None = None
    while since is None or time.monotonic() - since < SETTLED_S:
        found = ask(stack)
        since = (since or time.monotonic()) if found == expected else None
        assert time.monotonic() < deadline, (found, stack.printed)


def test_the_example_lets_the_demo_key_in(stack: LocalStack, policy: Path) -> None:
    assert f"policy     {policy} (change it while this runs)" in stack.printed
    assert ask(stack) == (200, "")


def test_a_change_is_in_force_a_mistake_is_not_and_it_can_be_taken_back(stack: LocalStack, policy: Path) -> None:
    example = EXAMPLE.read_text()
    policy.write_text(example.replace("suspended: false", "suspended: true"))
    ask_until(stack, (403, "tenant_suspended"))
    policy.write_text(example.replace("192.0.2.0/24", "127.0.0.0/8"))
    ask_until(stack, (403, "ip_denied"))
    policy.write_text(example.replace("192.0.2.0/24", "127.0.0.1/8"))
    deadline = time.monotonic() + WAIT_S
    while "stays in force" not in stack.printed:
        assert ask(stack) == (403, "ip_denied")
        assert time.monotonic() < deadline, stack.printed
    policy.write_text(example)
    ask_until(stack, (200, ""))
