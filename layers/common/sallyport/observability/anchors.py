"""Anchors: how far a function instance's audit chain had come at a time, kept where nobody can change it later."""

import hashlib
from typing import NamedTuple, Protocol


class AnchorError(Exception):
    """An anchor can't be written. The message is a code, such as AWS's, and holds no data."""


class Anchor(NamedTuple):
    """The head of a chain: the record numbered `seq` has the hash `hash`. `at_s` is the instance's time, in seconds."""

    chain: str
    seq: int
    hash: str
    at_s: int
    function: str


class AnchorStore(Protocol):
    """Where anchors are kept. It adds, and never changes or removes."""

    def write(self, anchor: Anchor) -> None:
        """Add an anchor; once more, the same one changes nothing. Raises `AnchorError`."""


def first_hash(chain: str) -> str:
    """Give what stands as `prev` in the first record of a chain, so that records of two chains can't be exchanged."""
    return hashlib.sha256(f"sallyport audit chain {chain}".encode()).hexdigest()
