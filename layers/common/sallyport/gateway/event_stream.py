"""Event streams (WHATWG HTML, section 9.2) on their way through: the bytes stay, only whole events go."""

from collections.abc import Iterable, Iterator

MAX_HELD_BYTES = 1_048_576
"""An event that is longer is passed on in pieces."""

MAX_COMMENT_BYTES = 1024

_BLANK_LINES = (b"\n\n", b"\n\r\n", b"\r\r")
_OVERLAP = max(map(len, _BLANK_LINES)) - 1


def whole_events(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give a stream's bytes up to the last event that is whole, as soon as it is; at the end, what is left.

    No client can use half an event, and one that is followed by an error would be read together with it. Comments are
    whole at their line's end: servers send them to keep a silent stream alive. Where part of a too long event has gone
    and the stream then fails, a blank line ends that event.
    """
    held: list[bytes] = []
    size, tail, cut = 0, b"", False
    try:
        for chunk in chunks:
            end = _end_of_events(tail, chunk)
            cut = cut and not end
            if size + len(chunk) >= MAX_HELD_BYTES:
                end, cut = len(chunk), True
            elif not cut and _are_comments(held, size, chunk[end:]):
                end = len(chunk)
            if end:
                yield b"".join([*held, chunk[:end]])
                held, size, tail, chunk = [], 0, b"", chunk[end:]  # noqa: PLW2901 - what is left of it
            if chunk:
                held.append(chunk)
                size += len(chunk)
                tail = (tail + chunk)[-_OVERLAP:]
    except Exception:
        if cut:
            yield b"\n\n"
        raise
    if held:
        yield b"".join(held)


def _are_comments(held: list[bytes], size: int, rest: bytes) -> bool:
    """Say whether all that would be held are whole comment lines; long ones aren't looked at again for every piece."""
    if size + len(rest) > MAX_COMMENT_BYTES or not rest.endswith((b"\n", b"\r")):
        return False
    return all(line.startswith(b":") for line in b"".join([*held, rest]).splitlines())


def _end_of_events(tail: bytes, chunk: bytes) -> int:
    """Give where in `chunk` the last blank line ends, 0 if there is none; it may have begun in what came before."""
    window = tail + chunk
    ends = ((window.rfind(blank), len(blank)) for blank in _BLANK_LINES)  # lines end in LF, CR LF, or CR
    return max(0, max(at + length if at >= 0 else 0 for at, length in ends) - len(tail))
