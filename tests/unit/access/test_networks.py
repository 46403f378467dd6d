"""Networks and lists, against Python's own ipaddress as the reference."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.access.decision import AccessLists
from sallyport.access.networks import NetworkSet, parse_address


def lists(allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> AccessLists:
    return AccessLists(allow=NetworkSet(allow), deny=NetworkSet(deny))


@given(st.lists(st.ip_addresses(network="10.0.0.0/28"), max_size=5), st.integers(24, 32), st.ip_addresses(v=4))
def test_lookup_agrees_with_the_standard_library(hosts: list[object], length: int, address: object) -> None:
    networks = [ipaddress.ip_network(f"{host}/{length}", strict=False) for host in hosts]
    found = NetworkSet(str(network) for network in networks)
    for candidate in (address, *hosts):
        text = str(candidate)
        expected = any(ipaddress.ip_address(text) in network for network in networks)
        assert found.contains(*parse_address(text)) is expected


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_the_address_inside_it(address: object) -> None:
    assert parse_address(f"::ffff:{address}") == parse_address(str(address))
    assert NetworkSet([str(address)]).contains(*parse_address(f"::ffff:{address}"))
    assert NetworkSet([f"::ffff:{address}/128"]).contains(*parse_address(str(address)))


def test_versions_are_not_mixed_up() -> None:
    assert not NetworkSet(["::/0"]).contains(*parse_address("192.0.2.1"))
    assert not NetworkSet(["0.0.0.0/0"]).contains(*parse_address("2001:db8::1"))


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1/8",
        "10.0.0.0/0.0.0.255",
        "10.0.0.0/255.0.0.0",
        "010.0.0.0/8",
        "fe80::1%eth0",
        "10.0.0.0/33",
        "10.0",
        "",
    ],
)
def test_a_network_that_could_be_meant_otherwise_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="^" + repr(text).replace("/", "/")):
        NetworkSet([text])


def test_nobody_is_refused_by_empty_lists() -> None:
    assert lists().refusal("198.51.100.7") is None


def test_deny_beats_allow() -> None:
    both = lists(allow=("198.51.100.0/24",), deny=("198.51.100.7",))
    assert both.refusal("198.51.100.7") == "denied_by_list"
    assert both.refusal("198.51.100.8") is None


def test_an_allow_list_refuses_everyone_else() -> None:
    assert lists(allow=("198.51.100.0/24",)).refusal("192.0.2.1") == "not_on_allow_list"


@pytest.mark.parametrize("text", ["", "unknown", "1.2.3", "1.2.3.4, 5.6.7.8", "fe80::1%eth0", "0x7f.1"])
def test_an_unreadable_address_is_refused_even_by_empty_lists(text: str) -> None:
    assert lists().refusal(text) == "address_unreadable"


def test_a_mapped_address_does_not_pass_a_deny_list() -> None:
    assert lists(deny=("203.0.113.0/24",)).refusal("::ffff:203.0.113.9") == "denied_by_list"
