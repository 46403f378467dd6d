"""Sets of IP networks, strictly read and looked up in a time that doesn't grow with their number.

An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) is the IPv4 address inside it, on both sides of a comparison.
"""

import ipaddress
from collections.abc import Iterable

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def parse_address(text: str) -> tuple[int, int]:
    """Read an address as (version, number). Raises `ValueError`; a zone id isn't an address of a client's."""
    if "%" in text:
        raise ValueError("an address with a zone id")
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if address.version == 6 else None  # noqa: PLR2004 - IP version
    address = mapped or address
    return address.version, int(address)


class NetworkSet:
    """A set of networks. Lookup costs one probe per prefix length in use, however many networks there are."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Read CIDR networks and single addresses. Raises `ValueError` that names the one at fault and why."""
        self._by_length: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        self._size = 0
        for text in networks:
            version, number, length = _parse_network(text)
            host_bits = (32 if version == 4 else 128) - length  # noqa: PLR2004 - IP version
            self._by_length[version].setdefault(host_bits, set()).add(number >> host_bits)
            self._size += 1

    def __len__(self) -> int:
        return self._size

    def contains(self, version: int, number: int) -> bool:
        """Say whether an address from `parse_address` lies in one of the networks."""
        return any(number >> host_bits in prefixes for host_bits, prefixes in self._by_length[version].items())


def _parse_network(text: str) -> tuple[int, int, int]:
    _, slash, length = text.partition("/")
    if slash and not (length.isascii() and length.isdigit()):  # 0.0.0.255 would be read as a netmask, or as a host mask
        raise ValueError(f"{text!r}: after the slash stands a prefix length, such as 24")
    if "%" in text:
        raise ValueError(f"{text!r}: a zone id has no meaning here")
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return 4, int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96
    return network.version, int(network.network_address), network.prefixlen
