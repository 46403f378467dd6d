"""URLs that may be configured, and those that another parser would read differently."""

import pytest

from sallyport.policy.urls import check_url


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
