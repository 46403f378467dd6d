"""The words of a request, each with whose they are and where they stand.

Every text of a message is given but for names of things and bytes (an id, a signature, an image), so that a field which
is new tomorrow is looked at as well.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

SYSTEM, DEVELOPER, USER, ASSISTANT, TOOL = "system", "developer", "user", "assistant", "tool"

CHAT_COMPLETIONS, RESPONSES, EMBEDDINGS = "chat_completions", "responses", "embeddings"
MESSAGES, COUNT_TOKENS = "messages", "count_tokens"

_CONVERSATION = {
    CHAT_COMPLETIONS: "messages",
    RESPONSES: "input",
    EMBEDDINGS: "input",
    MESSAGES: "messages",
    COUNT_TOKENS: "messages",
}
_BESIDE = {
    "system": SYSTEM,
    "instructions": SYSTEM,
    "tools": SYSTEM,
    "functions": SYSTEM,
    "response_format": SYSTEM,
    "text": SYSTEM,
    "output_config": SYSTEM,
    "output_format": SYSTEM,
    "context_management": SYSTEM,
    "compaction": SYSTEM,
    "prediction": ASSISTANT,
    "prompt": USER,
}
"""Fields of a body, beside the conversation, whose texts a model reads, and whose these are."""

_NO_WORDS = frozenset(
    {"type", "role", "id", "call_id", "tool_call_id", "tool_use_id", "file_id", "media_type", "detail", "status"}
    | {"signature", "encrypted_content", "encrypted_index", "encrypted_stdout", "file_data", "cache_control"}
)
"""Fields whose values are names of things or bytes."""
_FREE = frozenset({"input", "arguments", "parameters", "input_schema", "output_schema", "schema", "variables"})
"""Fields that hold an object of the client's own, in which any name may stand for words."""
_IMAGES = frozenset({"image_url", "input_image", "image", "computer_screenshot"})


class PromptText(NamedTuple):
    """`role`: one of the five. `path`: such as `messages[0].content[1].text`."""

    role: str
    path: str
    text: str


class _Place(NamedTuple):
    """Where a value stands. `is_free`: in an object of the client's own."""

    role: str
    path: str
    is_free: bool = False


class PromptTexts:
    """The words of a checked body of one route. All of it takes time that grows with the body's size alone."""

    def __init__(self, route: str, body: Mapping[str, Any]) -> None:
        self.field = _CONVERSATION[route]
        """Of the conversation, such as `messages`."""
        self._body = body

    def __iter__(self) -> Iterator[PromptText]:
        """Give each text, in the order of the body's parts."""
        for value, place in self._roots():
            for place_of_text, text in _leaves(value, place):
                yield PromptText(place_of_text.role, place_of_text.path, text)

    def byte_count(self) -> int:
        """Give the size of all texts in UTF-8."""
        return sum(len(text.text.encode()) for text in self)

    def message_count(self) -> int:
        """Give how many messages, or items, the conversation has; a text alone is one."""
        conversation = self._body.get(self.field)
        return len(conversation) if isinstance(conversation, list) else int(conversation is not None)

    def image_count(self) -> int:
        """Give how many images the conversation has, those in the results of tools among them."""
        return sum(_images(value) for value, _ in self._roots())

    def _roots(self) -> Iterator[tuple[Any, _Place]]:
        for name, role in _BESIDE.items():
            if name != self.field and self._body.get(name) is not None:
                yield self._body[name], _Place(role, name)
        conversation = self._body.get(self.field)
        if not isinstance(conversation, list):
            yield conversation, _Place(USER, self.field)
            return
        for index, message in enumerate(conversation):
            yield message, _Place(_role(message), f"{self.field}[{index}]")


def _role(message: Any) -> str:
    """Give whose words a message, or an item, holds; a user's where nobody knows."""
    if not isinstance(message, dict):
        return USER
    role = message.get("role")
    if isinstance(role, str):
        return TOOL if role == "function" else role
    kind = message.get("type")
    if not isinstance(kind, str) or kind in {"message", "mcp_approval_response"}:
        return USER
    return TOOL if kind.endswith("_output") or kind in {"file_search_call", "mcp_list_tools"} else ASSISTANT


def _leaves(value: Any, place: _Place) -> Iterable[tuple[_Place, str]]:
    found: list[tuple[_Place, str]] = []
    _collect(value, place, found)
    return found


def _collect(value: Any, place: _Place, found: list[tuple[_Place, str]]) -> None:
    if isinstance(value, str):
        found.append((place, value))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            if isinstance(child, str | list | dict):
                _collect(child, place._replace(path=f"{place.path}[{index}]"), found)
    elif isinstance(value, dict):
        _collect_fields(value, place, found)


def _collect_fields(fields: dict[str, Any], place: _Place, found: list[tuple[_Place, str]]) -> None:
    role = _role_inside(fields, place)
    for name, child in fields.items():
        if isinstance(child, str | list | dict) and (place.is_free or _has_words(name, child, fields)):
            inside = _Place(role, f"{place.path}.{name[:64]}", place.is_free or name in _FREE)
            _collect(child, inside, found)


def _role_inside(fields: dict[str, Any], place: _Place) -> str:
    """Give `tool` for Anthropic's results of tools, which stand in a user's or the assistant's message."""
    kind = fields.get("type")
    return TOOL if not place.is_free and isinstance(kind, str) and kind.endswith("tool_result") else place.role


def _has_words(name: str, child: Any, fields: dict[str, Any]) -> bool:
    if name in _NO_WORDS:
        return False
    if name == "data":
        return fields.get("type") == "text"  # a document's; else an image, a sound, or what is encrypted
    if name == "result":
        return fields.get("type") != "image_generation_call"
    return name not in {"url", "image_url"} or not isinstance(child, str) or not child.startswith("data:")


def _images(value: Any) -> int:
    if isinstance(value, list):
        return sum(_images(child) for child in value if isinstance(child, list | dict))
    if not isinstance(value, dict):
        return 0
    kind = value.get("type")
    own = int(isinstance(kind, str) and kind in _IMAGES)
    inside = (child for name, child in value.items() if name not in _FREE and isinstance(child, list | dict))
    return own + sum(map(_images, inside))
