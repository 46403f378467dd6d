"""The echo upstream, asked by the OpenAI SDK."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from tests.functional.local.stub import DEADLINE_S

HELLO: ChatCompletionUserMessageParam = {"role": "user", "content": "Hello, big world!"}


@contextmanager
def echo(*arguments: str) -> Iterator[openai.OpenAI]:
    """A client of an echo upstream that runs for the block's time."""
    command = [sys.executable, "-m", "sallyport_cli.main", "echo-upstream", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("ready ").strip()
        try:
            with openai.OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=DEADLINE_S) as client:
                yield client
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with echo() as running:
        yield running


def test_a_buffered_answer_says_what_was_said(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="echo", messages=[HELLO])
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello, big world!", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 3, 6)


def test_max_tokens_ends_the_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="echo", messages=[HELLO], max_tokens=2)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello, big", "length")


@pytest.mark.parametrize("include", [True, False])
def test_a_stream_has_usage_when_asked_for(client: openai.OpenAI, include: bool) -> None:
    options: openai.types.chat.ChatCompletionStreamOptionsParam = {"include_usage": include}
    stream = client.chat.completions.create(model="echo", messages=[HELLO], stream=True, stream_options=options)
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello, big world!"
    assert [c.usage.total_tokens for c in chunks if c.usage] == ([6] if include else [])


def test_vectors_depend_on_the_text_alone_in_either_encoding(client: openai.OpenAI) -> None:
    base64 = client.embeddings.create(model="echo-embedding", input=["a", "b"], dimensions=8).data
    floats = client.embeddings.create(model="echo-embedding", input="a", dimensions=8, encoding_format="float").data
    assert base64[0].embedding == pytest.approx(floats[0].embedding, rel=1e-6)
    assert base64[0].embedding != base64[1].embedding
    assert sum(value * value for value in floats[0].embedding) == pytest.approx(1)


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert client.models.retrieve("echo").id in {model.id for model in client.models.list()}
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("fault-429", openai.RateLimitError),
        ("fault-503", openai.InternalServerError),
        ("fault-cut", openai.APIConnectionError),
    ],
)
def test_a_models_name_asks_for_a_fault(client: openai.OpenAI, model: str, error: type[openai.OpenAIError]) -> None:
    with pytest.raises(error):
        client.chat.completions.create(model=model, messages=[HELLO])


def test_a_stalled_stream_sends_no_more(client: openai.OpenAI) -> None:
    impatient = client.with_options(timeout=0.3)
    with pytest.raises(Exception, match=r"(?i)timed? ?out"):
        list(impatient.chat.completions.create(model="fault-stall", messages=[HELLO], stream=True))


def test_a_broken_request_is_refused_as_openai_does(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="echo", messages=[])
    assert refused.value.param == "messages"


def test_a_required_key_is_required() -> None:
    with echo("--require-key", "right") as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
        assert client.with_options(api_key="right").models.list().data


def test_flags_apply_to_every_call() -> None:
    with echo("--status", "500") as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="echo", messages=[HELLO])
    with echo("--cut-after", "1") as client, pytest.raises(openai.APIConnectionError):
        list(client.chat.completions.create(model="echo", messages=[HELLO], stream=True))


def outcomes(client: openai.OpenAI, model: str, calls: int) -> list[int]:
    """Give the status of each of so many calls, one after the other."""
    statuses = []
    for _ in range(calls):
        try:
            client.chat.completions.create(model=model, messages=[HELLO])
        except openai.APIStatusError as error:
            statuses.append(error.status_code)
        else:
            statuses.append(200)
    return statuses


@pytest.mark.parametrize(("arguments", "status"), [((), 500), (("--status", "503"), 503)])
def test_every_third_call_fails_and_no_other(arguments: tuple[str, ...], status: int) -> None:
    with echo("--fail-every", "3", *arguments) as client:
        assert outcomes(client, "echo", 7) == [200, 200, status, 200, 200, status, 200]


def test_a_fault_of_a_models_name_waits_for_no_turn() -> None:
    with echo("--fail-every", "3") as client:
        assert outcomes(client, "fault-502", 2) == [502, 502]
        assert outcomes(client, "echo", 3) == [200, 200, 500]


def test_key_sets_are_served_under_their_names(tmp_path: Path) -> None:
    for name in ("jwks.json", "jwks-other.json"):
        (tmp_path / name).write_text(json.dumps({"keys": [], "name": name}))
    with echo(*(part for path in tmp_path.iterdir() for part in ("--jwks", str(path)))) as running:
        for name in ("jwks.json", "jwks-other.json"):
            answer = running.get(f"{str(running.base_url).removesuffix('v1/')}{name}", cast_to=object)
            assert answer == {"keys": [], "name": name}
