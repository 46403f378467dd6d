"""URLs that may be configured, and those that another parser would read differently."""

import pytest

from sallyport.policy.urls import check_published_url, check_url, is_loopback


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://eu.api.openai.com:8443/v1",
        "https://my-resource.openai.azure.com/openai/v1",
        "https://issuer.example.com/.well-known/jwks.json",
        "http://127.0.0.1:9000/v1",
        "http://localhost/v1",
        "http://[::1]:9000/v1",
    ],
)
def test_good_urls(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com/v1",
        "http://api.openai.com/v1",
        "http://10.0.0.1/v1",
        "http://127.0.0.1.evil.com/v1",
        "http://localhost.evil.com/",
        "ftp://api.openai.com/",
        "https:///v1",
        "https://",
        "https://user@api.openai.com/",
        "https://user:pw@api.openai.com/",
        "https://api.openai.com@evil.com/",
        "https://api.openai.com\\@evil.com/",
        "https://evil.com\\.openai.com/",
        "https://api.openai.com/?x=1",
        "https://api.openai.com/#x",
        "https://api.openai.com/?",
        "https://api.openai.com:0/",
        "https://api.openai.com:99999/",
        "https://api.openai.com:/v1",
        "https://api_openai.com/",
        "https://-x.com/",
        "https://\u0430pi.openai.com/",
        "https://api.openai.com/\n",
        "https://api.openai.com/ v1",
        "https://%61pi.openai.com/",
    ],
)
def test_refused_urls(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        check_url(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9001/x", "http://localhost/", "http://[::1]/", "http://example.com/"]
)
def test_http_is_refused_even_to_loopback_where_it_is_not_allowed(url: str) -> None:
    with pytest.raises(ValueError, match=r"must begin with https://$"):
        check_url(url, loopback_http=False)


def test_https_needs_no_allowance() -> None:
    url = "https://issuer.example.com/jwks.json"
    assert check_url(url, loopback_http=False) == url == check_published_url(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "203.0.113.9",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0x0.0x0.0x1",
        "0X7F.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00::1]",
        "localhost",
        "LOCALHOST",
        "runtime.localhost",
    ],
)
def test_a_document_may_not_name_an_address_or_this_machine(host: str) -> None:
    with pytest.raises(ValueError, match="must have a name as its host"):
        check_published_url(f"https://{host}/jwks.json")


def test_a_document_may_not_name_http() -> None:
    with pytest.raises(ValueError, match="must begin with https"):
        check_published_url("http://issuer.example.com/jwks.json")


def test_loopback_is_known_by_its_host_alone() -> None:
    assert is_loopback("http://127.0.0.1:9000/")
    assert is_loopback("https://localhost/")
    assert not is_loopback("https://127.0.0.1.example.com/")
