"""Which entry of a document's `content` a media type falls under (OpenAPI 3.1, "Media Type Object")."""

from collections.abc import Iterable


def essence(media_type: str) -> str:
    """Give type and subtype, in small letters, without parameters (RFC 9110, section 8.3.1)."""
    return media_type.partition(";")[0].strip().lower()


def choose(declared: Iterable[str], media_type: str) -> str | None:
    """Give the most specific of the `declared` ranges that a type is of, or None; all are essences."""
    kind = media_type.partition("/")[0]
    found = set(declared)
    return next((one for one in (media_type, f"{kind}/*", "*/*") if one in found), None) if media_type else None


def is_json(media_type: str) -> bool:
    """Say whether an essence is JSON's (RFC 6839, section 3.1)."""
    return media_type == "application/json" or media_type.endswith("+json")


def is_utf_8(media_type: str) -> bool:
    """Say whether a type's parameters name no charset but UTF-8; JSON has no other (RFC 8259, section 8.1)."""
    parameters = media_type.partition(";")[2].lower().replace('"', "").replace(" ", "").split(";")
    return all(one in {"charset=utf-8", ""} or not one.startswith("charset=") for one in parameters)
