"""Who may come in from where."""

import pytest

from sallyport.access.decision import AccessLists, Refusal
from sallyport.access.networks import NetworkSet, parse_address
from sallyport.access.source import Source

DENIED = Refusal("ip_denied", "denied_by_list")
NOT_ALLOWED = Refusal("ip_denied", "not_on_allow_list")


def source(address: str, country: str = "") -> Source:
    return Source(address, *parse_address(address), country)


def lists(
    allow: tuple[str, ...] = (), deny: tuple[str, ...] = (), allowed: tuple[str, ...] = (), denied: tuple[str, ...] = ()
) -> AccessLists:
    return AccessLists([NetworkSet(allow)], [NetworkSet(deny)], frozenset(allowed), frozenset(denied))


@pytest.mark.parametrize("empty", [AccessLists(), lists()])
def test_nobody_is_refused_by_empty_lists(empty: AccessLists) -> None:
    assert empty.refusal(source("198.51.100.7")) is None
    assert empty.refusal(source("2001:db8::7", "DE")) is None


def test_deny_beats_allow() -> None:
    both = lists(allow=("198.51.100.0/24",), deny=("198.51.100.7",))
    assert both.refusal(source("198.51.100.7")) == DENIED
    assert both.refusal(source("198.51.100.8")) is None


def test_an_allow_list_refuses_everyone_else() -> None:
    only = lists(allow=("198.51.100.0/24",))
    assert only.refusal(source("192.0.2.1")) == NOT_ALLOWED
    assert only.refusal(source("2001:db8::1")) == NOT_ALLOWED


def test_lists_are_the_union_of_their_sets() -> None:
    sets = [NetworkSet([]), NetworkSet(["198.51.100.0/25"]), NetworkSet(["198.51.100.128/25", "2001:db8::/32"])]
    for address in ("198.51.100.1", "198.51.100.200", "2001:db8::1"):
        assert AccessLists(allow=sets).refusal(source(address)) is None
        assert AccessLists(deny=sets).refusal(source(address)) == DENIED
    assert AccessLists(allow=sets).refusal(source("192.0.2.1")) == NOT_ALLOWED
    assert AccessLists(deny=sets).refusal(source("192.0.2.1")) is None


@pytest.mark.parametrize("address", ["::ffff:203.0.113.9", "::FFFF:cb00:7109", "0:0:0:0:0:ffff:203.0.113.9"])
def test_a_mapped_address_does_not_pass_a_deny_list(address: str) -> None:
    assert lists(deny=("203.0.113.0/24",)).refusal(source(address)) == DENIED


@pytest.mark.parametrize(
    ("country", "allowed", "denied", "reason"),
    [
        ("DE", (), (), None),
        ("", (), (), None),
        ("DE", ("DE", "FR"), (), None),
        ("US", ("DE", "FR"), (), "country_not_allowed"),
        ("", ("DE",), (), "country_unknown"),
        ("US", (), ("US",), "country_denied"),
        ("DE", (), ("US",), None),
        ("", (), ("US",), None),
        ("DE", ("DE",), ("DE",), "country_denied"),
    ],
)
def test_countries(country: str, allowed: tuple[str, ...], denied: tuple[str, ...], reason: str | None) -> None:
    expected = None if reason is None else Refusal("country_denied", reason)
    assert lists(allowed=allowed, denied=denied).refusal(source("192.0.2.1", country)) == expected


def test_addresses_are_judged_before_countries() -> None:
    strict = lists(allow=("198.51.100.0/24",), deny=("198.51.100.7",), denied=("US",))
    assert strict.refusal(source("198.51.100.7", "US")) == DENIED
    assert strict.refusal(source("192.0.2.1", "US")) == NOT_ALLOWED
    assert strict.refusal(source("198.51.100.8", "US")) == Refusal("country_denied", "country_denied")
