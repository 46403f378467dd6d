"""HTTP/1.1 responses, read strictly from a socket's file (RFC 9112): what the runtime and the adapters share.

The standard library's client brings in its e-mail parser, which costs every cold start more than all of this package
(ADR 0004), and takes what two readers may read differently. Here an answer that could be read in two ways is an error.
"""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Reader(Protocol):
        """A buffered file over a socket."""

        def readline(self, limit: int, /) -> bytes:
            """Give bytes up to a line's end, or the limit, or the end."""

        def read1(self, limit: int, /) -> bytes:
            """Give what has come, waiting for at least one byte; none at the end."""


MAX_LINE_BYTES = 65_536
MAX_HEADERS = 128
MAX_INTERIM_RESPONSES = 8
MAX_LENGTH_DIGITS = 15

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0]*)")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_TARGET = re.compile(r"[!-~]+")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_TEXT = re.compile(r"[ -~\t]*")


class ResponseError(Exception):
    """The answer can't be read. Its message is of this module alone, never the peer's bytes."""


class MalformedResponseError(ResponseError):
    """The answer isn't HTTP/1.1, or could be read in two ways."""


class TruncatedResponseError(ResponseError):
    """The peer closed before the answer's end."""


class NoResponseError(TruncatedResponseError):
    """The peer closed without a byte of an answer."""


def request_head(method: str, target: str, fields: "Sequence[tuple[str, str]]") -> bytes:
    """Give a request's first bytes. Raises `ValueError` for a target or a field that would become more than one."""
    if _TARGET.fullmatch(target) is None:
        raise ValueError("a request target can't have such a character")
    for name, value in fields:
        if _FIELD_TEXT.fullmatch(value) is None or _FIELD_NAME.fullmatch(name) is None:
            raise ValueError("a header field can't have such a character")
    lines = [f"{method} {target} HTTP/1.1\r\n", *[f"{name}: {value}\r\n" for name, value in fields], "\r\n"]
    return "".join(lines).encode("ascii")


class Response:
    """An answer whose head has come; interim answers (1xx) are passed over. Header names are lower-case."""

    __slots__ = ("_begun", "_close_delimited", "_left", "_reader", "_state", "headers", "persistent", "status")

    def __init__(self, reader: "Reader") -> None:
        """Read the head. Raises `ResponseError`, and what the reader raises."""
        self._reader = reader
        version, self.status = _status(reader)
        self.headers = _fields(reader)
        self._left = 0
        self._begun = False
        self._close_delimited = False
        self._state = self._framing()
        options = [option.strip().lower() for option in self.headers.get("connection", "").split(",")]
        self.persistent = not self._close_delimited and "close" not in options and (version or "keep-alive" in options)

    @property
    def ended(self) -> bool:
        """Say whether the body was read to its end."""
        return self._state == "ended"

    def read_some(self, limit: int) -> bytes:
        """Give what has come of the body, at least one byte and at most `limit`; none at its end.

        Raises `ResponseError`, and what the reader raises.
        """
        if self._state == "chunked" and self._left == 0:
            self._next_chunk()
        if self._state == "ended":
            return b""
        data = self._reader.read1(limit if self._close_delimited else min(limit, self._left))
        if self._close_delimited:
            if not data:
                self._state = "ended"
            return data
        if not data:
            raise TruncatedResponseError("the answer broke off")
        self._left -= len(data)
        if self._left == 0 and self._state == "sized":
            self._state = "ended"
        return data

    def read_all(self, max_bytes: int) -> bytes:
        """Give the whole body. Raises `MalformedResponseError` if it is larger, and as `read_some` does."""
        parts, size = [], 0
        while data := self.read_some(MAX_LINE_BYTES):
            size += len(data)
            if size > max_bytes:
                raise MalformedResponseError("the answer is larger than it may be")
            parts.append(data)
        return b"".join(parts)

    def _framing(self) -> str:
        """RFC 9112, section 6.3; two framings at once are how answers are smuggled."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if coding is not None and (length is not None or coding.lower() != "chunked"):
            raise MalformedResponseError("the answer's length can be read in two ways")
        if self.status in {204, 304}:
            self._close_delimited = coding is not None or length not in {None, "0"}  # whatever follows is no answer
            return "ended"
        if coding is not None:
            return "chunked"
        if length is None:
            self._close_delimited = True
            return "open"
        if not (length.isascii() and length.isdigit() and len(length) <= MAX_LENGTH_DIGITS):
            raise MalformedResponseError("the answer's length is no number")
        self._left = int(length)
        return "sized" if self._left else "ended"

    def _next_chunk(self) -> None:
        """Read on to the next chunk's data. A chunk's own end is read here, so that its data needn't wait for it."""
        if self._begun and _line(self._reader):
            raise MalformedResponseError("a chunk is longer than its size")
        self._begun = True
        match = _CHUNK_SIZE.fullmatch(_line(self._reader))
        if match is None:
            raise MalformedResponseError("a chunk has no size")
        self._left = int(match[1], 16)
        if self._left == 0:
            _fields(self._reader)  # trailers are read, and count for nothing
            self._state = "ended"


def _status(reader: "Reader") -> tuple[bool, int]:
    """Give whether it is HTTP/1.1, and the status of the first answer that isn't interim."""
    for _ in range(MAX_INTERIM_RESPONSES):
        line = reader.readline(MAX_LINE_BYTES)
        if not line:
            raise NoResponseError("the peer closed without an answer")
        match = _STATUS_LINE.fullmatch(_ended_line(line))
        if match is None:
            raise MalformedResponseError("the answer isn't HTTP/1.1")
        status = int(match[2])
        if status >= 200:  # noqa: PLR2004 - HTTP
            return match[1] == b"1", status
        _fields(reader)
    raise MalformedResponseError("too many interim answers")


def _fields(reader: "Reader") -> dict[str, str]:
    """Read header fields or trailers. One that came twice is joined by commas (RFC 9110, section 5.3)."""
    fields: dict[str, str] = {}
    for _ in range(MAX_HEADERS):
        line = _line(reader)
        if not line:
            return fields
        match = _FIELD.fullmatch(line)
        if match is None:
            raise MalformedResponseError("a header field can't be read")
        name, value = match[1].decode("ascii").lower(), match[2].strip(b" \t").decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    raise MalformedResponseError("too many header fields")


def _line(reader: "Reader") -> bytes:
    return _ended_line(reader.readline(MAX_LINE_BYTES))


def _ended_line(line: bytes) -> bytes:
    if not line.endswith(b"\n"):
        if len(line) == MAX_LINE_BYTES:
            raise MalformedResponseError("a line is too long")
        raise TruncatedResponseError("the answer broke off")
    return line.removesuffix(b"\n").removesuffix(b"\r")
