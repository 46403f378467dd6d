"""Reading a chat request's messages into a system prompt and turns."""

import json
import math
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sallyport.providers.chat_fields import a_list, a_name, a_text, an_object, malformed, present, unsupported
from sallyport.providers.chat_parts import ImagePart, Part, TextPart, ToolCallPart, ToolResultPart, Turn

_SYSTEM = ("system", "developer")  # no set: what is looked for may be a list
_IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_ROLES = "system, developer, user, assistant or tool"
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
MAX_ARGUMENT_VALUES = 400_000
"""Of all calls together: small values take fifty times their own size in memory."""


def read_messages(value: Any) -> tuple[tuple[TextPart, ...], tuple[Turn, ...]]:
    """Give the system prompt and the turns, each side's messages in a row as one.

    System and developer messages may stand at the beginning alone: elsewhere there is no place for them. Raises
    `UnsupportedFieldError` for what a turn can't say, `SchemaViolationError` for what isn't a message.
    """
    messages = [
        (an_object(message, f"messages[{index}]"), f"messages[{index}]")
        for index, message in enumerate(a_list(value, "messages"))
    ]
    _check_arguments(messages)
    start = next((at for at, (message, _) in enumerate(messages) if message.get("role") not in _SYSTEM), len(messages))
    system = tuple(part for message, path in messages[:start] for part in _system_parts(message, path))
    turns = _merged([turn for message, path in messages[start:] if (turn := _turn(message, path)).parts])
    if not turns:
        raise malformed("messages", "more than a system prompt")
    return system, turns


def _check_arguments(messages: Iterable[tuple[Mapping[str, Any], str]]) -> None:
    """Refuse very many values in calls' arguments: they are JSON in a text, which the body's own bound doesn't see."""
    count = 0
    for message, path in messages:
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            count += _values(function.get("arguments") if isinstance(function, dict) else None)
            if count > MAX_ARGUMENT_VALUES:
                raise malformed(f"{path}.tool_calls", f"calls with at most {MAX_ARGUMENT_VALUES} values in all")


def _values(arguments: Any) -> int:
    """Give a number that is at least that of the values: braces count thrice, for objects take the most memory."""
    if not isinstance(arguments, str):
        return 0
    text = _STRING.sub("", arguments)
    return text.count(",") + text.count("[") + 3 * text.count("{")


def _merged(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    merged: list[tuple[str, list[Part]]] = []
    for role, parts in turns:
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(parts)
        else:
            merged.append((role, list(parts)))
    return tuple(Turn(role, tuple(parts)) for role, parts in merged)


def _system_parts(message: Mapping[str, Any], path: str) -> tuple[TextPart, ...]:
    fields = present(message, path, ("role", "content"))
    return tuple(_texts(fields.get("content"), f"{path}.content"))


def _turn(message: Mapping[str, Any], path: str) -> Turn:
    role = a_text(message.get("role"), f"{path}.role")
    if role in _SYSTEM or role == "function":
        raise unsupported(f"{path}.role")
    if role not in _READERS:
        raise malformed(f"{path}.role", _ROLES)
    parts = _READERS[role](message, path)
    if not parts and (role != "assistant" or message.get("content") is None):  # an answer may have been empty
        raise malformed(f"{path}.content", "something")
    return Turn("assistant" if role == "assistant" else "user", parts)


def _user_parts(message: Mapping[str, Any], path: str) -> tuple[Part, ...]:
    fields = present(message, path, ("role", "content"))
    return tuple(_content(fields.get("content"), f"{path}.content"))


def _assistant_parts(message: Mapping[str, Any], path: str) -> tuple[Part, ...]:
    """Read what the assistant said. An answer's own empty `annotations` may come back with it."""
    if message.get("annotations") == []:
        message = {name: value for name, value in message.items() if name != "annotations"}
    fields = present(message, path, ("role", "content", "tool_calls"))
    calls = a_list(fields.get("tool_calls", []), f"{path}.tool_calls")
    texts = tuple(_texts(fields.get("content"), f"{path}.content"))
    return (*texts, *(_tool_call(call, f"{path}.tool_calls[{index}]") for index, call in enumerate(calls)))


def _tool_parts(message: Mapping[str, Any], path: str) -> tuple[Part, ...]:
    fields = present(message, path, ("role", "content", "tool_call_id"))
    call_id = a_name(fields.get("tool_call_id"), f"{path}.tool_call_id")
    return (ToolResultPart(call_id, tuple(_texts(fields.get("content"), f"{path}.content")), path),)


def _tool_call(value: Any, path: str) -> ToolCallPart:
    if a_text(an_object(value, path).get("type"), f"{path}.type") != "function":
        raise unsupported(f"{path}.type")
    call = present(value, path, ("id", "type", "function"))
    function = present(an_object(call.get("function"), f"{path}.function"), f"{path}.function", ("name", "arguments"))
    arguments = a_text(function.get("arguments", ""), f"{path}.function.arguments")
    return ToolCallPart(
        id=a_name(call.get("id"), f"{path}.id"),
        name=a_name(function.get("name"), f"{path}.function.name"),
        arguments=_arguments(arguments, f"{path}.function.arguments"),
        path=path,
    )


def _arguments(text: str, path: str) -> Mapping[str, Any]:
    """Read a call's arguments; a function without parameters may have been called with none at all."""
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise malformed(path, "the JSON of an object")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("too great")
    return number


def _texts(content: Any, path: str) -> Iterator[TextPart]:
    """Give the texts of a content that can have nothing else."""
    for part in _content(content, path):
        if not isinstance(part, TextPart):
            raise unsupported(f"{part.path}.type")
        yield part


def _content(content: Any, path: str) -> Iterator[TextPart | ImagePart]:
    """Give a content's parts without empty texts, which say nothing and are refused elsewhere."""
    if content is None or isinstance(content, str):
        if content:
            yield TextPart(content, path)
        return
    for index, value in enumerate(a_list(content, path)):
        part = _part(value, f"{path}[{index}]")
        if not isinstance(part, TextPart) or part.text:
            yield part


def _part(value: Any, path: str) -> TextPart | ImagePart:
    kind = a_text(an_object(value, path).get("type"), f"{path}.type")
    if kind not in {"text", "image_url"}:
        raise unsupported(f"{path}.type")
    fields = present(value, path, ("type", kind))
    if kind == "text":
        return TextPart(a_text(fields.get("text"), f"{path}.text"), path)
    return _image(fields.get("image_url"), path)


def _image(value: Any, path: str) -> ImagePart:
    named = f"{path}.image_url"
    image = present(an_object(value, named), named, ("url", "detail"))
    if image.get("detail", "auto") != "auto":
        raise unsupported(f"{named}.detail")
    url = a_text(image.get("url"), f"{named}.url")
    if url[:8].lower() == "https://":
        return ImagePart("", "", url, path)
    if url[:5].lower() != "data:":
        raise unsupported(f"{named}.url")
    header, _, data = url[5:].partition(",")
    media_type, _, encoding = header.lower().partition(";")
    if media_type not in _IMAGE_TYPES or encoding != "base64":
        raise unsupported(f"{named}.url")
    _check_base64(data, f"{named}.url")
    return ImagePart(media_type, data, "", path)


def _check_base64(data: str, path: str) -> None:
    try:
        decoded = a2b_base64(data, strict_mode=True)
    except (Base64Error, ValueError):
        decoded = b""
    if not decoded:
        raise malformed(path, "a data URL with base64")


_READERS: Mapping[str, Callable[[Mapping[str, Any], str], tuple[Part, ...]]] = {
    "user": _user_parts,
    "assistant": _assistant_parts,
    "tool": _tool_parts,
}
