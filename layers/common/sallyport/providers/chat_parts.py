"""What a chat consists of, in no provider's words: requests are read into these, and translations write from them.

A `path` names where in the client's request something stood, such as `messages[2].content[0]`, for a refusal of it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class TextPart(NamedTuple):
    """Text; it isn't empty."""

    text: str
    path: str


class ImagePart(NamedTuple):
    """An image: `data` is its base64, checked, and `media_type` its kind; or there is an https `url` alone."""

    media_type: str
    data: str
    url: str
    path: str


class ToolCallPart(NamedTuple):
    """The assistant's call of a function, its arguments read from their JSON."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    path: str


class ToolResultPart(NamedTuple):
    """What a function gave, as text; without parts it gave nothing. `id` is that of its call."""

    id: str
    parts: tuple[TextPart, ...]
    path: str


type Part = TextPart | ImagePart | ToolCallPart | ToolResultPart


class Turn(NamedTuple):
    """What one side says until it is the other's turn: `user` (functions' results among it) or `assistant`."""

    role: str
    parts: tuple[Part, ...]


class Tool(NamedTuple):
    """A function that may be called. `parameters` is an object's JSON Schema. `strict`: arguments must keep to it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool
    path: str


AUTO = "auto"
NONE = "none"
REQUIRED = "required"
NAMED = "named"


class ToolChoice(NamedTuple):
    """Whether a function is called: `AUTO`, `NONE`, `REQUIRED` (any of them) or `NAMED` (the one of that name)."""

    mode: str
    name: str = ""
