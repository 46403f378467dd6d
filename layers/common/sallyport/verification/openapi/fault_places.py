"""Where a fault is, as its sender is told, and as a log is."""

from collections.abc import Iterable

from sallyport.verification.openapi.schema_check import Unlisted
from sallyport.verification.strict_json import MAX_SHOWN_CHARS


def field(path: Iterable[str | int]) -> str:
    """Give a field's place, with names of the sender's own; for the sender alone."""
    return _joined(step[:MAX_SHOWN_CHARS] if isinstance(step, str) else step for step in path)


def logged_field(path: Iterable[str | int]) -> str:
    """Give a field's place with names of the schema alone: others may be data, such as a person's address."""
    return _joined("*" if isinstance(step, Unlisted) else step for step in path)


def _joined(path: Iterable[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
