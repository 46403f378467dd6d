"""What is wrong with an answer, as a log may tell it: what kind, and where, and never a value of it."""

from typing import NamedTuple

SCHEMA, ORDER, TERMINATION, ENCODING = "schema", "order", "termination", "encoding"
SIZE, MEDIA_TYPE, STATUS = "size", "media_type", "status"
KINDS = (SCHEMA, ORDER, TERMINATION, ENCODING, SIZE, MEDIA_TYPE, STATUS)
"""A field isn't as the API defines it; an event isn't where it may be; the end is missing, or isn't the end; the bytes
aren't UTF-8 or strict JSON; there are too many; the content type or the status isn't one of this operation."""


class Violation(NamedTuple):
    """`kind`: one of `KINDS`. `path`: the field, the event or the header, such as `choices[0].index`; may be empty."""

    kind: str
    path: str
