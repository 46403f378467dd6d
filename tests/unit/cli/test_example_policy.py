"""examples/policy.yaml is a start to build on: sound as it stands, and sound with all that it offers in comments."""

import re
from pathlib import Path

from sallyport_cli.policy.documents import read_document

EXAMPLE = Path(__file__).parents[3] / "examples" / "policy.yaml"
# A comment that is YAML: a key with its colon, or an item of a list of mappings, behind "# ".
OFFERED = re.compile(r"^( *)# ( *(?:- )?[a-z][a-z0-9_-]*: *\S*.*)$", re.MULTILINE)


def test_it_is_sound_and_changes_nothing_for_the_demo_key() -> None:
    document = read_document(EXAMPLE.read_text(), EXAMPLE.name, local=False)
    assert document.warnings == ()
    policy = document.policy
    assert policy.identity is None, "keys and parameters' issuers stay as they are"
    assert policy.access is not None
    assert policy.access.allow == ()
    assert policy.access.deny == ("192.0.2.0/24",)
    assert policy.residency is not None
    assert policy.residency.default is None
    assert (policy.limits, policy.models) == (None, None), "the parameters' stay in force"
    assert policy.tenants is not None
    demo = policy.tenants["demo"]
    assert (demo.suspended, demo.models, demo.residency, demo.allow) == (False, None, None, ())


def test_what_it_offers_is_sound_too() -> None:
    text, offered = OFFERED.subn(r"\1\2", EXAMPLE.read_text())
    assert offered >= 15
    document = read_document(text, EXAMPLE.name, local=False)
    assert document.warnings == ()
    assert document.policy.identity is not None
    assert document.policy.identity.issuers[0].tenants == ("acme",)
    assert document.policy.access is not None
    assert document.policy.access.origin_secret == "cloudfront"
    assert document.policy.limits is not None
    assert [limit.unit for limit in document.policy.limits] == ["requests", "tokens", "usd", "concurrent"]
    assert document.policy.tenants is not None
    assert document.policy.tenants["acme"].limits[0].rule_name == document.policy.limits[2].rule_name
    assert document.policy.tenants["acme"].models == ("gpt-4o", "text-embedding-3-small")
    assert document.policy.verification is not None
    assert [rule.name for rule in document.policy.verification.leaks or ()] == ["secrets", "people", "planted"]
    assert [rule.action for rule in document.policy.verification.prompts] == ["block", "report"]
