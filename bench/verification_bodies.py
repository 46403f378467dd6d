"""What `bench.verification` has checked: chats of three sizes and a streamed answer.

Imports nothing of the project, for it is made in the peers' environment too.
"""

import json
from typing import Any

SIZES_KB = (2, 50, 500)
_TEXT = "Summarise the attached minutes in five sentences and name who is to do what until when. "
_TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


def chat(size_kb: int) -> str:
    """Give a chat's body of about that many KB: messages of 180 to 900 characters, with tools and settings."""
    body: dict[str, Any] = {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 500, "stream": True, "tools": [_TOOL]}
    messages = [{"role": "system", "content": "You take minutes."}]
    size = len(json.dumps(body))
    while size < size_kb * 1000 - 100:
        number = len(messages)
        role = "assistant" if number % 2 == 0 else "user"
        messages.append({"role": role, "content": _TEXT * (2 + number % 9)})
        size += len(messages[-1]["content"]) + 40
    return json.dumps({**body, "messages": messages})


def stream(events: int) -> bytes:
    """Give a streamed chat's answer of that many pieces of text."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    pieces = [choice, *({**choice, "delta": {"content": f" word{number}"}} for number in range(events))]
    last = {**choice, "delta": {}, "finish_reason": "stop"}
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-4o"}
    chunks = [json.dumps({**base, "choices": [piece]}, separators=(",", ":")) for piece in (*pieces, last)]
    return "".join(f"data: {data}\n\n" for data in (*chunks, "[DONE]")).encode()
