"""Where, in the events of each API's stream, the pieces of one text are, and when that text is at its end.

A channel is one text: a choice's content, a tool call's arguments, a content block, an output item's part. Its pieces
come in deltas, between those of other channels.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

type Channel = tuple[Any, ...]
type Path = tuple[str | int, ...]

_CHAT_TEXTS = frozenset({
    "content", "refusal", "reasoning_content", "reasoning", "text", "thinking", "summary", "transcript", "arguments",
    "input",
})  # fmt: skip
"""Wherever in a delta: OpenRouter tells reasoning twice, Mistral's content is a list, audio has a transcript."""
_BLOCK_TEXTS = {"text": "text_delta", "partial_json": "input_json_delta", "thinking": "thinking_delta"}
_BLOCK_EVENTS = {"content_block_start": "content_block", "content_block_delta": "delta"}
"""Which events hold a block's texts, and where."""
_PARTS = ("item_id", "output_index", "content_index", "summary_index")
_LAST_RESPONSES = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})


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
        for steps, text in _chat_texts(choice.get("delta")):
            yield _chat_piece(data, choice, ("choices", place, "delta", *steps), text)


def _chat_texts(value: Any, name: str | int = "") -> Iterator[tuple[Path, str]]:
    """Give the texts in a delta and the way to each."""
    if isinstance(value, str):
        if name in _CHAT_TEXTS:
            yield (), value
        return
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in parts:
        for steps, text in _chat_texts(part, step):
            yield (step, *steps), text


def _chat_piece(data: Mapping[str, Any], choice: Mapping[str, Any], path: Path, text: str) -> Piece:
    """Make one whose channel names the items of lists by their `index`: a tool call isn't always at its place."""
    steps, index, value, channel = path[3:], choice.get("index"), choice["delta"], []
    for step in steps:
        value = value[step]
        is_item = isinstance(step, int) and isinstance(value, dict)
        channel.append(_label(value.get("index", step)) if is_item else step)

    def shaped(held: str) -> dict[str, Any]:
        choices = [{"index": index, "delta": _shaped_as(choice["delta"], steps, held), "finish_reason": None}]
        return {**{name: data[name] for name in data if name not in {"choices", "usage"}}, "choices": choices}

    return Piece((_label(index), *channel), path, text, "message", shaped)


def _shaped_as(value: Any, steps: Path, held: str) -> Any:
    """Give a value's copy that holds one text, and of what is around it no more than its place and type."""
    if not steps:
        return held
    inner = _shaped_as(value[steps[0]], steps[1:], held)
    if isinstance(value, list):
        return [inner]
    return {**{name: value[name] for name in ("index", "type") if name in value}, steps[0]: inner}


def _chat_ends(data: Mapping[str, Any], channel: Channel) -> bool:
    is_finished = any(
        _label(choice.get("index")) == channel[0] and choice.get("finish_reason") is not None
        for _, choice in _items(data.get("choices"))
    )
    return is_finished or bool(data.get("error") or data.get("object") == "error")


def _message_pieces(data: Mapping[str, Any]) -> Iterator[Piece]:
    place = _BLOCK_EVENTS.get(str(data.get("type")))
    if place is not None:
        for name, kind in _BLOCK_TEXTS.items():
            if isinstance(text := _inner(data, place).get(name), str):
                yield _block_piece(data, place, name, kind, text)


def _block_piece(data: Mapping[str, Any], place: str, name: str, kind: str, text: str) -> Piece:
    def shaped(held: str) -> dict[str, Any]:
        others = {field: data[field] for field in data if field != place}
        return {**others, "type": "content_block_delta", "delta": {"type": kind, name: held}}

    return Piece((_label(data.get("index")), name), (place, name), text, "content_block_delta", shaped)


def _message_ends(data: Mapping[str, Any], channel: Channel) -> bool:
    kind = str(data.get("type"))
    return kind in {"message_delta", "message_stop", "error"} or (
        kind == "content_block_stop" and _label(data.get("index")) == channel[0]
    )


def _response_pieces(data: Mapping[str, Any]) -> Iterator[Piece]:
    kind, text = data.get("type"), data.get("delta")
    if isinstance(kind, str) and kind.endswith(".delta") and isinstance(text, str):
        channel = (kind.removesuffix(".delta"), *(_label(data.get(part)) for part in _PARTS))
        yield Piece(channel, ("delta",), text, kind, lambda held: {**data, "delta": held})


def _response_ends(data: Mapping[str, Any], channel: Channel) -> bool:
    kind = str(data.get("type"))
    if kind == "response.output_item.done":
        return bool(_label(data.get("output_index")) == channel[2])
    parts = tuple(_label(data.get(part)) for part in _PARTS)
    return bool(kind in _LAST_RESPONSES or (kind == f"{channel[0]}.done" and parts == channel[1:]))


def _response_repeats(data: Mapping[str, Any]) -> bool:
    return not str(data.get("type")).endswith(".delta")


def _label(value: Any) -> Any:
    """Give what a channel is told apart by; an event that no schema has seen may have anything there."""
    return json.dumps(value) if isinstance(value, dict | list) else value


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
