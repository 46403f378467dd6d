"""What is asked of a target: the client's request, with what the gateway adds to it for that target."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sallyport.policy.limit_rules import ModelRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from sallyport.providers.provider import CHAT_COMPLETIONS, Call
from sallyport.providers.stream_usage import asks_for_usage

_CAPS = ("max_completion_tokens", "max_tokens")


class Ask(NamedTuple):
    """A checked request. `text`: its client's own, None where the body is another.

    `cap`: tokens that limits hold its answer to, None where it stays as it is. `stream_usage`: every chat stream is
    asked for its usage.
    """

    operation: str
    body: Mapping[str, Any]
    text: str | None
    headers: Mapping[str, str]
    cap: int | None
    stream_usage: bool


def call_for(ask: Ask, target: Target, upstream: UpstreamRules, model: ModelRules) -> Call:
    """Give the call for one target. A body that nothing is added to keeps the client's bytes."""
    stream = ask.body.get("stream") is True
    added = _added_cap(ask, upstream, model)
    return Call(
        operation=ask.operation,
        body={**ask.body, **added} if added else ask.body,
        raw=None if added or ask.text is None else ask.text.encode(),
        model=target.model or ask.body["model"],
        stream=stream,
        headers=ask.headers,
        ask_usage=stream and _asks_usage(ask, upstream),
    )


def _added_cap(ask: Ask, upstream: UpstreamRules, model: ModelRules) -> dict[str, int]:
    """Give the limit of the answer's length that goes upstream.

    Where a chat is translated, the other API wants one in any case; the model's own is what its client would expect.
    """
    if ask.cap is not None:
        return {"max_completion_tokens" if ask.operation == CHAT_COMPLETIONS else "max_output_tokens": ask.cap}
    is_translated = ask.operation == CHAT_COMPLETIONS and upstream.provider != "openai"
    if is_translated and model.max_output_tokens and not any(ask.body.get(name) for name in _CAPS):
        return {"max_completion_tokens": model.max_output_tokens}
    return {}


def _asks_usage(ask: Ask, upstream: UpstreamRules) -> bool:
    """Say whether usage is asked for that the client didn't; where a stream is translated that costs nothing."""
    if ask.operation != CHAT_COMPLETIONS or asks_for_usage(ask.body):
        return False
    return ask.stream_usage or upstream.provider != "openai"
