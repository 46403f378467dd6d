"""Event streams (WHATWG HTML, section 9.2) on their way through: the bytes stay, only whole events go."""

from collections.abc import Iterable, Iterator

MAX_HELD_BYTES = 1_048_576
"""An event that is longer is passed on in pieces."""


def whole_events(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give a stream's bytes up to the last event that is whole, as soon as it is; at the end, what is left.

    No client can use half an event, and one that is followed by an error would be read together with it.
    """
    held = b""
    for chunk in chunks:
        held += chunk
        end = _end_of_events(held) if len(held) < MAX_HELD_BYTES else len(held)
        if end:
            yield held[:end]
            held = held[end:]
    if held:
        yield held


def _end_of_events(data: bytes) -> int:
    """Give where the last blank line ends, 0 if there is none; lines may end in LF, CR LF, or CR."""
    ends = ((data.rfind(blank), len(blank)) for blank in (b"\n\n", b"\n\r\n", b"\r\r"))
    return max(at + length if at >= 0 else 0 for at, length in ends)
