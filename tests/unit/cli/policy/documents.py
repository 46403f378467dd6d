"""Policy documents for tests: one with every key, and what a reader says of others."""

from collections.abc import Sequence

import pytest

from sallyport_cli.policy.documents import Document, PolicyFileError, read_document

EVERY_KEY = """\
version: 1
identity:
  api_keys: {enabled: true}
  default_scopes: [chat, models]
  issuers:
    - issuer: https://login.example.com/
      audiences: [https://ai.example.com]
      algorithms: [RS256, ES256]
      token_type: at+jwt
      leeway_s: 60
      claims: {tenant: org_id, subject: sub, scopes: [scope, /roles/0], residency: zone}
      tenants: [acme, globex]
      scope_prefix: "ai/"
      default_scopes: chat
    - issuer: https://internal.example.com
      audiences: [ai]
      algorithms: [HS256]
      hmac_secret: internal
      tenant: internal
access:
  allow: [198.51.100.0/24]
  deny: [203.0.113.0/24, "2001:db8:bad::/48"]
  trusted_proxies: [192.0.2.0/24]
  origin_secret: cloudfront
  countries: {allow: [NO, DE], deny: [KP]}
residency:
  zones: {eu: [eu-central-1, eu-west-1]}
  default: eu
tenants:
  acme:
    residency: [eu, eu-north-1]
    models: [gpt-4o]
    allow: [198.51.100.0/25]
    deny: [198.51.100.9]
    suspended: false
  NO: {suspended: true}
"""


def read(text: str, *, local: bool = False) -> Document:
    """Read a sound document."""
    return read_document(text, "policy.yaml", local=local)


def problems(text: str, *, local: bool = False) -> list[str]:
    """Give the lines with which a document is refused."""
    with pytest.raises(PolicyFileError) as refused:
        read(text, local=local)
    return str(refused.value).splitlines()


def with_issuer(fields: str) -> str:
    """Give a document with one issuer, whose further fields these are, in flow style."""
    return f"version: 1\nidentity: {{issuers: [{{issuer: https://a.example, audiences: [ai], {fields}}}]}}\n"


def flow(items: Sequence[str]) -> str:
    """Give a list in flow style."""
    return f"[{', '.join(items)}]"
