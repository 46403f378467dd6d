"""Tools that an upstream runs itself: a web search or an MCP server takes a prompt's words to places of no region.

So a tool passes only if it is known to be run by the client, or if the upstream's rules name it. Types of tools that
are invented tomorrow don't pass. Fields by which a client would choose where it is processed never do.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sallyport.errors import UnsupportedFieldError
from sallyport.providers.provider import CHAT_COMPLETIONS, COUNT_TOKENS, MESSAGES, RESPONSES

_RUN_BY_CLIENTS = {
    CHAT_COMPLETIONS: re.compile(r"function|custom"),
    RESPONSES: re.compile(r"function|custom|local_shell|apply_patch"),
    MESSAGES: re.compile(r"custom|(?:bash|text_editor|memory)_[0-9]{8}"),
}
_NOBODYS = re.compile(r"(?!)")
_VERSION = re.compile(r"(?:_preview)?(?:_[0-9][0-9_]*)?")
"""What may follow a permitted name: `web_search` is also `web_search_preview_2025_03_11` and `web_search_20250305`."""

_FIELDS = {
    "web_search_options": "web_search",
    "search_parameters": "web_search",  # xAI's
    "data_sources": "data_sources",  # Azure's: indexes of its search service
    "enable_search": "web_search",  # Qwen's
    "plugins": "plugins",  # OpenRouter's
    "mcp_servers": "mcp",
    "container": "code_execution",  # Anthropic's: skills among it
}
"""Fields of a body that have a tool run without standing in `tools`, and the type that permits each."""
_CHOOSING = (
    "inference_geo",  # Anthropic's: the geography
    "fallbacks",  # Anthropic's and LiteLLM's: other models
    "thread",  # Anthropic's: state that is kept there
    "models",  # OpenRouter's: other models
    "provider",  # OpenRouter's: whose machines
    "preset",  # OpenRouter's: both of them
    "providerOptions",  # Vercel's: both of them
    "user_config",  # LiteLLM's: models and addresses
    "model_list",  # LiteLLM's: the same
    "custom_llm_provider",  # LiteLLM's: whose machines
    "context_window_fallbacks",  # LiteLLM's: other models
    "content_policy_fallbacks",
    "aws_region_name",  # LiteLLM's: the region
    "region_name",
    "vertex_location",
    "vertex_ai_location",
    "aws_bedrock_runtime_endpoint",  # LiteLLM's: an address
    "api_base",
    "base_url",
)
"""Fields that no rule permits: where a request goes, and to which model, is for the gateway's policy to say."""
_ALIASES = {"mcp_toolset": "mcp"}
_NAMESPACE = "namespace"
"""A group of tools, with `tools` of its own."""


def check_hosted_tools(operation: str, body: Mapping[str, Any], permitted: Sequence[str]) -> None:
    """Raise `UnsupportedFieldError` that names the field for a tool that the upstream would run, unless permitted.

    `permitted` are names of types, such as `web_search`, `mcp` or `code_interpreter`, with or without a version.
    """
    if chosen := next((field for field in _CHOOSING if body.get(field) is not None), None):
        message = f"{chosen} would choose where the request is processed, which this gateway's policy does."
        raise UnsupportedFieldError(message, param=chosen)
    for field, needed in _FIELDS.items():
        if body.get(field) not in (None, [], False) and needed not in permitted:  # {} asks for a search, too
            raise _refusal(field)
    _check_tools(operation, body, permitted)


def _check_tools(operation: str, body: Mapping[str, Any], permitted: Sequence[str]) -> None:
    client_run = _RUN_BY_CLIENTS.get(MESSAGES if operation == COUNT_TOKENS else operation, _NOBODYS)
    untyped = "custom" if operation in {MESSAGES, COUNT_TOKENS} else None
    for path, tool in _all_tools(operation, body):
        kind = (tool.get("type") or untyped) if isinstance(tool, dict) else None
        if not (isinstance(kind, str) and (client_run.fullmatch(kind) or _is_permitted(kind, permitted))):
            raise _refusal(f"{path}.type")


def _all_tools(operation: str, body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give every tool with its path: a request's own, and those that its items and messages bring with them."""
    yield from _flat("tools", body.get("tools"))
    items = body.get("input")
    for index, item in enumerate(items if isinstance(items, list) else ()):
        # An mcp_list_tools is what a server once told of its tools.
        if isinstance(item, dict) and "tools" in item and item.get("type") != "mcp_list_tools":
            yield from _flat(f"input[{index}].tools", item["tools"])
    if operation != CHAT_COMPLETIONS:
        yield from _defined_midway(body.get("messages"))


def _defined_midway(messages: Any) -> Iterator[tuple[str, Any]]:
    """Give the tools that blocks of messages define; what a compaction has kept of such blocks is in it."""
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        blocks = message.get("content") if isinstance(message, dict) else None
        for number, block in enumerate(blocks if isinstance(blocks, list) else ()):
            if isinstance(block, dict) and ("tool" in block or "tool_changes" in block):
                at = f"messages[{index}].content[{number}]"
                yield from _added(at, block)
                for change_at, change in _numbered(f"{at}.tool_changes", block.get("tool_changes")):
                    yield from _added(change_at, change)


def _added(path: str, block: Any) -> Iterator[tuple[str, Any]]:
    """Give the tool that a block defines; one that it only refers to stands elsewhere."""
    tool = block.get("tool") if isinstance(block, dict) else None
    if isinstance(tool, dict) and "definition" in tool:
        yield from _flat(f"{path}.tool.definition", tool["definition"])


def _flat(path: str, tools: Any) -> Iterator[tuple[str, Any]]:
    waiting = deque(_numbered(path, tools))
    while waiting:
        at, tool = waiting.popleft()
        if isinstance(tool, dict) and tool.get("type") == _NAMESPACE:
            waiting += _numbered(f"{at}.tools", tool.get("tools"))
        else:
            yield at, tool


def _numbered(path: str, tools: Any) -> Iterable[tuple[str, Any]]:
    if tools is None:
        return ()
    return ((f"{path}[{index}]", tool) for index, tool in enumerate(tools if isinstance(tools, list) else [tools]))


def _is_permitted(kind: str, permitted: Sequence[str]) -> bool:
    known = _ALIASES.get(kind, kind)
    return any(known.startswith(name) and _VERSION.fullmatch(known, len(name)) for name in permitted if name)


def _refusal(field: str) -> UnsupportedFieldError:
    message = f"{field} asks for a tool that the upstream runs itself, which this gateway doesn't permit there."
    return UnsupportedFieldError(message, param=field)
