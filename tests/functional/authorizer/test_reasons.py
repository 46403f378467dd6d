"""Why somebody was not let in: told to the operator in the log, in words that the docs explain, and to nobody else."""

import json
import re

import pytest

from sallyport.runtime.errors import InvocationRefused
from tests.functional.authorizer.door import apply_policy, bearer, decide, make
from tests.support import issuer
from tests.support.aws import ROOT, Emulator
from tests.support.servers import refused_url

SOURCES = [
    *(ROOT / "layers/common/sallyport/identity").glob("*.py"),
    ROOT / "layers/common/sallyport/gateway/authorize.py",
]
RAISED = re.compile(r'CredentialRefusedError\((?:f?"([a-z_]+)"| *\n)')
DOCS = "".join((ROOT / "docs" / page).read_text() for page in ("identity.md", "api-keys.md"))
HMAC_ISSUER = (
    "{issuer: https://internal.example.com, audiences: [ai], algorithms: [HS256], hmac_secret: %s, tenant: acme}"
)


def test_every_reason_for_a_401_is_documented() -> None:
    raised = {reason for source in SOURCES for reason in RAISED.findall(source.read_text()) if reason}
    assert len(raised) > 20
    assert [reason for reason in sorted(raised) if f"`{reason}`" not in DOCS] == []


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (None, "secret test/identity/{name}: ResourceNotFoundException"),
        ("tooshrt", "the issuer's secret is shorter than its algorithm's hash"),
        ("has a space in it and is very long indeed, longer than 32", "isn't printable ASCII without spaces"),
    ],
)
def test_a_secret_that_is_no_good_is_named_in_the_log(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], value: str | None, detail: str
) -> None:
    emulator.empty_tables()
    name = f"detail-{'none' if value is None else len(value)}"
    if value is not None:
        emulator.secrets.create_secret(Name=f"test/identity/{name}", SecretString=value)
    apply_policy(emulator, f"version: 1\nidentity: {{issuers: [{HMAC_ISSUER % name}]}}\n")
    claims = issuer.claims(iss="https://internal.example.com", aud="ai")
    with pytest.raises(Exception, match="internal") as caught:
        decide(make(emulator.url), bearer(issuer.token(claims, key=b"k" * 32, algorithm="HS256")))
    assert not isinstance(caught.value, InvocationRefused)
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["detail"].startswith("https://internal.example.com: ")
    assert detail.format(name=name) in line["detail"]
    assert value is None or value not in json.dumps(line)


def test_an_issuer_that_is_down_is_named_in_the_log(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    emulator.empty_tables()
    with pytest.raises(Exception, match="Connect"):
        decide(make(emulator.url, refused_url() + "/jwks.json"), bearer(issuer.token()))
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["detail"].startswith(f"{issuer.ISSUER}: ")
