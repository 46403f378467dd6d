"""The operations that a route may put to an upstream: the scope each takes, and how its clients read errors."""

from collections.abc import Callable
from typing import NamedTuple

from sallyport.gateway.error_shapes import (
    Shape,
    anthropic_error_event,
    anthropic_shape,
    error_event,
    openai_shape,
    responses_error_event,
)
from sallyport.providers import provider


class Operation(NamedTuple):
    """One operation. `name` is its request schema's too, and what limits match by; `error_event` ends a cut stream."""

    name: str
    scope: str
    shape: Shape = openai_shape
    error_event: Callable[[BaseException], bytes] = error_event


CHAT_COMPLETIONS = Operation(provider.CHAT_COMPLETIONS, "chat")
RESPONSES = Operation(provider.RESPONSES, "chat", error_event=responses_error_event)
EMBEDDINGS = Operation(provider.EMBEDDINGS, "embeddings")
MESSAGES = Operation(provider.MESSAGES, "chat", anthropic_shape, anthropic_error_event)
COUNT_TOKENS = Operation(provider.COUNT_TOKENS, "chat", anthropic_shape, anthropic_error_event)
