"""What the providers' own SDKs read from a stream whose leaks were redacted."""

import httpx2
from anthropic import Anthropic
from openai import OpenAI

from sallyport.verification.leaks.stream import LeakStream
from tests.unit.verification.leaks.test_leak_stream import CARD, REDACTING, chat, events_of, message, response

PARTS = ["The card is ", CARD[:6], CARD[6:13], CARD[13:], " and sk", "-"]
WANTED = "The card is [cards] and sk-"


def answering(route: str, raw: bytes) -> httpx2.Client:
    stream = LeakStream(route, REDACTING)
    sent = b"".join([*map(stream.feed, events_of(raw)), stream.end()])
    headers = {"content-type": "text/event-stream"}
    return httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=sent)))


def test_openais_sdk_reads_a_redacted_chat() -> None:
    with answering("chat_completions", chat(PARTS)) as http:
        client = OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)
        messages = [{"role": "user", "content": "?"}]
        with client.chat.completions.stream(model="m", messages=messages) as stream:  # type: ignore[arg-type]
            assert stream.get_final_completion().choices[0].message.content == WANTED


def test_openais_sdk_reads_a_redacted_response() -> None:
    with answering("responses", response(PARTS)) as http:
        client = OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http, max_retries=0)
        stream = client.responses.create(model="m", input="?", stream=True)
        deltas = [event for event in stream if event.type in {"response.output_text.delta", "response.completed"}]
    assert "".join(d.delta for d in deltas[:-1] if getattr(d, "item_id", "") == "i") == WANTED  # type: ignore[union-attr]
    assert deltas[-1].response.output_text == WANTED  # type: ignore[union-attr]


def test_anthropics_sdk_reads_a_redacted_message() -> None:
    with answering("messages", message(PARTS)) as http:
        client = Anthropic(api_key="k", base_url="http://gateway", http_client=http, max_retries=0)
        with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as stream:
            assert stream.get_final_text() == WANTED
