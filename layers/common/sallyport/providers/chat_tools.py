"""Reading a chat request's functions, and which of them is to be called."""

from collections.abc import Mapping
from typing import Any

from sallyport.providers.chat_fields import a_flag, a_list, a_name, a_text, an_object, malformed, present, unsupported
from sallyport.providers.chat_parts import AUTO, NAMED, NONE, REQUIRED, Tool, ToolChoice

_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
_MODES = frozenset({AUTO, NONE, REQUIRED})


def read_tools(value: Any) -> tuple[Tool, ...]:
    """Read `tools`. Raises `UnsupportedFieldError` for what isn't a function, custom tools among them."""
    if value is None:
        return ()
    return tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(a_list(value, "tools")))


def _tool(value: Any, path: str) -> Tool:
    _check_function(value, path)
    tool = present(value, path, ("type", "function"))
    path += ".function"
    known = ("name", "description", "parameters", "strict")
    function = present(an_object(tool.get("function"), path), path, known)
    return Tool(
        name=a_name(function.get("name"), f"{path}.name"),
        description=a_text(function.get("description", ""), f"{path}.description"),
        parameters=an_object(function.get("parameters", {}), f"{path}.parameters") or _NO_PARAMETERS,
        strict=a_flag(function.get("strict", False), f"{path}.strict"),
        path=path,
    )


def read_tool_choice(value: Any) -> ToolChoice | None:
    """Read `tool_choice`, None if it is left to the upstream."""
    if value is None:
        return None
    if isinstance(value, str):
        if value not in _MODES:
            raise malformed("tool_choice", "auto, none, required, or a function")
        return ToolChoice(value)
    _check_function(value, "tool_choice")
    choice = present(value, "tool_choice", ("type", "function"))
    function = present(an_object(choice.get("function"), "tool_choice.function"), "tool_choice.function", ("name",))
    return ToolChoice(NAMED, a_name(function.get("name"), "tool_choice.function.name"))


def _check_function(value: Any, path: str) -> None:
    """Refuse what isn't a function by its type, before its other fields."""
    if a_text(an_object(value, path).get("type"), f"{path}.type") != "function":
        raise unsupported(f"{path}.type")
