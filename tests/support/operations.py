"""Which operations a provider makes requests of, found out by asking it."""

from typing import Any

from sallyport.providers import provider

EVERY = (
    provider.CHAT_COMPLETIONS,
    provider.RESPONSES,
    provider.EMBEDDINGS,
    provider.MESSAGES,
    provider.COUNT_TOKENS,
    "apps",
    "",
)
ANY_BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "hello there"}],
}


def is_made(asked: provider.Provider, call: provider.Call) -> bool:
    """Say whether a provider makes a request of a call."""
    try:
        asked.request(call._replace(raw=None))
    except KeyError:
        return False
    return True
