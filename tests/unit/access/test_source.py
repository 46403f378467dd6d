"""Where a request comes from, whatever its client writes into it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.access.networks import NetworkSet, parse_address
from sallyport.access.source import Headers, Source, SourceReader, SourceUnreadableError

SECRET = "of-the-operators-own-distribution"
PROXY = "198.51.100.20"
PROXIES = NetworkSet(["198.51.100.0/24", "2001:db8:c::/48"])
CLIENT = "203.0.113.9"
OWN = {"x-origin-verify": [SECRET]}


class HeldSecret:
    def __init__(self) -> None:
        self.presented: list[str] = []

    def matches(self, presented: str) -> bool:
        self.presented.append(presented)
        return presented == SECRET


class LostSecret:
    def matches(self, presented: str) -> bool:
        raise ConnectionError


def read(headers: Headers, source_ip: str = PROXY) -> Source:
    return SourceReader(PROXIES, HeldSecret()).read(source_ip, headers)


def forwarded(*values: str) -> Headers:
    return {**OWN, "x-forwarded-for": list(values)}


ADDRESSES = st.ip_addresses().map(str)
OUTSIDE = ADDRESSES.filter(lambda text: not PROXIES.contains(*parse_address(text)))
JUNK = st.one_of(
    st.text(max_size=60),
    st.lists(ADDRESSES, max_size=100).map(",".join),
    st.sampled_from(
        ["unknown", ",", "127.0.0.1", PROXY, "::ffff:10.0.0.1", "1.2.3.4:80", "x" * 5000, "1.1.1.1," * 900]
    ),
)
CHAINS = st.lists(st.sampled_from([PROXY, "198.51.100.99", "2001:db8:c::1", "::ffff:198.51.100.7"]), max_size=5)
GAPS = st.sampled_from([",", ", ", " ,\t"])


@given(JUNK, OUTSIDE, CHAINS, GAPS)
def test_what_a_client_prepends_changes_nothing(junk: str, client: str, chain: list[str], gap: str) -> None:
    appended = gap.join([client, *chain, PROXY])
    expected = read(forwarded(appended))
    assert (expected.version, expected.number) == parse_address(client)
    assert read(forwarded(f"{junk},{appended}")) == expected
    assert read(forwarded(junk, appended)) == expected
    assert read(forwarded(junk, client, *chain, PROXY)) == expected


@given(JUNK, ADDRESSES, st.sampled_from([{}, {"x-origin-verify": ["wrong"]}, {"x-origin-verify": ["a", "b"]}]))
def test_without_the_secret_it_never_counts(junk: str, address: str, secret: Headers) -> None:
    headers = {**secret, "x-forwarded-for": [junk, CLIENT, PROXY], "cloudfront-viewer-country": ["DE"]}
    found = read(headers, address)
    assert (found.version, found.number) == parse_address(address)
    assert found.country == ""


@given(JUNK, OUTSIDE)
def test_from_an_address_that_is_no_trusted_proxy_it_never_counts_even_with_the_secret(junk: str, address: str) -> None:
    headers = {**OWN, "x-forwarded-for": [junk, CLIENT, PROXY], "cloudfront-viewer-country": ["DE"]}
    found = read(headers, address)
    assert (found.version, found.number, found.country) == (*parse_address(address), "")


@pytest.mark.parametrize(
    "values",
    [
        ["junk", SECRET],
        [SECRET, "junk"],
        [f"junk, {SECRET}"],
        ["a, b", f"c,{SECRET}"],
        [SECRET, "1,2,3,4"],
        [SECRET, *"12345678"],
    ],
)
def test_a_secret_that_a_proxy_adds_beside_a_client_s_header_is_found(values: list[str]) -> None:
    assert read({"x-forwarded-for": [CLIENT, PROXY], "x-origin-verify": values}).address == CLIENT


def test_a_secret_may_hold_a_comma() -> None:
    class WithComma:
        def matches(self, presented: str) -> bool:
            return presented == "abc,def 0123456789"

    headers = {"x-forwarded-for": [CLIENT, PROXY], "x-origin-verify": ["junk", "abc,def 0123456789"]}
    assert SourceReader(PROXIES, WithComma()).read(PROXY, headers).address == CLIENT


def test_where_the_secret_is_required_nothing_else_is_let_in() -> None:
    reader = SourceReader(PROXIES, HeldSecret(), required=True)
    assert reader.read(PROXY, forwarded(CLIENT, PROXY)).address == CLIENT
    for address, headers in ((CLIENT, forwarded(CLIENT)), (PROXY, {"x-forwarded-for": [CLIENT]})):
        with pytest.raises(SourceUnreadableError) as caught:
            reader.read(address, headers)
        assert caught.value.reason == "origin_unproven"


def test_without_a_secret_configured_no_proxy_is_trusted() -> None:
    found = SourceReader(PROXIES, None).read(PROXY, forwarded(CLIENT, PROXY))
    assert found.address == PROXY


def test_a_secret_is_read_only_where_it_can_matter() -> None:
    secret = HeldSecret()
    reader = SourceReader(PROXIES, secret)
    reader.read(CLIENT, forwarded(CLIENT))
    reader.read(PROXY, {"x-forwarded-for": [CLIENT]})
    assert secret.presented == []
    reader.read(PROXY, forwarded(CLIENT))
    assert secret.presented == [SECRET]


def test_a_secret_that_cannot_be_read_is_no_wrong_secret() -> None:
    with pytest.raises(ConnectionError):
        SourceReader(PROXIES, LostSecret()).read(PROXY, forwarded(CLIENT))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], PROXY),
        ([""], PROXY),
        ([PROXY], PROXY),
        ([f"198.51.100.8, {PROXY}"], PROXY),
        ([CLIENT], CLIENT),
        ([f"{CLIENT}, {PROXY}"], CLIENT),
        ([f"unknown, {CLIENT}, {PROXY}"], CLIENT),
        ([CLIENT, PROXY], CLIENT),
        ([f"192.0.2.1, {CLIENT}", f"198.51.100.8 ,{PROXY}"], CLIENT),
        (["::ffff:203.0.113.9", PROXY], CLIENT),
        ([CLIENT, "::ffff:198.51.100.20"], CLIENT),
        (["2001:DB8:0:0::7", "2001:db8:c::9"], "2001:db8::7"),
    ],
)
def test_the_rightmost_address_that_is_no_trusted_proxy_is_the_client(values: list[str], expected: str) -> None:
    assert read(forwarded(*values)).address == expected


@pytest.mark.parametrize(
    "values",
    [
        [f"unknown, {PROXY}"],
        [f"{CLIENT}:443, {PROXY}"],
        [f"{CLIENT}, , {PROXY}"],
        [f"{CLIENT},"],
        [f"{CLIENT}", ""],
        [f"[2001:db8::7], {PROXY}"],
        ["203.0.113.09", PROXY],
        ["fe80::1%eth0", PROXY],
        [f"\u00a0{CLIENT}", PROXY],
        [f"for={CLIENT}", PROXY],
        [f"{CLIENT} {PROXY}"],
        [CLIENT, *[PROXY] * 64],
        [CLIENT + " " * 2040, PROXY],
        [CLIENT + "," + ", ".join([PROXY] * 200)],
    ],
)
def test_what_cannot_be_read_before_the_client_is_found_is_refused(values: list[str]) -> None:
    with pytest.raises(SourceUnreadableError) as caught:
        read(forwarded(*values))
    assert caught.value.reason == "forwarded_for_unreadable"


def test_an_entry_whose_beginning_is_cut_off_is_not_read() -> None:
    """198.51.100.20 without its first digit would be 98.51.100.20, which is no trusted proxy."""
    values = [PROXY + " " * (2048 - len(PROXY) - len(PROXY)), PROXY]
    with pytest.raises(SourceUnreadableError):
        read(forwarded(*values))


@pytest.mark.parametrize(
    "source_ip", ["", "unknown", "1.2.3", "test-invoke-source-ip", "1.2.3.4, 5.6.7.8", "fe80::1%eth0"]
)
@pytest.mark.parametrize("headers", [{}, forwarded(CLIENT)])
def test_an_unreadable_source_address_is_refused(source_ip: str, headers: Headers) -> None:
    with pytest.raises(SourceUnreadableError) as caught:
        read(headers, source_ip)
    assert caught.value.reason == "address_unreadable"


def test_a_mapped_address_is_shown_as_the_address_inside_it() -> None:
    assert read({}, "::ffff:203.0.113.9") == Source(CLIENT, *parse_address(CLIENT), "")


@pytest.mark.parametrize(
    ("values", "country"),
    [
        (["DE"], "DE"),
        ([], ""),
        (["DE", "FR"], "?"),
        (["DE", "DE"], "?"),
        (["DE, FR"], "?"),
        (["de"], "?"),
        (["D"], "?"),
        (["DEU"], "?"),
        (["D1"], "?"),
        ([" DE"], "?"),
        (["ÄÖ"], "?"),
        ([""], "?"),
    ],
)
def test_a_country_is_two_capital_letters_said_once(values: list[str], country: str) -> None:
    assert read({**forwarded(CLIENT, PROXY), "cloudfront-viewer-country": values}).country == country
