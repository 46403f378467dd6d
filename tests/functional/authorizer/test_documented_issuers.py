"""The identity providers of docs/identity.md: each documented policy takes the token that stands beside it."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from sallyport.identity.jwks import KeySet
from sallyport.identity.tokens import TokenVerifier
from sallyport.policy.effective import merge
from sallyport.policy.rules import AccessRules, DoorRules, IssuerRules
from sallyport_cli.policy.compiling import compile_policy
from sallyport_cli.policy.documents import read_document
from tests.support import issuer
from tests.support.aws import ROOT

NOTHING = DoorRules(
    version=0,
    api_keys=True,
    issuers=(),
    default_scopes=(),
    access=AccessRules(),
    zones={},
    default_residency=(),
    tenants={},
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def section(title: str) -> dict[str, str]:
    """Give the first block of each language under a heading of docs/identity.md."""
    text = (ROOT / "docs" / "identity.md").read_text().split(f"### {title}\n")[1].split("\n### ")[0]
    blocks: dict[str, str] = {}
    for language, block in BLOCK.findall(text):
        blocks.setdefault(language, block)
    return blocks


def rules_of(policy: str) -> tuple[IssuerRules, ...]:
    compiled: Mapping[str, Any] = json.loads(compile_policy(read_document(policy, "docs/identity.md", local=False)))
    return merge(NOTHING, compiled, 1).issuers


@pytest.mark.parametrize(
    ("provider", "tenant", "subject"),
    [
        ("Auth0", "org_acme", "auth0|123456"),
        ("Microsoft Entra ID", "acme", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
    ],
)
def test_the_documented_policy_takes_the_documented_token(provider: str, tenant: str, subject: str) -> None:
    blocks = section(provider)
    header, claims = (json.loads(part) for part in re.split(r"\n(?=\{)", blocks["json"]))
    verifier = TokenVerifier(rules_of(blocks["yaml"]), lambda _: KeySet(_Source(header["kid"])), {})
    token = issuer.token(claims, algorithm=header["alg"], kid=header["kid"], typ=header["typ"])
    identity = verifier.verify(token, claims["exp"] - 60)
    assert (identity.tenant, identity.subject) == (tenant, subject)
    assert identity.scopes == ("chat", "models")
    for claim in ("scope", "scp"):
        claims.pop(claim, None)
    token = issuer.token(claims, algorithm=header["alg"], kid=header["kid"], typ=header["typ"])
    assert verifier.verify(token, claims["exp"] - 60).scopes == ()


class _Source:
    """The issuer's key set, with the tests' key under the documented name."""

    def __init__(self, kid: str) -> None:
        self._kid = kid

    def fetch(self) -> bytes:
        return issuer.document(issuer.jwk(issuer.RSA_KEY, self._kid))


@pytest.mark.parametrize("page", ["identity.md", "access.md"])
def test_every_policy_in_the_docs_is_valid(page: str) -> None:
    policies = [block for language, block in BLOCK.findall((ROOT / "docs" / page).read_text()) if language == "yaml"]
    assert policies
    for policy in policies:
        read_document(policy, page, local=False)
