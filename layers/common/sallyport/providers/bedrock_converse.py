"""A chat as a request to Bedrock's Converse API.

Source: Amazon Bedrock API Reference, Converse and ConverseStream; the service model of botocore.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sallyport.providers.chat_fields import unsupported
from sallyport.providers.chat_parts import (
    AUTO,
    NAMED,
    NONE,
    ImagePart,
    Part,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    Turn,
)
from sallyport.providers.chat_request import ChatRequest, read_chat_request

_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
MAX_TEMPERATURE = 1


def converse_body(chat: Mapping[str, Any]) -> dict[str, Any]:
    """Give the body of a Converse request for an OpenAI chat request.

    Raises `UnsupportedFieldError` for what Converse has no counterpart for, and as `read_chat_request` does.
    """
    request = read_chat_request(chat)
    body: dict[str, Any] = {"messages": [_message(turn) for turn in request.turns]}
    if request.system:
        body["system"] = [{"text": part.text} for part in request.system]
    if inference := _inference(request):
        body["inferenceConfig"] = inference
    if request.tools:
        body["toolConfig"] = _tool_config(request)
    if request.user:
        body["requestMetadata"] = {"user": _metadata(request.user)}
    return body


def _metadata(user: str) -> str:
    """Give the end user's name as Bedrock's own invocation log may have it."""
    if _METADATA.fullmatch(user) is None:
        raise unsupported("user")
    return user


def _inference(request: ChatRequest) -> dict[str, Any]:
    if request.temperature is not None and request.temperature > MAX_TEMPERATURE:
        raise unsupported("temperature")
    values = {
        "maxTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": list(request.stop) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _tool_config(request: ChatRequest) -> dict[str, Any]:
    """Converse can neither forbid calls where there are tools, nor more than one at once."""
    if not request.parallel_tool_calls:
        raise unsupported("parallel_tool_calls")
    config: dict[str, Any] = {"tools": [{"toolSpec": _tool_spec(tool)} for tool in request.tools]}
    if request.tool_choice is not None:
        config["toolChoice"] = _tool_choice(request.tool_choice)
    return config


def _tool_spec(tool: Tool) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.parameters}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict:
        spec["strict"] = True
    return spec


def _tool_choice(choice: ToolChoice) -> dict[str, Any]:
    if choice.mode == NONE:
        raise unsupported("tool_choice")
    if choice.mode == NAMED:
        return {"tool": {"name": choice.name}}
    return {"auto": {}} if choice.mode == AUTO else {"any": {}}


def _message(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "content": [_block(part) for part in turn.parts]}


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, ImagePart):
        return _image(part)
    if isinstance(part, ToolCallPart):
        return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": part.arguments}}
    return {"toolResult": {"toolUseId": part.id, "content": _result(part.parts)}}


def _result(parts: Iterable[TextPart]) -> list[dict[str, Any]]:
    """Give what a function gave. Models differ in refusing an empty list or text: nothing is an empty object."""
    return [{"text": part.text} for part in parts] or [{"json": {}}]


def _image(part: ImagePart) -> dict[str, Any]:
    """Give an image's bytes, in base64 as JSON has them. Bedrock fetches no URL."""
    if part.url:
        raise unsupported(f"{part.path}.image_url.url")
    return {"image": {"format": part.media_type.removeprefix("image/"), "source": {"bytes": part.data}}}
