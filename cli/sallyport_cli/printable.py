"""Text of others, fit to be shown on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Give a text with `?` for what would steer a terminal or begin a line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
