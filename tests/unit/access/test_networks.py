"""Addresses and sets of networks, against Python's own ipaddress as the reference."""

import base64
import ipaddress
import json
import struct
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.access.networks import NetworkSet, _read, _write, format_address, parse_address, parse_network
from sallyport.policy.rules import NO_NETWORKS

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network
type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def around(network: Network) -> bool:
    """Such networks are refused, as ::/0 alone isn't."""
    return isinstance(network, ipaddress.IPv6Network) and 0 < network.prefixlen < 96 and MAPPED.subnet_of(network)


def narrow_numbers(bits: int) -> st.SearchStrategy[int]:
    """Numbers of which many lie close to one another, at the edges of halves, and at both ends."""
    near = st.builds(
        lambda base, step: base + step, st.sampled_from([0, 1 << bits // 2, 1 << bits - 1]), st.integers(0, 40)
    )
    return st.one_of(near, st.integers((1 << bits) - 40, (1 << bits) - 1), st.integers(0, (1 << bits) - 1))


V4 = narrow_numbers(32).map(ipaddress.IPv4Address)
V6 = narrow_numbers(128).map(ipaddress.IPv6Address)
ADDRESSES = st.one_of(V4, V6, V4.map(lambda address: ipaddress.IPv6Address(f"::ffff:{address}")))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    address = draw(ADDRESSES)
    length = draw(st.integers(0, 32) if address.version == 4 else st.integers(0, 128))
    return ipaddress.ip_network((int(address), length) if address.version == 4 else (address, length), strict=False)


NETWORKS = st.lists(networks().filter(lambda network: not around(network)), max_size=12)


def unmapped(address: Address) -> Address:
    inside = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return inside or address


def unmapped_network(network: Network) -> Network:
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96 and network.subnet_of(MAPPED):
        return ipaddress.ip_network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def holds(given_networks: list[Network], address: Address) -> bool:
    """The naive model: one network after another."""
    return any(unmapped(address) in unmapped_network(network) for network in given_networks)


def edges(network: Network) -> list[Address]:
    """The first and last address of a network, and those just outside."""
    first, last = int(network.network_address), int(network.broadcast_address)
    kind = type(network.network_address)
    most = (1 << network.max_prefixlen) - 1
    return [kind(number) for number in (first - 1, first, last, last + 1) if 0 <= number <= most]


@given(NETWORKS, st.lists(ADDRESSES, max_size=4))
def test_lookup_agrees_with_a_search_through_all(some: list[Network], others: list[Address]) -> None:
    found = NetworkSet(str(network) for network in some)
    for address in [*others, *(edge for network in some for edge in edges(network))]:
        assert found.contains(*parse_address(str(address))) is holds(some, address)


@given(st.sampled_from([4, 6]), st.sets(st.integers(0, 400), min_size=100), st.integers(0, 90), st.data())
def test_lookup_agrees_with_a_search_through_many(
    version: int, steps: set[int], shift: int, data: st.DataObject
) -> None:
    """Enough entries that the bisection starts from a slot, spread wide and crowded."""
    bits = 32 if version == 4 else 128
    shift %= bits - 12
    found = NetworkSet(format_address(version, step << shift) for step in steps)
    numbers = {step << shift for step in steps}
    probes = data.draw(st.lists(st.integers(0, (500 << shift) + 3), max_size=20))
    for number in [*probes, *numbers, *(number + 1 for number in numbers), (1 << bits) - 1]:
        assert found.contains(version, number) is (number in numbers)


@given(NETWORKS)
def test_packed_and_unpacked_it_is_the_same_set(some: list[Network]) -> None:
    made = NetworkSet(str(network) for network in some)
    packed = made.pack()
    read = NetworkSet.unpack(json.loads(json.dumps(packed)))
    assert packed["count"] == len(made) == len(read) == len(some)
    assert read.pack() == packed
    for edge in (edge for network in some for edge in edges(network)):
        assert read.contains(*parse_address(str(edge))) is made.contains(*parse_address(str(edge)))


@given(NETWORKS, st.randoms())
def test_neither_order_nor_repetition_changes_what_is_packed(some: list[Network], random: Any) -> None:
    shuffled = [*some, *some]
    random.shuffle(shuffled)
    first, second = NetworkSet(map(str, some)).pack(), NetworkSet(map(str, shuffled)).pack()
    assert (first["v4"], first["v6"]) == (second["v4"], second["v6"])


def test_the_packed_form_is_documented() -> None:
    packed = NetworkSet(["10.0.0.0/9", "10.128.0.0/9", "192.0.2.1", "2001:db8::/32"]).pack()
    assert base64.b64decode(packed["v4"]) == struct.pack("<4I", 0x0A000000, 0xC0000201, 0x0AFFFFFF, 0xC0000201)
    high = 0x20010DB800000000
    assert base64.b64decode(packed["v6"]) == struct.pack("<4Q", high, 0, high | 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
    assert packed["count"] == 4


def test_no_networks_pack_as_the_rules_have_it() -> None:
    assert NetworkSet([]).pack() == NO_NETWORKS
    assert len(NetworkSet.unpack(NO_NETWORKS)) == 0


def test_a_big_endian_host_packs_and_reads_the_same_bytes() -> None:
    foreign = array("I", [1, 2])
    foreign.byteswap()  # as such a host holds the numbers 1 and 2 in memory
    assert base64.b64decode(_write([foreign], "big")) == struct.pack("<2I", 1, 2)
    assert _read(_write([foreign], "big"), "I", 1, "big") == [foreign]


def v4(*numbers: int) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}I", *numbers)).decode()


def v6(*numbers: int) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}Q", *numbers)).decode()


@pytest.mark.parametrize(
    "packed",
    [
        {},
        {"count": 0, "v4": ""},
        {"count": 0, "v4": "", "v6": None},
        {"count": 0, "v4": b"", "v6": ""},
        {"count": "1", "v4": v4(1, 1), "v6": ""},
        {"count": True, "v4": v4(1, 1), "v6": ""},
        {"count": 1.0, "v4": v4(1, 1), "v6": ""},
        {"count": 0, "v4": v4(1, 1), "v6": ""},
        {"count": 1, "v4": "", "v6": ""},
        {"count": 1, "v4": v4(1, 5, 2, 6), "v6": ""},
        {"count": -1, "v4": "", "v6": ""},
        {"count": 1, "v4": v4(1), "v6": ""},
        {"count": 1, "v4": v4(1, 1)[:-1], "v6": ""},
        {"count": 1, "v4": v4(1, 1) + "\n", "v6": ""},
        {"count": 1, "v4": "é" + v4(1, 1), "v6": ""},
        {"count": 1, "v4": v4(2, 1), "v6": ""},
        {"count": 2, "v4": v4(5, 1, 6, 2), "v6": ""},
        {"count": 2, "v4": v4(1, 5, 5, 6), "v6": ""},
        {"count": 2, "v4": v4(1, 1, 1, 1), "v6": ""},
        {"count": 1, "v4": "", "v6": v6(1, 1, 1)},
        {"count": 1, "v4": "", "v6": v6(1, 1)},
        {"count": 1, "v4": "", "v6": v6(2, 0, 1, 9)},
        {"count": 1, "v4": "", "v6": v6(1, 2, 1, 1)},
        {"count": 2, "v4": "", "v6": v6(1, 1, 0, 4, 1, 1, 4, 9)},
    ],
)
def test_what_pack_cannot_have_written_is_refused(packed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"packed|base64|[Nn]on-base64|ASCII|padding"):
        NetworkSet.unpack(packed)


@given(st.one_of(V4, V6))
def test_an_address_is_read_as_its_number(address: Address) -> None:
    expected = unmapped(address)
    assert parse_address(str(address)) == (expected.version, int(expected))
    assert format_address(*parse_address(str(address))) == str(expected)


@given(V4)
def test_a_mapped_address_is_the_address_inside_it(address: ipaddress.IPv4Address) -> None:
    hexadecimal = f"0:0:0:0:0:FFFF:{int(address) >> 16:x}:{int(address) & 0xFFFF:04x}"
    for mapped in (f"::ffff:{address}", hexadecimal):
        assert parse_address(mapped) == parse_address(str(address))
        assert NetworkSet([str(address)]).contains(*parse_address(mapped))
        assert NetworkSet([f"{mapped}/128"]).contains(*parse_address(str(address)))


def test_a_mapped_network_is_the_network_inside_it() -> None:
    assert parse_network("::ffff:10.0.0.0/104") == parse_network("10.0.0.0/8")
    assert parse_network("::ffff:0:0/96") == parse_network("0.0.0.0/0")


def test_versions_are_not_mixed_up() -> None:
    assert not NetworkSet(["::/0"]).contains(*parse_address("192.0.2.1"))
    assert not NetworkSet(["::/0"]).contains(*parse_address("::ffff:192.0.2.1"))
    assert not NetworkSet(["0.0.0.0/0"]).contains(*parse_address("2001:db8::1"))
    assert not NetworkSet(["0.0.0.0/0"]).contains(*parse_address("::1"))


BAD_ADDRESSES = [
    "", " ", "unknown", "10.0", "1.2.3", "1.2.3.4.5", "256.0.0.1", "010.0.0.1", "0x7f.0.0.1", "2130706433", "1.2.3.4 ",
    " 1.2.3.4", "1.2.3.4\n", "1.2.3.4:80", "[::1]", "::1%lo", "fe80::1%eth0", "1::2::3", "::ffff:010.0.0.1", "12345::",
    "::ffff:1.2.3", "\uff11.2.3.4", "1.2.3.4, 5.6.7.8", "0:0:0:0:0:0:0:0:0", "0" * 46, "1.2.3.4/32", "a" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_ADDRESSES)
def test_what_is_not_exactly_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_address(text)


@given(st.text(alphabet="0123456789abcdef.:/%x ", max_size=50))
def test_no_text_is_read_that_the_standard_library_refuses(text: str) -> None:
    try:
        found = parse_address(text)
    except ValueError:
        return
    address = unmapped(ipaddress.ip_address(text))
    assert found == (address.version, int(address))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.0.0.1/8", "meant is 10.0.0.0/8 or 10.0.0.1$"),
        ("2001:db8::1/32", "meant is 2001:db8::/32 or 2001:db8::1$"),
        ("::ffff:10.0.0.1/104", "meant is 10.0.0.0/8 or 10.0.0.1$"),
        ("10.0.0.0/0.0.0.255", "no netmask or host mask"),
        ("10.0.0.0/255.0.0.0", "no netmask or host mask"),
        ("10.0.0.0/", "prefix length"),
        ("10.0.0.0/8/8", "prefix length"),
        ("10.0.0.0/+8", "prefix length"),
        ("10.0.0.0/٨", "prefix length"),
        ("10.0.0.0/33", "from 0 to 32"),
        ("10.0.0.0/08", "without leading zeros"),
        ("10.0.0.0/" + "9" * 5000, "from 0 to 32"),
        ("2001:db8::/129", "from 0 to 128"),
        ("010.0.0.0/8", "Leading zeros"),
        ("fe80::1%eth0", "zone id"),
        ("fe80::%1/64", "zone id"),
        ("10.0", "4 octets"),
        (" 10.0.0.0/8", "whitespace"),
        ("10.0.0.0/8\n", "whitespace"),
        ("10.0.0.0 /8", "whitespace"),
        ("10.0.0.0/8, 10.1.0.0/16", "whitespace"),
        ("", "is empty"),
        ("localhost", "4 octets"),
        ("1" * 5000, "too long"),
        ("::ffff:0:0/95", "IPv4-mapped"),
        ("::fffe:0:0/95", "IPv4-mapped"),
        ("::/64", "IPv4-mapped"),
        ("::/1", "IPv4-mapped"),
    ],
)
def test_a_network_that_could_be_meant_otherwise_is_refused_by_name_and_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        NetworkSet(["192.0.2.0/24", text])
    assert str(caught.value).startswith(repr(text[:60]))
    assert len(str(caught.value)) < 250
