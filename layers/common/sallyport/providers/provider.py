"""What a route asks of a provider, whichever it is; one module per provider implements it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from sallyport.providers.transport import UpstreamRequest, UpstreamResponse
from sallyport.providers.usage import ReportedUsage, Seen

CHAT_COMPLETIONS = "chat_completions"
RESPONSES = "responses"
EMBEDDINGS = "embeddings"
MESSAGES = "messages"
COUNT_TOKENS = "count_tokens"

SERVED: Mapping[str, frozenset[str]] = {
    "openai": frozenset({CHAT_COMPLETIONS, RESPONSES, EMBEDDINGS}),
    "anthropic": frozenset({CHAT_COMPLETIONS, MESSAGES, COUNT_TOKENS}),
    "bedrock": frozenset({CHAT_COMPLETIONS, MESSAGES}),
}
"""Which operations can be put to each provider: it makes a request of these, and of no other."""


def serves(provider: str, operation: str) -> bool:
    """Say whether an operation can be put to a provider."""
    return operation in SERVED.get(provider, ())


class Call(NamedTuple):
    """One request to one target, checked against its route's schema.

    `body` is what is asked, in the route's own API, its `model` being the client's name for it; `raw` are the client's
    bytes where nothing of the body was changed, None where something was. `model` is the target's name for it.
    `stream`: the client wants events. `ask_usage`: a stream's usage is asked for though its client didn't (the gateway
    takes it out again). `headers` are the client's, by lower-case name.
    """

    operation: str
    body: Mapping[str, Any]
    raw: bytes | None
    model: str
    stream: bool
    headers: Mapping[str, str]
    ask_usage: bool = False


class UsageReader(Protocol):
    """Looks at an answer, in the route's own API, as it passes; reading never fails."""

    def feed(self, chunk: bytes, /) -> None:
        """Take the next bytes; of an event stream whole events."""

    @property
    def reported(self) -> ReportedUsage | None:
        """Give what the upstream says that was used, None if it doesn't."""

    @property
    def seen(self) -> Seen:
        """Give how much came by."""


class Provider(Protocol):
    """Speaks one upstream's API on behalf of the routes' APIs."""

    def request(self, call: Call) -> UpstreamRequest:
        """Give the upstream's request, without its credential.

        Raises `UnsupportedFieldError` with the field's name as `param` for what has no counterpart there, and
        `RequestError` for what can't be forwarded.
        """

    def authorize(self, request: UpstreamRequest, secret: str) -> UpstreamRequest:
        """Give the request with its credential; it is asked right before each sending. `secret` may be empty."""

    def check(self, response: UpstreamResponse, call: Call) -> None:
        """Judge an answer by status and headers.

        Returns for a success and for a 4xx whose body may be shown (translated, if need be); raises an `UpstreamError`
        for everything else: `UpstreamCredentialsError` for 401, 407 and whatever says that the gateway's own
        credential is at fault.
        """

    def chunks(self, response: UpstreamResponse, call: Call) -> Iterator[bytes]:
        """Give the body in the route's own API, a stream as whole events; of a provider of the same API byte for byte.

        Of a 4xx it is the route's error body. Raises `UpstreamError`s; one that is told in the stream before its first
        output is raised before the first chunk.
        """

    def check_start(self, start: bytes, response: UpstreamResponse, call: Call) -> None:
        """Raise an `UpstreamError` if the first bytes that `chunks` gave can't be the route's answer."""

    def usage(self, call: Call) -> UsageReader:
        """Give what reads the usage from the chunks that `chunks` gives, for a successful answer."""

    def returned_headers(self, response: UpstreamResponse, call: Call) -> dict[str, str]:
        """Give the headers of an answer that the client may see, its content type among them."""
