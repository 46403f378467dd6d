"""Limits as an app developer meets them: the real `openai` package, its own retries, and streams with usage."""

import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import DefaultHttpxClient, OpenAI

from tests.support.local_stack import LocalStack

pytestmark = pytest.mark.e2e

MESSAGES: Any = [{"role": "user", "content": "one two three four"}]
WAIT_S = 20
RESERVED = 1000
POLICY = """
version: 1
limits:
  - {name: one-in-two-seconds, scope: key, unit: requests, limit: 1, window: 2s, match: {models: [gpt-4o-mini]}}
  - {name: budget, scope: tenant, unit: usd, limit: 0.0001, window: month, match: {models: [gpt-4o]}}
  - {name: tokens, scope: key, unit: tokens, limit: 30000, window: 1h, match: {models: [echo, fault-cut]}}
models:
  echo: {max_output_tokens: 1000}
  fault-cut: {max_output_tokens: 1000}
  gpt-4o-mini: {max_output_tokens: 1000}
  gpt-4o: {max_output_tokens: 20, price: {input: 2.5, output: 10}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(POLICY)
    with LocalStack("--policy", str(path)) as running:
        yield running


class Requests:
    """Counts what the SDK sends."""

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, _: object) -> None:
        self.sent += 1


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
def client(stack: LocalStack, requests: Requests) -> Iterator[OpenAI]:
    http_client = DefaultHttpxClient(event_hooks={"request": [requests]})
    with OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=3, http_client=http_client) as opened:
        yield opened


def chat(client: OpenAI, model: str, **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=MESSAGES, **options)


def spend(client: OpenAI, times: int) -> None:
    for _ in range(times):
        chat(client, "gpt-4o", max_tokens=4)


def remaining_tokens(client: OpenAI) -> int:
    """Ask with a length of one token, which is reserved and then settled."""
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=MESSAGES, max_tokens=1)
    return int(raw.headers["x-ratelimit-remaining-tokens"])


def assert_settled(client: OpenAI, before: int) -> None:
    """Wait until little of the thousand tokens and more that were reserved is left: a function settles afterwards."""
    deadline = time.monotonic() + WAIT_S
    while before - remaining_tokens(client) >= RESERVED // 2:
        assert time.monotonic() < deadline


def test_the_sdks_own_retry_waits_as_long_as_it_is_told(client: OpenAI, requests: Requests) -> None:
    for _ in range(2):
        assert chat(client, "gpt-4o-mini").choices[0].message.content == "one two three four"
    assert requests.sent == 3  # the second was refused once, and came back when there was room


def test_a_budget_that_is_used_up_is_not_tried_again(client: OpenAI, requests: Requests) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        spend(client, times=10)
    answered = requests.sent - 1
    assert 1 <= answered <= 3
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "budget" in caught.value.message


def test_a_request_that_alone_is_over_a_limit_is_not_tried_again(client: OpenAI, requests: Requests) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        chat(client, "echo", max_tokens=1_000_000)
    assert (caught.value.status_code, caught.value.code) == (413, "request_over_limit")
    assert requests.sent == 1


def test_a_stream_shows_no_usage_to_a_client_that_did_not_ask(client: OpenAI) -> None:
    chunks = list(chat(client, "echo", stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None and "usage" not in chunk.model_fields_set for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three four"


def test_a_stream_shows_usage_to_a_client_that_asked(client: OpenAI) -> None:
    chunks = list(chat(client, "echo", stream=True, stream_options={"include_usage": True}))
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 4)
    assert "usage" in chunks[0].model_fields_set


@pytest.mark.parametrize("stream", [False, True])
def test_a_reservation_is_settled_to_what_was_used(client: OpenAI, stream: bool) -> None:
    before = remaining_tokens(client)
    answer = chat(client, "echo", stream=stream)
    if stream:
        assert list(answer)
    assert_settled(client, before)


def test_a_stream_that_breaks_off_is_settled_to_what_was_seen(client: OpenAI) -> None:
    before = remaining_tokens(client)
    with pytest.raises(openai.APIError):
        list(chat(client, "fault-cut", stream=True))
    assert_settled(client, before)


def test_a_client_that_hangs_up_is_settled_too(client: OpenAI) -> None:
    before = remaining_tokens(client)
    stream = chat(client, "echo", stream=True)
    next(iter(stream))
    stream.close()
    assert_settled(client, before)


def test_the_models_on_offer_are_the_policys(client: OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"echo", "fault-cut", "gpt-4o-mini", "gpt-4o"}
