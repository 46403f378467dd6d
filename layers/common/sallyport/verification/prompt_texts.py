"""The words of a request, each with whose they are and where they stand.

Every text is given but for names of things, secrets and bytes (an id, a signature, an image), so that a field which is
new tomorrow, or an upstream's own, is looked at as well.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

SYSTEM, DEVELOPER, USER, ASSISTANT, TOOL = "system", "developer", "user", "assistant", "tool"
ROLES = (SYSTEM, DEVELOPER, USER, ASSISTANT, TOOL)

CHAT_COMPLETIONS, RESPONSES, EMBEDDINGS = "chat_completions", "responses", "embeddings"
MESSAGES, COUNT_TOKENS = "messages", "count_tokens"

CONVERSATION: Mapping[str, str] = {
    CHAT_COMPLETIONS: "messages",
    RESPONSES: "input",
    EMBEDDINGS: "input",
    MESSAGES: "messages",
    COUNT_TOKENS: "messages",
}
BESIDE: Mapping[str, str] = {
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
    "fallbacks": SYSTEM,
    "prediction": ASSISTANT,
}
"""Fields of a body, beside the conversation, whose texts a model reads, and whose these are; a user's if not here."""
NOT_READ = frozenset(
    {"model", "max_tokens", "max_completion_tokens", "max_output_tokens", "max_tool_calls", "n", "seed", "stream"}
    | {"temperature", "top_k", "top_p", "top_logprobs", "logprobs", "logit_bias", "frequency_penalty", "dimensions"}
    | {"presence_penalty", "stop", "stop_sequences", "stream_options", "encoding_format", "modalities", "audio"}
    | {"metadata", "user", "user_profile_id", "workspace_id", "safety_identifier", "service_tier", "inference_geo"}
    | {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "cache_control", "store"}
    | {"moderation", "access_programs", "billing_policy", "fallback_credit_token", "diagnostics", "mcp_servers"}
    | {"background", "background_options", "conversation", "previous_response_id", "container", "thread"}
    | {"reasoning", "reasoning_effort", "thinking", "verbosity", "speed", "truncation", "include", "image"}
    | {"tool_choice", "function_call", "parallel_tool_calls"}
)
"""Fields of a body that no model reads as words."""

_NO_WORDS = frozenset(
    {"type", "role", "id", "call_id", "tool_call_id", "tool_use_id", "file_id", "media_type", "detail", "status"}
    | {"signature", "encrypted_content", "encrypted_index", "encrypted_stdout", "file_data"}
    | {"cache_control", "prompt_cache_breakpoint", "authorization", "headers", "domain_secrets"}
)
"""Fields whose values are names of things, bytes, or secrets of a tool's that no model reads."""
_FREE = frozenset(
    {"input", "arguments", "parameters", "input_schema", "output_schema", "schema", "variables"}
    | {"input_examples", "attributes"}
)
"""Fields that hold an object of the client's own, in which any name may stand for words, and is one itself."""
_MEDIA_URLS = frozenset({"image_url", "audio_url", "video_url"})
"""Fields whose URL, or whose `url`, may be the bytes themselves; a page's, say, is a text whatever it begins with."""
_IMAGES = frozenset({"image_url", "input_image", "image", "computer_screenshot", "image_generation_call"})
_TOOL_FIELDS = ("tools", "functions", "mcp_servers")
_MORE_TOOLS = frozenset({"additional_tools", "tool_search_output"})
_CALLS = frozenset({"reasoning", "compaction", "program", "mcp_approval_request"})
_MAX_NAME_CHARS = 64
_NUMBERS = (int, float)


class Place(NamedTuple):
    """Where something stands: a field's name, or a number in a list, within another place.

    Written out only where somebody is told: 400,000 texts, each under sixty long names, would be gigabytes of paths.
    """

    within: "Place | None"
    step: str | int

    @property
    def steps(self) -> list[str | int]:
        """Give the steps to it, the first first."""
        steps: list[str | int] = []
        place: Place | None = self
        while place is not None:
            steps.append(place.step)
            place = place.within
        return steps[::-1]


class PromptText(NamedTuple):
    """`role`: one of the five."""

    role: str
    place: Place
    text: str

    @property
    def path(self) -> str:
        """Give where it stands, such as `messages[0].content[1].text`."""
        steps = self.place.steps
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step[:_MAX_NAME_CHARS]}" for step in steps)[1:]


class _Found(NamedTuple):
    """A value, whose it is and where it stands. `is_free`: all that is in there may be words, names too."""

    value: Any
    role: str
    place: Place
    is_free: bool


class PromptTexts:
    """The words of a checked body of one route. All of it takes time that grows with the body's size alone."""

    def __init__(self, route: str, body: Mapping[str, Any]) -> None:
        self.field = CONVERSATION[route]
        """Of the conversation, such as `messages`."""
        self._body = body
        self._holds_tokens = route == EMBEDDINGS

    def __iter__(self) -> Iterator[PromptText]:
        """Give each text, in the order of the body's parts."""
        for root in self.by_message():
            yield from root

    def by_message(self) -> Iterator[Iterator[PromptText]]:
        """Give the texts of each message, and of each field beside the conversation, together."""
        for leaves in self._leaves():
            yield (PromptText(role, place, text) for text, role, place, _ in leaves if isinstance(text, str))

    def byte_count(self) -> int:
        """Give the size of all texts in UTF-8, and of the numbers among them, such as an embedding's tokens."""
        return sum(len(str(leaf.value).encode()) for leaves in self._leaves() for leaf in leaves)

    def message_count(self) -> int:
        """Give how many messages, or items, the conversation has; a text alone is one."""
        conversation = self._body.get(self.field)
        return len(conversation) if isinstance(conversation, list) else int(conversation is not None)

    def image_count(self) -> int:
        """Give how many images the request has, those in the results of tools among them."""
        return sum(_images(value) for _, _, value in self._roots())

    def tool_count(self) -> int:
        """Give how many tools are offered, by the conversation as well; a server of tools is one."""
        offered = sum(len(value) for name in _TOOL_FIELDS if isinstance(value := self._body.get(name), list))
        conversation = self._body.get(self.field)
        return offered + sum(map(_tools, conversation if isinstance(conversation, list) else ()))

    def _leaves(self) -> Iterator[Iterator[_Found]]:
        for role, place, value in self._roots():
            yield _leaves(_Found(value, role, place, self._holds_tokens))

    def _roots(self) -> Iterator[tuple[str, Place, Any]]:
        """Give whose it is, where it stands and what it is, of each message and each field that may have words."""
        for name, value in self._body.items():
            if name != self.field and name not in NOT_READ:
                yield BESIDE.get(name, USER), Place(None, name), value
        conversation, field = self._body.get(self.field), Place(None, self.field)
        if not isinstance(conversation, list):
            yield USER, field, conversation
            return
        for index, message in enumerate(conversation):
            yield _role(message), Place(field, index), message


def _role(message: Any) -> str:
    """Give whose words a message, or an item, holds; a user's where nobody knows."""
    if not isinstance(message, dict):
        return USER
    role, kind = message.get("role"), message.get("type")
    if isinstance(role, str):
        return role if role in ROLES else TOOL if role == "function" else USER
    return _role_of_item(kind) if isinstance(kind, str) else USER


def _role_of_item(kind: str) -> str:
    if kind in _MORE_TOOLS or kind == "configuration_update":
        return SYSTEM
    if kind.endswith("_output") or kind in {"file_search_call", "mcp_list_tools"}:
        return TOOL
    return ASSISTANT if kind.endswith("_call") or kind in _CALLS else USER


def _leaves(root: _Found) -> Iterator[_Found]:
    """Give each text, and each number that counts as one, one at a time: a list of all would be a body many times."""
    open_: list[Iterator[_Found]] = [iter((root,))]
    while open_:
        found = next(open_[-1], None)
        if found is None:
            open_.pop()
        elif isinstance(found.value, str) or (found.is_free and isinstance(found.value, _NUMBERS)):
            yield found
        elif isinstance(found.value, list):
            open_.append(_items(found))
        elif isinstance(found.value, dict):
            open_.append(_fields(found))


def _items(found: _Found) -> Iterator[_Found]:
    for index, child in enumerate(found.value):
        if not isinstance(child, _NUMBERS):
            yield _Found(child, found.role, Place(found.place, index), found.is_free)
        elif found.is_free:  # a token, of which there may be 400,000; nobody is told where one stands
            yield _Found(child, found.role, found.place, is_free=True)


def _fields(found: _Found) -> Iterator[_Found]:
    fields, place = found.value, found.place
    role = found.role if found.is_free else _role_inside(fields, found.role)
    for name, child in fields.items():
        if found.is_free:
            yield _Found(name, role, place, is_free=True)
        if found.is_free or _has_words(name, child, found):
            yield _Found(child, role, Place(place, name), found.is_free or name in _FREE)


def _role_inside(fields: dict[str, Any], role: str) -> str:
    """Give `tool` for Anthropic's results of tools, which stand in a user's or the assistant's message."""
    kind = fields.get("type")
    return TOOL if isinstance(kind, str) and kind.endswith("tool_result") else role


def _has_words(name: str, child: Any, within: _Found) -> bool:
    fields: dict[str, Any] = within.value
    if name in _NO_WORDS:
        return False
    if name == "data":
        return fields.get("type") == "text"  # a document's; else an image, a sound, or what is encrypted
    if name == "result":
        return fields.get("type") != "image_generation_call"
    is_media = name in _MEDIA_URLS or (name == "url" and within.place.step in _MEDIA_URLS)
    return not is_media or not isinstance(child, str) or child[:5].lower() != "data:"


def _images(value: Any) -> int:
    """Count images; one that doesn't say what it is counts, for some upstreams (vLLM) know it by its field."""
    if isinstance(value, list):
        return sum(_images(child) for child in value if isinstance(child, list | dict))
    if not isinstance(value, dict):
        return 0
    kind = value.get("type")
    own = int((isinstance(kind, str) and kind in _IMAGES) or value.get("image_url") is not None)
    return own + sum(_images(child) for name, child in value.items() if _may_have_images(name, child))


def _may_have_images(name: str, child: Any) -> bool:
    """What a tool is called with may look like one; a prompt's variables may be one."""
    return isinstance(child, list | dict) and (name == "variables" or name not in _FREE)


def _tools(item: Any) -> int:
    """Give how many tools an item offers, or the blocks of a message do, that aren't in the body's own list."""
    if not isinstance(item, dict):
        return 0
    kind, tools, content = item.get("type"), item.get("tools"), item.get("content")
    if isinstance(kind, str) and kind in _MORE_TOOLS:
        return len(tools) if isinstance(tools, list) and item.get("execution") != "server" else 0
    return sum(map(_is_new_tool, content if isinstance(content, list) else ()))


def _is_new_tool(block: Any) -> bool:
    """Say whether a block of Anthropic's defines a tool; others name one of the list."""
    if not isinstance(block, dict) or block.get("type") != "tool_addition":
        return False
    tool = block.get("tool")
    return isinstance(tool, dict) and tool.get("type") == "tool_definition"
