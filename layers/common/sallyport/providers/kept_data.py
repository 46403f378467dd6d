"""What an upstream has kept, and a request refers to: files, conversations, prompts, items of earlier answers.

All tenants are one account there, so the upstream would give one tenant what another one put there. Only a
`previous_response_id` has an owner that the gateway knows (`routing.stored_responses`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sallyport.errors import UnsupportedFieldError
from sallyport.providers.provider import CHAT_COMPLETIONS, COUNT_TOKENS, MESSAGES, RESPONSES

_FIELDS = {RESPONSES: ("conversation", "prompt")}
_ITEMS = {CHAT_COMPLETIONS: "messages", MESSAGES: "messages", COUNT_TOKENS: "messages", RESPONSES: "input"}
_OF_CLIENTS = frozenset({"input", "arguments"})
"""Fields of a tool's call: what stands there is the client's own, whatever it is called."""


def check_kept_data(operation: str, body: Mapping[str, Any]) -> None:
    """Raise `UnsupportedFieldError` that names the field, if the request refers to what an upstream has kept."""
    field = next((name for name in _FIELDS.get(operation, ()) if body.get(name) is not None), None)
    field = field or next(_references(operation, body), None)
    if field is not None:
        message = f"{field} refers to what the upstream has kept, and nobody here knows for which tenant."
        raise UnsupportedFieldError(message, param=field)


def _references(operation: str, body: Mapping[str, Any]) -> Iterator[str]:
    name = _ITEMS.get(operation, "")
    items = body.get(name) if name else None
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping):
            path = f"{name}[{index}]"
            if (operation == RESPONSES and _is_reference(item)) or _names_file(item):
                yield path


def _is_reference(item: Mapping[str, Any]) -> bool:
    """Say whether an item is only referred to; its type may be left out, a message has a role then."""
    kind = item.get("type")
    return kind == "item_reference" or (kind is None and not item.get("role"))


def _names_file(item: Mapping[str, Any]) -> bool:
    waiting: list[Any] = [item]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, Mapping):
            if value.get("file_id") is not None:
                return True
            waiting += [held for name, held in value.items() if name not in _OF_CLIENTS]
    return False
