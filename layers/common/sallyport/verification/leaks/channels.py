"""Where, in the events of each API's stream, the pieces of one text are, and when that text is at its end.

A channel is one text: a choice's content, a tool call's arguments, a content block, an output item's part. Its pieces
come in deltas, between those of other channels.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

type Channel = tuple[Any, ...]
type Path = tuple[str | int, ...]

_CHAT_TEXTS = ("content", "refusal", "reasoning_content", "reasoning")
_BLOCK_TEXTS = ("text", "partial_json", "thinking")
_PARTS = ("item_id", "output_index", "content_index", "summary_index")
_WHOLE_RESPONSES = ("response.completed", "response.incomplete", "response.failed", "response.output_item.done")


class Piece(NamedTuple):
    """A delta's text, where in the event it is, and an event of the same shape that holds another text alone."""

    channel: Channel
    path: Path
    text: str
    event_type: str
    shaped: Callable[[str], dict[str, Any]]


class StreamShape(NamedTuple):
    """`pieces` of an event's data; `ends(data, channel)`: whether the channel is at its end with this event.

    `repeats(data)`: whether an event tells texts again that came in deltas.
    """

    pieces: Callable[[Mapping[str, Any]], Iterator[Piece]]
    ends: Callable[[Mapping[str, Any], Channel], bool]
    repeats: Callable[[Mapping[str, Any]], bool] = lambda _: False


def shape_of(route: str) -> StreamShape:
    """Give a route's; an unknown route's events have no channels, and each of their texts is looked at by itself."""
    return _SHAPES.get(route, _NONE)


def _chat_pieces(data: Mapping[str, Any]) -> Iterator[Piece]:
    for place, choice in _items(data.get("choices")):
        delta = choice.get("delta")
        if isinstance(delta, dict):
            for steps, text in _chat_texts(delta):
                yield _chat_piece(data, choice.get("index"), ("choices", place, "delta"), steps, text)


def _chat_texts(delta: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for name in _CHAT_TEXTS:
        if isinstance(delta.get(name), str):
            yield (name,), delta[name]
    if isinstance(text := _inner(delta, "function_call").get("arguments"), str):
        yield ("function_call", "arguments"), text
    for place, call in _items(delta.get("tool_calls")):
        for kind, name in (("function", "arguments"), ("custom", "input")):
            if isinstance(text := _inner(call, kind).get(name), str):
                yield ("tool_calls", place, kind, name), text


def _chat_piece(data: Mapping[str, Any], index: Any, base: Path, steps: Path, text: str) -> Piece:
    delta: dict[str, Any] = data["choices"][base[1]]["delta"]
    call = delta["tool_calls"][steps[1]].get("index", steps[1]) if steps[0] == "tool_calls" else None

    def shaped(held: str) -> dict[str, Any]:
        inner: Any = held
        for step in reversed(steps):
            inner = [{"index": call, **inner}] if isinstance(step, int) else {step: inner}
        choices = [{"index": index, "delta": inner, "finish_reason": None}]
        return {**{name: data[name] for name in data if name not in {"choices", "usage"}}, "choices": choices}

    return Piece((index, steps[0], call, steps[-1]), base + steps, text, "message", shaped)


def _chat_ends(data: Mapping[str, Any], channel: Channel) -> bool:
    return any(
        choice.get("index") == channel[0] and choice.get("finish_reason") is not None
        for _, choice in _items(data.get("choices"))
    )


def _message_pieces(data: Mapping[str, Any]) -> Iterator[Piece]:
    delta = _inner(data, "delta")
    if data.get("type") == "content_block_delta":
        for name in _BLOCK_TEXTS:
            if isinstance(text := delta.get(name), str):
                yield _block_piece(data, delta, name, text)


def _block_piece(data: Mapping[str, Any], delta: Mapping[str, Any], name: str, text: str) -> Piece:
    def shaped(held: str) -> dict[str, Any]:
        return {**data, "delta": {"type": delta.get("type"), name: held}}

    return Piece((data.get("index"), name), ("delta", name), text, "content_block_delta", shaped)


def _message_ends(data: Mapping[str, Any], channel: Channel) -> bool:
    kind = data.get("type")
    return kind in {"message_delta", "message_stop"} or (
        kind == "content_block_stop" and data.get("index") == channel[0]
    )


def _response_pieces(data: Mapping[str, Any]) -> Iterator[Piece]:
    kind, text = data.get("type"), data.get("delta")
    if isinstance(kind, str) and kind.endswith(".delta") and isinstance(text, str):
        channel = (kind.removesuffix(".delta"), *(data.get(part) for part in _PARTS))
        yield Piece(channel, ("delta",), text, kind, lambda held: {**data, "delta": held})


def _response_ends(data: Mapping[str, Any], channel: Channel) -> bool:
    if data.get("type") in _WHOLE_RESPONSES:
        return data.get("type") != "response.output_item.done" or data.get("output_index") == channel[2]
    parts = tuple(data.get(part) for part in _PARTS)
    return data.get("type") == f"{channel[0]}.done" and parts == channel[1:]


def _response_repeats(data: Mapping[str, Any]) -> bool:
    return not str(data.get("type")).endswith(".delta")


def _items(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    if isinstance(value, list):
        yield from ((place, item) for place, item in enumerate(value) if isinstance(item, dict))


def _inner(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


_NONE = StreamShape(lambda _: iter(()), lambda _data, _channel: False)
_SHAPES = {
    "chat_completions": StreamShape(_chat_pieces, _chat_ends),
    "messages": StreamShape(_message_pieces, _message_ends),
    "responses": StreamShape(_response_pieces, _response_ends, _response_repeats),
}
