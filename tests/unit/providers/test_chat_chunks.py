"""Chat answers as OpenAI's own SDK reads them."""

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from sallyport.providers.chat_chunks import (
    MAX_ERROR_MESSAGE_LENGTH,
    CalledTool,
    ChatStream,
    chat_completion,
    chat_error,
)
from sallyport.providers.stream_usage import without_usage
from sallyport.providers.usage import BodyUsage, ReportedUsage, StreamUsage

USED = ReportedUsage(7, 3, 4)


def stream(*, include_usage: bool = True) -> ChatStream:
    return ChatStream("chatcmpl-1", 17, "m", include_usage=include_usage)


def data(events: bytes) -> list[dict[str, Any]]:
    blocks = events.decode().split("\n\n")[:-1]
    return [json.loads(block.removeprefix("data: ")) for block in blocks if block != "data: [DONE]"]


def whole(**fields: Any) -> bytes:
    answer = {"text": "Hi", "tool_calls": (), "finish_reason": "stop", "usage": USED, **fields}
    return chat_completion("chatcmpl-1", 17, "m", **answer)


def test_stream_is_read_by_the_sdk() -> None:
    chunks = stream()
    events = chunks.start() + chunks.text("Hi") + chunks.tool_call_start(0, "c", "f")
    events += chunks.tool_call_arguments(0, "{}") + chunks.finish("stop") + chunks.usage(USED) + chunks.done()
    read = [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in data(events)]
    assert [chunk.choices[0].delta.content for chunk in read if chunk.choices] == ["", "Hi", None, None, None]
    assert read[-1].usage is not None
    assert read[-1].usage.total_tokens == 10
    assert events.endswith(b"data: [DONE]\n\n")


def test_usage_is_left_out_unless_it_is_wanted() -> None:
    chunks = stream(include_usage=False)
    assert chunks.usage(USED) == b""
    assert b"usage" not in chunks.start()
    assert stream().usage(None) == b""


def test_usage_that_the_client_did_not_ask_for_can_be_taken_out_again() -> None:
    asked, plain = stream(), stream(include_usage=False)
    events = [asked.start(), asked.text("Hi"), asked.finish("stop") + asked.usage(USED) + asked.done()]
    expected = plain.start() + plain.text("Hi") + plain.finish("stop") + plain.done()
    assert b"".join(without_usage(events)) == expected


def test_usage_is_found_again() -> None:
    streamed, body = StreamUsage(), BodyUsage()
    streamed.feed(stream().usage(USED))
    body.feed(whole())
    assert streamed.reported == body.reported == USED


def test_whole_answer_is_read_by_the_sdk() -> None:
    answer = ChatCompletion.model_validate_json(whole(), strict=True)
    assert answer.choices[0].message.content == "Hi"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 4


def test_calls_alone_leave_no_content() -> None:
    answer = json.loads(whole(text="", tool_calls=[CalledTool("c", "f", "{}")], finish_reason="tool_calls"))
    message = answer["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


def test_empty_answer_has_empty_content_and_no_usage_that_is_not_known() -> None:
    answer = json.loads(whole(text="", usage=None))
    assert answer["choices"][0]["message"]["content"] == ""
    assert "usage" not in answer


def test_half_a_surrogate_pair_can_be_written() -> None:
    assert data(stream().text("\ud83d"))[0]["choices"][0]["delta"]["content"] == "\ud83d"


def test_error_is_openais_and_is_cut() -> None:
    error = json.loads(chat_error("x" * 9999, "invalid_request_error", "some_code"))["error"]
    assert error == {
        "message": "x" * MAX_ERROR_MESSAGE_LENGTH,
        "type": "invalid_request_error",
        "param": None,
        "code": "some_code",
    }
