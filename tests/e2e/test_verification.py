"""What the SDKs see of answers that violate their API or leak: real packages before echoes that do so on purpose."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.support.local_stack import LocalStack

pytestmark = pytest.mark.e2e

SAID: Any = [{"role": "user", "content": "one two three four"}]
SECRETS = re.compile(r"AKIA[A-Z0-9]{16}|4[0-9]{3}[ -]?([0-9]{4}[ -]?){3}")


def strict_stack(provider: str, *more: str) -> LocalStack:
    given = (f"UpstreamProvider={provider}", "RequestsPerMinute=10000", "UpstreamRetries=0", "Models=", *more)
    return LocalStack(*(part for parameter in given for part in ("--parameter", parameter)))


@pytest.fixture(scope="module")
def openai_stack() -> Iterator[LocalStack]:
    with strict_stack("openai", "ResponseVerification=enforce", "LeakGuard=redact", "UnknownFields=refuse") as stack:
        yield stack


@pytest.fixture(scope="module")
def anthropic_stack() -> Iterator[LocalStack]:
    with strict_stack("anthropic", "ResponseVerification=enforce", "LeakGuard=redact") as stack:
        yield stack


@pytest.fixture(scope="module")
def blocking_stack() -> Iterator[LocalStack]:
    with strict_stack("openai", "LeakGuard=block") as stack:
        yield stack


@pytest.fixture
def client(openai_stack: LocalStack) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{openai_stack.url}/v1", api_key=openai_stack.key, max_retries=0) as opened:
        yield opened


@pytest.fixture
def claude(anthropic_stack: LocalStack) -> Iterator[Anthropic]:
    with Anthropic(base_url=anthropic_stack.url, api_key=anthropic_stack.key, max_retries=0) as opened:
        yield opened


def chat(client: OpenAI, model: str, **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=SAID, **options)


def message(client: Anthropic, model: str, **options: Any) -> Any:
    return client.messages.create(model=model, messages=SAID, max_tokens=50, **options)


def chat_text(stream: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def message_text(stream: Any) -> str:
    return "".join(event.delta.text for event in stream if event.type == "content_block_delta")


def test_good_answers_are_what_they_were(client: OpenAI, claude: Anthropic) -> None:
    assert chat(client, "echo").choices[0].message.content == "one two three four"
    assert chat_text(chat(client, "echo", stream=True)) == "one two three four"
    assert client.responses.create(model="echo", input="one two").output_text == "one two"
    assert [item.index for item in client.embeddings.create(model="echo", input=["a", "b"]).data] == [0, 1]
    assert message(claude, "claude-sonnet").content[0].text == "one two three four"
    assert message_text(message(claude, "claude-sonnet", stream=True)) == "one two three four"
    counted = claude.messages.count_tokens(model="claude-sonnet", messages=SAID)
    assert counted.input_tokens > 0


@pytest.mark.parametrize("model", ["fault-schema", "fault-html", "fault-garbage"])
def test_a_broken_whole_answer_is_a_502(client: OpenAI, claude: Anthropic, model: str) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        chat(client, model)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_invalid_response")
    with pytest.raises(anthropic.InternalServerError) as refused:
        message(claude, model)
    assert refused.value.status_code == 502


@pytest.mark.parametrize("model", ["fault-schema", "fault-unfinished"])
def test_a_broken_chat_stream_ends_in_the_sdks_own_error(client: OpenAI, model: str) -> None:
    with pytest.raises(openai.APIError) as caught:
        chat_text(chat(client, model, stream=True))
    assert caught.value.code == "upstream_invalid_response"


@pytest.mark.parametrize("model", ["fault-schema", "fault-order", "fault-unfinished"])
def test_a_broken_stream_ends_in_the_sdks_own_error(client: OpenAI, claude: Anthropic, model: str) -> None:
    with pytest.raises(openai.APIError):
        list(client.responses.create(model=model, input="one two three", stream=True))
    with pytest.raises(anthropic.APIError):
        message_text(message(claude, model, stream=True))


def test_leaks_are_redacted_whole_and_streamed_alike(client: OpenAI, claude: Anthropic) -> None:
    whole = chat(client, "fault-leak").choices[0].message.content
    assert "[aws_access_key]" in whole
    assert "[cards]" in whole
    answered = message(claude, "fault-leak").content[0].text
    texts = [
        whole,
        chat_text(chat(client, "fault-leak", stream=True)),
        answered,
        message_text(message(claude, "fault-leak", stream=True)),
        client.responses.create(model="fault-leak", input="x").output_text,
    ]
    assert texts == [whole] * len(texts)
    assert SECRETS.search(whole) is None


def test_every_event_of_a_response_is_redacted(client: OpenAI) -> None:
    events = list(client.responses.create(model="fault-leak", input="x", stream=True))
    assert all(SECRETS.search(event.model_dump_json()) is None for event in events)
    last = events[-1]
    assert last.type == "response.completed"
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert last.response.output_text == deltas
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))


def test_a_blocked_leak_ends_the_answer(blocking_stack: LocalStack) -> None:
    with OpenAI(base_url=f"{blocking_stack.url}/v1", api_key=blocking_stack.key, max_retries=0) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            chat(client, "fault-leak")
        assert (caught.value.status_code, caught.value.code) == (502, "response_blocked")
        seen: list[str] = []
        with pytest.raises(openai.APIError) as broken:
            seen.extend(chunk.choices[0].delta.content or "" for chunk in chat(client, "fault-leak", stream=True))
        assert broken.value.code == "response_blocked"
        assert SECRETS.search("".join(seen)) is None


def test_an_unknown_field_is_refused_by_its_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, "echo", extra_body={"zebra": 1})
    assert caught.value.param == "zebra"
    assert caught.value.code == "unsupported_field"


def test_by_default_a_violation_passes_and_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with LocalStack("--log-file", str(log)) as stack, OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key) as client:
        raw = client.chat.completions.with_raw_response.create(model="fault-schema", messages=SAID)
    assert raw.status_code == 200
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = [line["response_violations"] for line in lines if "response_violations" in line]
    assert [kind.split()[0] for (kind,) in told] == ["schema"]
