"""The path and query under which an app is asked: what a client sent, as far as every server reads it the same way.

A path that one server takes for `/a/../b` and another for a name is how requests get where they may not go, so what
could be read in two ways is refused, not mended.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote_to_bytes

from sallyport.errors import RequestError

MAX_PATH_CHARS = 2000
MAX_QUERY_CHARS = 8000

_MAX_ENCODINGS = 4
"""Of one path into itself: what is encoded more often hides something."""
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
"""RFC 3986, section 3.3."""
_SPOILING = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]|%[uU][0-9A-Fa-f]{4}")
_ENDS_SEGMENT = re.compile(r"[;?#]")
_LOOKALIKES = str.maketrans(
    {"\u2024": ".", "\ufe52": ".", "\uff0e": ".", "\u2025": "..", "\u2026": "...", "\uff0f": "/"}
    | {"\ufe68": "\\", "\uff3c": "\\"}
)
"""What servers that normalise names take for dots and slashes (Unicode's compatibility forms)."""


def app_target(base_path: str, path: str | None, query: Mapping[str, Sequence[str]]) -> str:
    """Give the request target below an app's base path.

    `path` is percent-encoded as it came, without its first slash; None: the base path itself. `query` has each name's
    values, decoded; names keep their order, and so do the values of each. Raises `RequestError`.
    """
    target = base_path.rstrip("/")
    if path is not None:
        check_path(path)
        target = f"{target}/{path}"
    text = _query(query)
    return (target or "/") + (f"?{text}" if text else "")


def check_path(path: str) -> None:
    """Raise `RequestError` for a path that a server might read in another way than this gateway; "" is none."""
    if len(path) > MAX_PATH_CHARS:
        raise RequestError(f"The path is over the limit of {MAX_PATH_CHARS} characters.")
    if _PATH.fullmatch(path) is None:
        raise RequestError("The path has a character that must be percent-encoded.")
    segments = path.split("/")
    for segment in segments[:-1] if segments[-1] == "" else segments:  # a slash at the end is a path's own affair
        _check_segment(segment)


def _check_segment(segment: str) -> None:
    """Look at a segment as it came, and as often decoded as something is left to decode."""
    for _ in range(_MAX_ENCODINGS):
        if _is_empty_or_dots(segment) or _SPOILING.search(segment) is not None:
            raise RequestError(
                "The path has an empty segment, a dot segment, or an encoded slash or control character."
            )
        decoded = _decoded(segment).translate(_LOOKALIKES)
        if decoded == segment:
            return
        segment = decoded
    raise RequestError("The path is percent-encoded too many times over.")


def _is_empty_or_dots(segment: str) -> bool:
    """Some servers take parameters after a semicolon, and spaces at the end, off a segment before they look at it.

    Who decodes a path and then reads it as a URL ends it at a question mark or a hash.
    """
    return not _ENDS_SEGMENT.split(segment, maxsplit=1)[0].strip(". ")


def _decoded(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise RequestError("The path isn't UTF-8.") from None  # an overlong form of a dot, maybe


def _query(query: Mapping[str, Sequence[str]]) -> str:
    """API Gateway has decoded names and values, so they are encoded anew."""
    try:
        text = "&".join(
            f"{quote(name, safe='')}={quote(value or '', safe='')}"
            for name, values in query.items()
            for value in values
        )
    except UnicodeEncodeError:
        raise RequestError("The query isn't UTF-8.") from None
    if len(text) > MAX_QUERY_CHARS:
        raise RequestError(f"The query is over the limit of {MAX_QUERY_CHARS} characters.")
    return text
