"""Which entry of a document's `content` a media type falls under (OpenAPI 3.1, "Media Type Object")."""

import re
from collections.abc import Iterable

TEXT = "text/plain"
FORM = "application/x-www-form-urlencoded"
JSON_ONLY = "+json"
"""After a range: of its types only JSON's are taken, for its schema wants what no other could be checked for."""

_ESSENCE = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+/[a-z0-9!#$%&'*+.^_`|~-]+")
"""RFC 9110, sections 5.6.2 and 8.3.1."""
_UTF_8 = frozenset({"utf-8", "utf8"})


def essence(media_type: str) -> str:
    """Give type and subtype, in small letters, without parameters (RFC 9110, section 8.3.1).

    "" for more than one type, which is what a header that was sent twice becomes: readers take one or the other.
    """
    if "," in media_type:
        return ""
    return media_type.partition(";")[0].strip(" \t").lower()


def choose(declared: Iterable[str], media_type: str) -> str | None:
    """Give the most specific of the `declared` that a type, an essence, is of; None: it is of none, or is no type."""
    if _ESSENCE.fullmatch(media_type) is None:
        return None
    found = set(declared)
    ranges = [f"{media_type.partition('/')[0]}/*", "*/*"]
    if is_json(media_type):
        ranges = [one for each in ranges for one in (f"{each}{JSON_ONLY}", each)]
    return next((one for one in (media_type, *ranges) if one in found), None)


def is_json(media_type: str) -> bool:
    """Say whether an essence is JSON's (RFC 6839, section 3.1)."""
    return media_type == "application/json" or media_type.endswith("+json")


def is_utf_8(media_type: str) -> bool:
    """Say whether a type's parameters name no charset but UTF-8; JSON has no other (RFC 8259, section 8.1)."""
    pairs = [one.partition("=") for one in media_type.partition(";")[2].lower().split(";")]
    return all(value.strip(" \t\"'") in _UTF_8 for name, _, value in pairs if name.strip().startswith("charset"))
