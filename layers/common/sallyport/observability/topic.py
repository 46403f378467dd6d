"""Where messages for people go: a topic of the operator's, if there is one."""

from collections.abc import Mapping
from typing import Protocol


class PublishError(Exception):
    """A message wasn't published. The message is an error code."""


class Topic(Protocol):
    """Publishes messages; `adapters.sns.SnsTopic` is one."""

    def publish(self, subject: str, message: str, attributes: Mapping[str, str]) -> None:
        """Publish a message, whose attributes subscribers can filter by. Raises `PublishError`."""
