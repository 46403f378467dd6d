"""URLs that the operator may configure: https, or http to this very machine; and those that a remote document may name.

An upstream's is judged the strictest: prompts and credentials go there, and what a policy says must not lead to an
address, to this machine or to a cloud's metadata service.

One strict pattern reads them, for the check and for the connection alike: the standard library's `urlsplit` finds hosts
where another parser would find different ones.
"""

import re
from typing import NamedTuple

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<authority>(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{{0,4}}))?)"
    r"(?P<path>(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*)"
)
_NUMBER = re.compile(r"[0-9]+|0[Xx][0-9A-Fa-f]*")
"""A host whose last label is one is an IPv4 address to some resolver (WHATWG URL, 3.5): 127.1, 2130706433, 0x7f.1."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_PORT = 65_535
_MAX_HOST, _MAX_LABEL = 253, 63
"""Characters of a name and of one label of it (RFC 1035, 2.3.4)."""
_BASE_PATH = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~:@-]+)*/?")
"""No percent, no empty segment, no dot segment: nothing that two readers could resolve to two places."""
_TOP_LABEL = re.compile(r"[a-z]{2,}|xn--[a-z0-9-]+")

_THIS_MACHINE = ("localhost", "localdomain")
_METADATA = (
    "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal", "metadata.azure.internal",
    "metadata.azure.com", "metadata.tencentyun.com", "metadata.packet.net", "metadata.platformequinix.com",
    "kubernetes.default.svc", "cluster.local",
)  # fmt: skip
"""Where clouds and clusters tell a machine its own credentials."""
_ANY_ADDRESS = (
    "nip.io", "sslip.io", "xip.io", "xip.name", "traefik.me", "backname.io", "1u.ms", "rbndr.us", "rebind.it",
    "localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "localh.st", "yoogle.com", "fuf.me", "bugbounty.dod.network",
    "spoofed.burpcollaborator.net", "local.sisteminha.com", "mail.ebc.apple.com",
)  # fmt: skip
"""Public names that lead to whatever address stands in them, or to loopback: those of the published lists."""
_PRIVATE_ENDS = (
    "internal", "local", "lan", "home", "corp", "intranet", "private", "svc", "arpa", "test", "invalid", "onion",
)  # fmt: skip
"""Names that no public resolver knows (RFC 6761, 6762, 7686, 8375; ICANN's `internal`), or one network alone."""
_BEDROCK = re.compile(
    r"(?:bedrock-runtime(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?P<cn>\.cn)?"
    r"|[a-z0-9-]+\.bedrock-runtime\.(?P<vpce>[a-z0-9-]+)\.vpce\.amazonaws\.com)"
)

_AWS_HOST = re.compile(r"(?P<labels>.+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws|on\.aws)")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}")


class Url(NamedTuple):
    """A URL taken apart. `host` is without an IPv6 address's brackets; `authority` is what a Host header has."""

    scheme: str
    host: str
    port: int
    authority: str
    path: str


def parse_url(text: str) -> Url:
    """Read an http or https URL without user, query or fragment. Raises `ValueError` that says what is wrong."""
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError("must be an http(s) URL of a host, maybe a port and a path, and nothing else")
    port = int(match["port"] or (443 if match["scheme"] == "https" else 80))
    if port > _MAX_PORT:
        raise ValueError("must have a port of at most 65535")
    return Url(match["scheme"], match["host"].strip("[]"), port, match["authority"], match["path"])


def check_url(text: str, *, loopback_http: bool = True) -> str:
    """Give a URL back if prompts and keys may go there. Raises `ValueError` that says why not.

    Without `loopback_http` http isn't taken at all: on Lambda, loopback is where the Runtime API listens.
    """
    url = parse_url(text)
    if url.scheme != "https" and not (loopback_http and url.host in _LOOPBACK):
        exception = " (http:// only to this machine itself)" if loopback_http else ""
        raise ValueError(f"must begin with https://{exception}")
    return text


def check_published_url(text: str) -> str:
    """Give a URL back if a document from elsewhere may send us there: https, and the host has a public kind of name.

    Raises `ValueError` that says why not. An address as the host is refused, in any notation, and so is `localhost`.
    """
    host = parse_url(check_url(text, loopback_http=False)).host.lower()
    last = host.rpartition(".")[2]
    if ":" in host or _NUMBER.fullmatch(last) is not None or last == "localhost":
        raise ValueError("must have a name as its host, not an address or this machine")
    return text


def check_upstream_url(text: str, *, local: bool, private: bool = False) -> str:
    """Give an upstream's base URL back, without a slash at its end. Raises `ValueError` that says why not.

    It is https, and its host a name that the public DNS may know; with `private` (an operator's own app or guard) also
    one that only the operator's network knows. Never an address in any notation, this machine or a metadata service.
    With `local` http and https to loopback are taken too. The cases: OWASP's SSRF Prevention Cheat Sheet,
    PayloadsAllTheThings' bypasses, and Orange Tsai, "A New Era of SSRF" (2017).
    """
    url = parse_url(text)
    if _BASE_PATH.fullmatch(url.path) is None:
        raise ValueError("must have a plain path: no percent signs, no empty segments, no . or ..")
    if not (local and url.host in _LOOPBACK):
        if url.scheme != "https":
            raise ValueError("must begin with https://")
        _check_host(url.host.lower(), private=private)
    return text.removesuffix("/")


def _check_host(host: str, *, private: bool) -> None:
    labels = host.split(".")
    if len(host) > _MAX_HOST or max(map(len, labels)) > _MAX_LABEL:
        raise ValueError("has a longer host than a name can be")
    if _ends_with(host, _THIS_MACHINE) or ":" in host or _NUMBER.fullmatch(labels[-1]) is not None:
        raise ValueError("must have a name as its host, not an address or this machine")
    if len(labels) == 1 or _TOP_LABEL.fullmatch(labels[-1]) is None:
        raise ValueError("must have a whole name as its host, such as api.example.com")
    if _ends_with(host, _METADATA):
        raise ValueError("is the host of a metadata service")
    if _ends_with(host, _ANY_ADDRESS):
        raise ValueError("has a host that stands for an address")
    if not private and _ends_with(host, _PRIVATE_ENDS):
        raise ValueError("must have a public name as its host; only an app's or a guard's may be private")


def _ends_with(host: str, names: tuple[str, ...]) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in names)


def bedrock_url(region: str) -> str:
    """Give AWS's endpoint of Bedrock's runtime in a region (AWS General Reference, Amazon Bedrock endpoints)."""
    return f"https://bedrock-runtime.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def is_bedrock_url(text: str, region: str) -> bool:
    """Say whether a URL is AWS's own endpoint of Bedrock's runtime in this very region, or a VPC endpoint of it."""
    url = parse_url(text)
    match = _BEDROCK.fullmatch(url.host)
    if match is None or (url.scheme, url.port) != ("https", 443) or url.path not in {"", "/"}:
        return False
    if match["vpce"] is not None:
        return match["vpce"] == region
    return match["region"] == region and (match["cn"] is not None) == region.startswith("cn-")


def aws_region_of(text: str) -> str | None:
    """Give the region that the name of a host of AWS's tells, whatever service it is; None where it tells none.

    Raises `ValueError` for what isn't a URL. Source: AWS General Reference, "AWS service endpoints".
    """
    match = _AWS_HOST.fullmatch(parse_url(text).host.lower())
    labels = match["labels"].split(".") if match is not None else ()
    return next((label for label in labels if _REGION.fullmatch(label) is not None), None)


def is_loopback(text: str) -> bool:
    """Say whether a URL leads to this very machine. Raises `ValueError` for what isn't a URL."""
    return parse_url(text).host in _LOOPBACK
