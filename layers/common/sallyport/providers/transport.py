"""What a provider needs of the network; an adapter implements it, and a fake in the tests."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol


class UpstreamRequest(NamedTuple):
    """A request to an upstream. `target` is path and query below its origin."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class UpstreamResponse(Protocol):
    """An answer whose header has come. Header names are lower-case."""

    @property
    def status(self) -> int:
        """Give the HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Give the headers by lower-case name."""

    def chunks(self) -> Iterator[bytes]:
        """Give the body as it arrives. Raises `UpstreamError`s and `DeadlineExceededError`."""

    def close(self) -> None:
        """Let go of the answer, read to its end or not."""


class Transport(Protocol):
    """Sends requests to one upstream's origin."""

    def send(self, request: UpstreamRequest, remaining_s: Callable[[], float]) -> UpstreamResponse:
        """Send, and give the answer once its header has come; `remaining_s` tells how long the caller can still wait.

        No redirect is followed. Raises `UpstreamError`s and `DeadlineExceededError`.
        """
