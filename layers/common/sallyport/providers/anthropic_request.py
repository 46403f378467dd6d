"""A chat request in the words of Anthropic's Messages API."""

from collections.abc import Mapping
from typing import Any

from sallyport.providers.chat_fields import unsupported
from sallyport.providers.chat_parts import (
    AUTO,
    NAMED,
    NONE,
    REQUIRED,
    ImagePart,
    Part,
    TextPart,
    Tool,
    ToolCallPart,
    Turn,
)
from sallyport.providers.chat_request import ChatRequest

DEFAULT_MAX_TOKENS = 4096
"""Anthropic takes no request without a bound on its answer; this one holds where neither client nor policy sets one."""

_CHOICES = {AUTO: "auto", NONE: "none", REQUIRED: "any", NAMED: "tool"}


def messages_request(chat: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:
    """Give the body of `POST /v1/messages`. `model` is Anthropic's name.

    Raises `UnsupportedFieldError` for a temperature above Anthropic's scale, which ends at 1.
    """
    if chat.temperature is not None and chat.temperature > 1:
        raise unsupported("temperature")
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": chat.max_tokens or DEFAULT_MAX_TOKENS,
        "messages": [_message(turn) for turn in chat.turns],
    }
    optional = {
        "system": [_block(part) for part in chat.system],
        "stop_sequences": list(chat.stop),
        "metadata": {"user_id": chat.user} if chat.user else {},
        "tools": [_tool(tool) for tool in chat.tools],
        "tool_choice": _tool_choice(chat),
    }
    body |= {name: value for name, value in optional.items() if value}
    sampling = {"temperature": chat.temperature, "top_p": chat.top_p}
    body |= {name: value for name, value in sampling.items() if value is not None}
    return {**body, "stream": True} if stream else body


def _message(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "content": [_block(part) for part in turn.parts]}


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        return {"type": "image", "source": _source(part)}
    if isinstance(part, ToolCallPart):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
    content = [_block(text) for text in part.parts]
    return {"type": "tool_result", "tool_use_id": part.id} | ({"content": content} if content else {})


def _source(image: ImagePart) -> dict[str, str]:
    if image.url:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    strict = {"strict": True} if tool.strict else {}
    return {"name": tool.name, **described, "input_schema": tool.parameters, **strict}


def _tool_choice(chat: ChatRequest) -> Mapping[str, Any]:
    """Give the choice, empty if all is left to the model; one call at a time is a matter of the choice here."""
    if not chat.tools or (chat.tool_choice is None and chat.parallel_tool_calls):
        return {}
    mode, name = chat.tool_choice or (AUTO, "")
    choice: dict[str, Any] = {"type": _CHOICES[mode]} | ({"name": name} if mode == NAMED else {})
    one_at_a_time = mode != NONE and not chat.parallel_tool_calls
    return choice | ({"disable_parallel_tool_use": True} if one_at_a_time else {})
