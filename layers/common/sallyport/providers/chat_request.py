"""Reading an OpenAI chat request for a provider whose API is another one: whole, or not at all.

What is known here is an allow-list. A field that has no counterpart, or isn't known, is refused by its name: nothing of
a request is dropped silently, but for values that ask for nothing (`n` of 1, a penalty of 0).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sallyport.providers.chat_fields import a_count, a_flag, a_list, a_number, a_text, malformed, present, unsupported
from sallyport.providers.chat_messages import read_messages
from sallyport.providers.chat_parts import AUTO, NONE, TextPart, Tool, ToolChoice, Turn
from sallyport.providers.chat_tools import read_tool_choice, read_tools


class ChatRequest(NamedTuple):
    """A chat request in plain parts; None is what the client left to the upstream.

    `tool_choice` is there only with `tools`. `temperature` is 0 to 2, as OpenAI counts. `user` names the end user.
    """

    system: tuple[TextPart, ...]
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice | None
    parallel_tool_calls: bool
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: tuple[str, ...]
    user: str


_READ = (
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "parallel_tool_calls",
    "safety_identifier",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "user",
)


def _is_zero(value: Any) -> bool:
    return not isinstance(value, bool) and value == 0


_NEUTRAL: Mapping[str, Callable[[Any], bool]] = {
    "frequency_penalty": _is_zero,
    "functions": lambda value: value == [],
    "logit_bias": lambda value: value == {},
    "logprobs": lambda value: value is False,
    "metadata": lambda value: value == {},
    "modalities": lambda value: value == ["text"],
    "n": lambda value: type(value) is int and value == 1,
    "presence_penalty": _is_zero,
    "response_format": lambda value: value == {"type": "text"},
    "service_tier": lambda value: value in ("auto", "default"),
    "store": lambda value: value is False,
    "top_logprobs": _is_zero,
}
"""Fields without a counterpart, and whether a value asks for nothing."""


def read_chat_request(body: Mapping[str, Any]) -> ChatRequest:
    """Read a chat request that satisfies its schema.

    Raises `UnsupportedFieldError` for what has no counterpart, its `param` the field's name, and
    `SchemaViolationError` for what isn't a chat request after all.
    """
    fields = present(body, "", (*_READ, *_NEUTRAL))
    _check_neutral(fields)
    _check_stream_options(fields.get("stream_options", {}))
    system, turns = read_messages(fields.get("messages"))
    tools = read_tools(fields.get("tools"))
    return ChatRequest(
        system=system,
        turns=turns,
        tools=tools,
        tool_choice=_tool_choice(fields, tools),
        parallel_tool_calls=a_flag(fields.get("parallel_tool_calls", True), "parallel_tool_calls"),
        max_tokens=_max_tokens(fields),
        temperature=_number(fields, "temperature"),
        top_p=_number(fields, "top_p"),
        stop=_stop(fields.get("stop", [])),
        user=_user(fields),
    )


def _user(fields: Mapping[str, Any]) -> str:
    """Give the end user's name. The newer field and the older one can't both be passed on, unless they agree."""
    user, identifier = (a_text(fields.get(name, ""), name) for name in ("user", "safety_identifier"))
    if user and identifier and user != identifier:
        raise unsupported("safety_identifier")
    return identifier or user


def _check_neutral(fields: Mapping[str, Any]) -> None:
    for name, is_neutral in _NEUTRAL.items():
        if name in fields and not is_neutral(fields[name]):
            raise unsupported(name)


def _check_stream_options(value: Any) -> None:
    if not isinstance(value, dict):
        raise malformed("stream_options", "an object")
    options = present(value, "stream_options", ("include_usage", "include_obfuscation"))
    if options.get("include_obfuscation"):
        raise unsupported("stream_options.include_obfuscation")


def _tool_choice(fields: Mapping[str, Any], tools: tuple[Tool, ...]) -> ToolChoice | None:
    choice = read_tool_choice(fields.get("tool_choice"))
    if choice is None or tools:
        return choice
    if choice.mode not in {AUTO, NONE}:
        raise malformed("tool_choice", "left out where there are no tools")
    return None


def _max_tokens(fields: Mapping[str, Any]) -> int | None:
    """Give the lesser of the two: the gateway may have set one."""
    names = ("max_completion_tokens", "max_tokens")
    return min((a_count(fields[name], name) for name in names if name in fields), default=None)


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    return a_number(fields[name], name) if name in fields else None


def _stop(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(a_text(text, f"stop[{index}]") for index, text in enumerate(a_list(value, "stop")))
