"""URLs that may be configured, and those that another parser would read differently."""

import re

import pytest

from sallyport.policy.urls import (
    aws_region_of,
    bedrock_url,
    check_published_url,
    check_upstream_url,
    check_url,
    is_bedrock_url,
    is_loopback,
)


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


ADDRESSES = re.findall(
    r"\S+",
    """
127.0.0.1 127.0.0.1:80 127.0.0.1:443 127.0.0.1:22 127.127.127.127 127.0.1.3 127.0.0.0 127.1 127.0.1 0.0.0.0 0 0/
2130706433 017700000001 0x7f000001 0x7F.1 0x7f.0x0.0x0.0x1 0177.0.0.1 0177.1 00177.0.0.01 0o177.0.0.1 q177.0.0.1
3232235521 3232235777 2852039166 425.510.425.510 7147006462 0xA9FEA9FE 0251.0376.0251.0376 0xA9.0xFE.0xA9.0xFE
169.254.169.254 169.254.43518 169.16689662 0xA9.254.0251.0376 10.0.0.1 172.16.0.1 192.168.0.1 100.100.100.200 1.1
[::1] [::] [::]:25 [0000::1] [0:0:0:0:0:ffff:127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:a9fe:a9fe]
[fd00:ec2::254] [fe80::1] [::ffff:0:127.0.0.1] [64:ff9b::7f00:1] [::1%25lo] [::1%lo] [2001:db8::1] ::1 [] [1]
""",
)
"""OWASP's SSRF Prevention Cheat Sheet and PayloadsAllTheThings' bypasses: addresses in every notation."""

NAMES = re.findall(
    r"\S+",
    """
localhost LOCALHOST LocalHost localhost:22 localhost.localdomain a.localhost localhost. api.openai.com. localtest.me
company.127.0.0.1.nip.io 127.0.0.1.nip.io 169.254.169.254.nip.io 127-0-0-1.sslip.io 127.0.0.1.xip.io www.10.0.0.1.xip.io
localh.st spoofed.burpcollaborator.net mail.ebc.apple.com bugbounty.dod.network lvh.me a.vcap.me
make-1.2.3.4-rebind-169.254-169.254-rr.1u.ms 7f000001.a9fea9fe.rbndr.us metadata.google.internal
METADATA.google.internal metadata.goog metadata.tencentyun.com metadata.azure.internal instance-data metadata
instance-data.ec2.internal ip-10-0-0-1.eu-west-1.compute.internal rancher-metadata rancher.local printer.local
kubernetes.default.svc kubernetes.default.svc.cluster.local db.corp nas.lan router.home.arpa intranet
1.0.0.127.in-addr.arpa a.test a.invalid a.onion example api_a.example.com -a.example.com a-.example.com a..example.com
.example.com a.example.c0m a.example.1com
""",
)
"""Names of this machine, of metadata services, of one network alone, or that stand for an address."""

CONFUSIONS = [
    "127.0.0.1@api.openai.com", "api.openai.com@127.0.0.1", "api.openai.com:80@127.0.0.1", "user:pw@api.openai.com",
    "api.openai.com&@127.0.0.1#@google.com/", "127.1.1.1:80\\@127.2.2.2:80/", "127.1.1.1:80\\@@127.2.2.2:80/",
    "127.1.1.1:80:\\@@127.2.2.2:80/", "127.1.1.1:80#\\@127.2.2.2:80/", "foo@127.0.0.1:80@api.openai.com/",
    "foo@127.0.0.1 @api.openai.com/", "127.0.0.1:11211:80", "127.0.0.1:11211#google.com:80/",
    "api.openai.com\\.evil.com",
    "api.openai.com#@evil.com/", "api.openai.com?@evil.com/", "api.openai.com;@evil.com/", "api.openai.com\t.evil.com",
    "api.openai.com\r\nHost: evil.com",
    "127.0.0.1%00.openai.com", "api.openai.com%2eevil.com", "%6c%6f%63alhost",
    "127.0.0.1\uff0fapi.openai.com", "\u24d0pi.openai.com", "\u2460\u2461\u2466.0.0.1", "api\u3002openai.com",
    "\uff10177.0.0.1", "ap\u0131.openai.com", "api.openai.com:0", "api.openai.com:65536", "api.openai.com:0443",
    "api.openai.com:", "api.openai.com:443:443", "api.openai.com:+443", "api.openai.com: 443", " api.openai.com",
    "api.openai.com ", "/api.openai.com", "//api.openai.com", "", "[api.openai.com]", "[::1].openai.com",
    "*.openai.com",
    "$(whoami).openai.com", "${jndi}.openai.com", "a" * 64 + ".openai.com", ".".join(["abcdefg"] * 33) + ".com",
]  # fmt: skip
"""Orange Tsai, "A New Era of SSRF": hosts that two parsers read as two; and what is no host at all."""

PATHS = re.findall(
    r"\S+",
    r"""
/../v1 /v1/.. /v1/./x /./ /%2e%2e/v1 /%2f /v1//x // /v1?x=1 /v1# /v1;x /v1\x /v1/%00 /v1/* /v1/$x /..
""",
)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("host", [*ADDRESSES, *CONFUSIONS])
def test_an_upstream_is_no_address_and_no_puzzle(host: str, private: bool) -> None:
    with pytest.raises(ValueError, match=r"^(must|has|is) "):
        check_upstream_url(f"https://{host}/v1", local=False, private=private)


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("host", NAMES)
def test_an_upstream_has_a_public_name(host: str, local: bool) -> None:
    if local and host.startswith("localhost") and not host.endswith((".", "domain", ".st")):
        return
    with pytest.raises(ValueError, match=r"^(must|has|is) "):
        check_upstream_url(f"https://{host}/v1", local=local)


@pytest.mark.parametrize("path", PATHS)
def test_an_upstream_has_a_plain_path(path: str) -> None:
    with pytest.raises(ValueError, match="must"):
        check_upstream_url(f"https://api.openai.com{path}", local=False)


@pytest.mark.parametrize(
    "url",
    ["http://api.openai.com", "HTTPS://api.openai.com", "ftp://a.example.com", "gopher://a.example.com",
     "file:///etc/passwd",
     "dict://a.example.com", "ldap://a.example.com", "jar:https://a.example.com!/", "https:/a.example.com",
     "a.example.com",
     "https:a.example.com", "//a.example.com", "netdoc:///etc", "http://127.0.0.1:9001", "https://127.0.0.1"],
)  # fmt: skip
def test_an_upstream_is_reached_by_https(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        check_upstream_url(url, local=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9001/v1", "http://localhost:9001", "https://[::1]:9001/v1"])
def test_an_upstream_on_this_machine_is_for_local_mode(url: str) -> None:
    assert check_upstream_url(url, local=True) == url
    for other in ("127.0.0.2", "0.0.0.0", "10.0.0.1", "example.com"):  # noqa: S104 - an address to refuse
        with pytest.raises(ValueError, match="must begin with https"):
            check_upstream_url(f"http://{other}/v1", local=True)


@pytest.mark.parametrize(
    "url",
    ["https://api.openai.com/v1", "https://x.openai.azure.com/openai/v1", "https://api.groq.com/openai/v1", "https://a.de",
     "https://vllm.example.com:8443/v1", "https://xn--bcher-kva.example/v1", "https://127.0.0.1.example.com/v1",
     "https://aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/openapi", "https://a.example.com/~me/x:y"],
)  # fmt: skip
def test_good_upstreams(url: str) -> None:
    assert check_upstream_url(url, local=False) == url == check_upstream_url(f"{url}/", local=False)


@pytest.mark.parametrize(
    "host", ["app.corp.internal", "app.internal.example", "app.ecs.local", "app.lan", "a.home.arpa"]
)
def test_an_app_may_have_a_private_name(host: str) -> None:
    assert check_upstream_url(f"https://{host}/x", local=False, private=True)


@pytest.mark.parametrize(
    "host",
    ["localhost", "a.localhost", "metadata.google.internal", "metadata", "app", "127.0.0.1.nip.io", "a.cluster.local"],
)
def test_an_app_is_no_metadata_service_either(host: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|has|is) "):
        check_upstream_url(f"https://{host}/x", local=False, private=True)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com/", "eu-central-1"),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com:443", "eu-central-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://vpce-0a1b-c2d3.bedrock-runtime.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
    ],
)
def test_aws_s_own_endpoints(url: str, region: str) -> None:
    assert is_bedrock_url(url, region)
    assert not is_bedrock_url(url, "us-east-1")


@pytest.mark.parametrize(
    "url",
    [
        "http://bedrock-runtime.us-east-1.amazonaws.com",
        "https://bedrock-runtime.us-east-1.amazonaws.com:8443",
        "https://bedrock-runtime.us-east-1.amazonaws.com/x",
        "https://bedrock-runtime.us-east-1.amazonaws.com.cn",
        "https://bedrock-runtime.us-east-1.amazonaws.com.evil.com",
        "https://bedrock-runtime.us-east-1.evil.com",
        "https://evilbedrock-runtime.us-east-1.amazonaws.com",
        "https://bedrock.us-east-1.amazonaws.com",
        "https://a.b.bedrock-runtime.us-east-1.vpce.amazonaws.com",
        "https://bedrock-runtime.us-east-1.vpce.amazonaws.com",
        "https://s3.us-east-1.amazonaws.com",
        "http://127.0.0.1:9001",
    ],
)
def test_what_only_looks_like_aws(url: str) -> None:
    assert not is_bedrock_url(url, "us-east-1")


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "us-gov-east-1", "cn-north-1"])
def test_aws_s_endpoint_of_a_region(region: str) -> None:
    assert is_bedrock_url(bedrock_url(region), region)
    assert check_upstream_url(bedrock_url(region), local=False) == bedrock_url(region)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "us-east-1"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://Bedrock-Mantle.US-West-2.api.aws/v1", "us-west-2"),
        ("https://lb-1.eu-west-1.elb.amazonaws.com", "eu-west-1"),
        ("https://abc.lambda-url.us-gov-west-1.on.aws", "us-gov-west-1"),
        ("https://d111.us-east-1.example.com", None),
        ("https://us-east-1.amazonaws.com.example.com", None),
        ("https://api.openai.com/us-east-1.amazonaws.com", None),
    ],
)
def test_the_region_that_a_host_of_aws_tells(url: str, region: str | None) -> None:
    assert aws_region_of(url) == region
