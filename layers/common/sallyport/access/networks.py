"""Sets of IP networks: read strictly, packed for the stored policy, looked up in a time that hardly grows with them.

An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) is the IPv4 address inside it, on both sides of a comparison.
A set is kept as sorted, disjoint ranges in arrays of machine integers, because a list may hold 100,000 networks: as
Python objects those would take tens of megabytes, and a step each to load.
"""

import binascii
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from operator import le, lt
from typing import Any

MAX_ADDRESS_CHARS = 45
"""The longest form of an address: six groups of four digits and a dotted IPv4 address."""
_MAX_SHOWN_CHARS = 60
_BITS = {4: 32, 6: 128}
_MAPPED_FIRST, _MAPPED_LAST = 0xFFFF_0000_0000, 0xFFFF_FFFF_FFFF
_MAPPED_BITS = 96
_HALF_BITS, _LOW_HALF = 64, 0xFFFF_FFFF_FFFF_FFFF
_KEYS_PER_SLOT, _MAX_SLOTS = 16, 4096


def parse_address(text: str) -> tuple[int, int]:
    """Read an address as (version, number); a mapped IPv6 address gives 4 and the IPv4 address inside it.

    Raises `ValueError` for anything else: zone ids, leading zeros (octal to some readers), whitespace, ports.
    """
    version, number = _parse_literal(text)
    if version == 6 and _MAPPED_FIRST <= number <= _MAPPED_LAST:  # noqa: PLR2004 - IP version
        return 4, number - _MAPPED_FIRST
    return version, number


def format_address(version: int, number: int) -> str:
    """Write an address in its canonical form (RFC 5952 for IPv6)."""
    return str(IPv4Address(number) if version == 4 else IPv6Address(number))  # noqa: PLR2004 - IP version


def parse_network(text: str) -> tuple[int, int, int]:
    """Read a network in CIDR notation, or a single address, as (version, first address, last address).

    A mapped network is the IPv4 network inside it. Raises `ValueError` that names the entry and what is wrong with it;
    so are entries that could be meant otherwise than they read: host bits that are set, a netmask, a host mask.
    """
    try:
        return _parse_network(text)
    except ValueError as error:
        raise ValueError(f"{text[:_MAX_SHOWN_CHARS]!r}: {error}") from None


class NetworkSet:
    """A set of networks. Lookup takes a constant number of bisections, whatever the networks and prefix lengths.

    Its length is the number of networks given, some of which may lie in others.
    """

    __slots__ = ("_count", "_v4", "_v6")

    def __init__(self, networks: Iterable[str]) -> None:
        """Read networks and single addresses. Raises `ValueError` that names the one at fault and why."""
        ranges: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for text in networks:
            version, first, last = parse_network(text)
            ranges[version].append((first, last))
        self._count = len(ranges[4]) + len(ranges[6])
        self._v4 = _RangesV4(*_columns_v4(_merged(ranges[4])))
        self._v6 = _RangesV6(*_columns_v6(_merged(ranges[6])))

    def __len__(self) -> int:
        return self._count

    def contains(self, version: int, number: int) -> bool:
        """Say whether an address from `parse_address` lies in one of the networks."""
        return self._v4.contains(number) if version == 4 else self._v6.contains(number)  # noqa: PLR2004 - IP version

    def pack(self) -> dict[str, Any]:
        """Write the set as JSON values: `{"count": networks given, "v4": base64, "v6": base64}`.

        The bytes are little-endian integers, the starts of the ranges and then their ends: 32 bits each for IPv4; for
        IPv6 64 bits each, first the starts' high halves, then their low halves, then the same of the ends.
        """
        return {"count": self._count, "v4": _write(self._v4.columns), "v6": _write(self._v6.columns)}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> "NetworkSet":
        """Read what `pack` wrote. Raises `ValueError` for what it can't have written."""
        made = cls(())
        try:
            made._load(packed)
        except (KeyError, TypeError):
            raise ValueError("packed networks lack a field, or one is of another type") from None
        return made

    def _load(self, packed: Mapping[str, Any]) -> None:
        self._count = packed["count"]
        self._v4 = _RangesV4(*_read(packed["v4"], "I", 2))
        self._v6 = _RangesV6(*_read(packed["v6"], "Q", 4))
        _check_count(self._count, len(self._v4.columns[0]) + len(self._v6.columns[0]))


class _Slots:
    """Where in a sorted array to bisect: the span of its keys in equal slots, as many as leave each a few keys.

    Without them a bisection in 100,000 keys takes four times the steps of one in 10.
    """

    __slots__ = ("bounds", "first", "last", "shift")

    def __init__(self, keys: array[int]) -> None:
        slots = min(len(keys) // _KEYS_PER_SLOT, _MAX_SLOTS) or 1
        self.first = keys[0] if keys else 0
        span = keys[-1] - self.first if keys else 0
        self.shift = max(span.bit_length() - slots.bit_length() + 1, 0)
        self.last = (span >> self.shift) + 1
        starts = (self.first + (slot << self.shift) for slot in range(self.last))
        self.bounds = array("I", (bisect_left(keys, start) for start in starts))
        self.bounds.extend((len(keys), len(keys)))  # the last slot is for all that comes after the span


class _RangesV4:
    """Sorted, disjoint ranges of IPv4 addresses. `columns`: starts, ends."""

    __slots__ = ("_slots", "columns")

    def __init__(self, starts: array[int], ends: array[int]) -> None:
        """Raises `ValueError` for ranges that aren't in order."""
        self.columns = (starts, ends)
        _check_order(all(map(le, starts, ends)) and all(map(lt, ends, islice(starts, 1, None))))
        self._slots = _Slots(starts)

    def contains(self, number: int) -> bool:
        starts, ends = self.columns
        slots = self._slots
        slot = min((number - slots.first) >> slots.shift, slots.last)
        if slot < 0:
            return False
        place = bisect_right(starts, number, slots.bounds[slot], slots.bounds[slot + 1]) - 1
        return place >= 0 and number <= ends[place]


class _RangesV6:
    """Sorted, disjoint ranges of IPv6 addresses. `columns`: starts' high halves, low halves, ends' high, low.

    In halves, since no array holds integers of 128 bits.
    """

    __slots__ = ("_slots", "columns")

    def __init__(
        self, starts_high: array[int], starts_low: array[int], ends_high: array[int], ends_low: array[int]
    ) -> None:
        """Raises `ValueError` for ranges that aren't in order."""
        self.columns = (starts_high, starts_low, ends_high, ends_low)
        following = zip(islice(starts_high, 1, None), islice(starts_low, 1, None), strict=True)
        _check_order(
            all(map(le, zip(starts_high, starts_low, strict=True), zip(ends_high, ends_low, strict=True)))
            and all(map(lt, zip(ends_high, ends_low, strict=True), following))
        )
        self._slots = _Slots(starts_high)

    def contains(self, number: int) -> bool:
        starts_high, starts_low, ends_high, ends_low = self.columns
        high, low = number >> _HALF_BITS, number & _LOW_HALF
        slots = self._slots
        slot = min((high - slots.first) >> slots.shift, slots.last)
        if slot < 0:
            return False
        begin = slots.bounds[slot]
        end = bisect_right(starts_high, high, begin, slots.bounds[slot + 1])
        if end > begin and starts_high[end - 1] == high and starts_low[end - 1] > low:
            end = bisect_right(starts_low, low, bisect_left(starts_high, high, begin, end), end)
        if end == 0:
            return False
        last = ends_high[end - 1]
        return high < last or (high == last and low <= ends_low[end - 1])


def _parse_literal(text: str) -> tuple[int, int]:
    if len(text) > MAX_ADDRESS_CHARS:
        raise ValueError("is too long for an address")
    if "%" in text:
        raise ValueError("has a zone id, which means nothing to another host")
    return (6, int(IPv6Address(text))) if ":" in text else (4, int(IPv4Address(text)))


def _parse_network(text: str) -> tuple[int, int, int]:
    if text.split() != [text]:
        raise ValueError("has whitespace in it" if text else "is empty")
    address, slash, length = text.partition("/")
    version, number = _parse_literal(address)
    bits = _parse_length(length, _BITS[version]) if slash else _BITS[version]
    if version == 6 and bits >= _MAPPED_BITS and number >> 32 == _MAPPED_FIRST >> 32:  # noqa: PLR2004 - IP version
        version, number, bits = 4, number - _MAPPED_FIRST, bits - _MAPPED_BITS
    host_bits = _BITS[version] - bits
    first = number >> host_bits << host_bits
    last = first + (1 << host_bits) - 1
    _check_not_over_mapped(version, bits, first, last)
    if first != number:
        meant = f"{format_address(version, first)}/{bits} or {format_address(version, number)}"
        raise ValueError(f"has bits set after its prefix; meant is {meant}")
    return version, first, last


def _parse_length(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("after the slash stands a prefix length, such as 24, and no netmask or host mask")
    if len(text) > 3 or text != str(int(text)) or int(text) > most:  # noqa: PLR2004 - digits of 128
        raise ValueError(f"the prefix length is a number from 0 to {most}, without leading zeros")
    return int(text)


def _check_not_over_mapped(version: int, bits: int, first: int, last: int) -> None:
    """Refuse an IPv6 network around the mapped addresses: it reads as if it held IPv4, and can't.

    ::/0 may stay, as the usual name of all of IPv6.
    """
    if version == 6 and bits and first <= _MAPPED_FIRST <= last:  # noqa: PLR2004 - IP version
        raise ValueError("holds the IPv4-mapped addresses ::ffff:0:0/96 and more; name IPv4 networks as such")


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _columns_v4(ranges: list[tuple[int, int]]) -> tuple[array[int], array[int]]:
    return array("I", (first for first, _ in ranges)), array("I", (last for _, last in ranges))


def _columns_v6(ranges: list[tuple[int, int]]) -> tuple[array[int], array[int], array[int], array[int]]:
    return (
        array("Q", (first >> _HALF_BITS for first, _ in ranges)),
        array("Q", (first & _LOW_HALF for first, _ in ranges)),
        array("Q", (last >> _HALF_BITS for _, last in ranges)),
        array("Q", (last & _LOW_HALF for _, last in ranges)),
    )


def _check_order(in_order: bool) -> None:
    if not in_order:
        raise ValueError("packed networks aren't in order")


def _check_count(count: object, ranges: int) -> None:
    """An empty allow list admits everyone, so how many there are and whether there are any has to agree."""
    if type(count) is not int or count < ranges or bool(count) != bool(ranges):
        raise ValueError("packed networks don't have the count that they state")


def _write(columns: Iterable[array[int]], byteorder: str = sys.byteorder) -> str:
    raw = b"".join(_little_endian(column, byteorder).tobytes() for column in columns)
    return binascii.b2a_base64(raw, newline=False).decode()


def _read(text: str, typecode: str, columns: int, byteorder: str = sys.byteorder) -> list[array[int]]:
    """Give the columns. Raises `ValueError` for broken base64 and columns of different lengths, `TypeError`."""
    if not isinstance(text, str):
        raise TypeError
    raw = memoryview(binascii.a2b_base64(text, strict_mode=True))
    if len(raw) % (columns * array(typecode).itemsize):
        raise ValueError("packed networks end in the middle of one")
    size = len(raw) // columns
    parts = (raw[place * size : (place + 1) * size] for place in range(columns))
    return [_little_endian(array(typecode, part.tobytes()), byteorder) for part in parts]


def _little_endian(numbers: array[int], byteorder: str) -> array[int]:
    """Give the same numbers with their bytes in the packed order, or back: the swap is its own inverse."""
    if byteorder == "little":
        return numbers
    swapped = array(numbers.typecode, numbers)
    swapped.byteswap()
    return swapped
