"""What an upstream has kept, and a request refers to: files, containers, conversations, prompts, items of answers.

All tenants are one account there, so the upstream would give one tenant what another one put there. Only a
`previous_response_id` has an owner that the gateway knows (`routing.stored_responses`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sallyport.errors import UnsupportedFieldError
from sallyport.providers.provider import CHAT_COMPLETIONS, COUNT_TOKENS, MESSAGES, RESPONSES

_FIELDS = {RESPONSES: ("conversation", "prompt")}
_ITEMS = {CHAT_COMPLETIONS: "messages", MESSAGES: "messages", COUNT_TOKENS: "messages", RESPONSES: "input"}
_OF_CLIENTS = frozenset({"input", "arguments", "parameters", "input_schema", "schema"})
"""Fields of a tool's call, and schemas: what stands there is the client's own, whatever it is called."""
_FILES = ("file_id", "file_ids")
_KEPT_BY_TOOLS = (*_FILES, "container_id")


def check_kept_data(operation: str, body: Mapping[str, Any]) -> None:
    """Raise `UnsupportedFieldError` that names the field, if the request refers to what an upstream has kept."""
    field = next((name for name in _FIELDS.get(operation, ()) if body.get(name) is not None), None)
    field = field or next(_references(operation, body), None) or next(_tools(operation, body), None)
    if field is None and operation == MESSAGES and _names_container(body.get("container")):
        field = "container"
    if field is not None:
        message = f"{field} refers to what the upstream has kept, and nobody here knows for which tenant."
        raise UnsupportedFieldError(message, param=field)


def _references(operation: str, body: Mapping[str, Any]) -> Iterator[str]:
    name = _ITEMS.get(operation, "")
    items = body.get(name) if name else None
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping):
            path = f"{name}[{index}]"
            if _IS_REFERENCE.get(operation, _never)(item) or _names(_FILES, item):
                yield path
            yield from _tools(operation, item, f"{path}.")


def _tools(operation: str, holder: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Give the tools that are to work on what is kept; those of clients and of Anthropic's requests name nothing."""
    tools = holder.get("tools") if operation == RESPONSES else None
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, Mapping) and (_names_container(tool.get("container")) or _names(_KEPT_BY_TOOLS, tool)):
            yield f"{path}tools[{index}]"


def _names_container(container: Any) -> bool:
    """A container is told by its id, which an object may hold, or made anew."""
    named = container.get("id") if isinstance(container, Mapping) else container
    return isinstance(named, str)


def _is_reference(item: Mapping[str, Any]) -> bool:
    """Say whether an item is only referred to; its type may be left out, a message has a role then."""
    kind = item.get("type")
    if kind == "image_generation_call":
        return not item.get("result")
    return kind == "item_reference" or (kind is None and not item.get("role"))


def _names_audio(message: Mapping[str, Any]) -> bool:
    """An assistant's message may have its earlier speech by id alone."""
    return message.get("audio") is not None


def _never(_: Mapping[str, Any]) -> bool:
    return False


_IS_REFERENCE = {RESPONSES: _is_reference, CHAT_COMPLETIONS: _names_audio}


def _names(names: Sequence[str], item: Mapping[str, Any]) -> bool:
    """Say whether one of the names stands anywhere in an item, but for what is the client's own."""
    waiting: list[Any] = [item]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, Mapping):
            if any(value.get(name) not in (None, []) for name in names):
                return True
            waiting += [held for name, held in value.items() if name not in _OF_CLIENTS]
    return False
