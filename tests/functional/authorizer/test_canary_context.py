"""What a canary may match by, as the authorizer tells it to the router: the country, and the claims asked for."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sallyport.gateway.authorize import Authorizer
from sallyport.identity.principal import from_context
from sallyport.routing.canary import CANARY_SCOPE
from sallyport.runtime.errors import InvocationRefused
from sallyport_cli.local.seed import seed_demo_key
from tests.functional.authorizer.door import Clock, apply_policy, bearer, decide, effect, make, put_key
from tests.support import issuer
from tests.support.aws import CONFIG_TABLE, Emulator
from tests.support.servers import ScriptedServer, serve

PROXY, CLIENT, SECRET = "192.0.2.77", "198.51.100.7", "0123456789abcdef0123"
CANARY = """version: 1
upstreams: {eu: {provider: openai, base_url: "https://eu.example.com/v1", region: eu-central-1}}
models: {gpt-4o: {max_output_tokens: 100, targets: [{upstream: eu, model: gpt-4o}]}}
canaries:
  - {name: next, model: gpt-4o, target: {upstream: eu, model: gpt-next}, weight: 5, match: {claims: {plan: beta}}}
"""


@pytest.fixture(autouse=True)
def empty(emulator: Emulator) -> None:
    emulator.empty_tables()


@pytest.fixture
def jwks() -> Iterator[ScriptedServer]:
    with ScriptedServer(serve(lambda _, peer: peer.answer(200, issuer.document()), [])) as server:
        yield server


@pytest.fixture
def proxied(emulator: Emulator) -> Authorizer:
    emulator.secrets.create_secret(Name="test/identity/canary-country", SecretString=SECRET)
    apply_policy(emulator, "version: 1\naccess: {trusted_proxies: [192.0.2.0/24], origin_secret: canary-country}\n")
    return make(emulator.url)


def country(door: Authorizer, headers: dict[str, str], source_ip: str) -> str | None:
    answer = decide(door, headers, source_ip=source_ip)
    assert effect(answer) == "Allow"
    return dict(answer["context"]).get("country")


def test_a_trusted_proxy_s_country_is_told_and_nobody_else_s(emulator: Emulator, proxied: Authorizer) -> None:
    said = {**bearer(put_key(emulator).text), "X-Forwarded-For": CLIENT, "CloudFront-Viewer-Country": "DE"}
    proven = {**said, "x-origin-verify": SECRET}
    assert country(proxied, proven, PROXY) == "DE"
    assert country(proxied, said, PROXY) is None, "without the proxy's secret"
    assert country(proxied, proven, CLIENT) is None, "not through the proxy"
    assert country(proxied, {**proven, "CloudFront-Viewer-Country": "Germany"}, PROXY) is None


def test_a_token_s_claim_that_a_canary_matches_by_is_told_and_no_other(
    emulator: Emulator, jwks: ScriptedServer
) -> None:
    apply_policy(emulator, CANARY)
    door = make(emulator.url, jwks.url + "/jwks.json")
    token = issuer.token(issuer.claims(plan="beta", email="alice@example.com"))
    for _ in range(2):
        context = decide(door, bearer(token))["context"]
        assert from_context(context).claims == (("plan", "beta"),)
        assert "alice@example.com" not in str(context)


def asking_for(*claims: str) -> str:
    """Give a policy whose canary matches by these claims."""
    return CANARY.replace("{plan: beta}", json.dumps(dict.fromkeys(claims, "beta")))


def claims_told(door: Authorizer, token: str, **options: Any) -> dict[str, str]:
    answer = decide(door, bearer(token), **options)
    assert effect(answer) == "Allow"
    return dict(from_context(answer["context"]).claims)


def test_a_newer_policy_s_claims_are_told_of_a_token_that_is_remembered(
    emulator: Emulator, jwks: ScriptedServer
) -> None:
    apply_policy(emulator, CANARY)
    clock = Clock()
    door = make(emulator.url, jwks.url + "/jwks.json", now=clock, SALLYPORT_POLICY_REFRESH_S="10")
    token = issuer.token(issuer.claims(plan="beta", team="ml"))
    assert [claims_told(door, token) for _ in range(2)] == [{"plan": "beta"}] * 2
    for policy, told in (
        (asking_for("team"), {"team": "ml"}),
        (asking_for("team", "plan"), {"plan": "beta", "team": "ml"}),
    ):
        apply_policy(emulator, policy)
        clock.now_s += 11
        assert [claims_told(door, token) for _ in range(2)] == [told] * 2
    apply_policy(emulator, "version: 1\n")
    clock.now_s += 11
    assert claims_told(door, token) == {}


def test_a_remembered_token_s_claims_are_told_also_from_an_address_that_failed_too_often(
    emulator: Emulator, jwks: ScriptedServer
) -> None:
    apply_policy(emulator, CANARY)
    door = make(emulator.url, jwks.url + "/jwks.json", SALLYPORT_FAILED_CREDENTIALS_PER_MINUTE="1")
    token = issuer.token(issuer.claims(plan="beta"))
    assert claims_told(door, token) == {"plan": "beta"}
    for _ in range(3):
        with pytest.raises(InvocationRefused):
            decide(door, bearer(issuer.token(issuer.claims(aud="another"))))
    assert claims_told(door, token) == {"plan": "beta"}


@pytest.mark.parametrize(("letter", "is_told"), [("b", True), ("\u00e9", False)])
def test_the_longest_claims_never_make_the_answer_too_large(
    emulator: Emulator, jwks: ScriptedServer, capsys: pytest.CaptureFixture[str], letter: str, is_told: bool
) -> None:
    names = [f"claim-{number}" for number in range(10)]
    apply_policy(emulator, asking_for(*names))
    door = make(emulator.url, jwks.url + "/jwks.json")
    said = json.dumps(issuer.claims() | dict.fromkeys(names, letter * 256), ensure_ascii=False).encode()
    answer = decide(door, bearer(issuer.signed_token({"alg": "RS256", "kid": "rsa-1"}, said)))
    assert effect(answer) == "Allow"
    assert len(json.dumps(answer)) <= 8192
    assert ("claims" in answer["context"]) is is_told
    assert ('"claims_left_out": true' in capsys.readouterr().out) is not is_told


def test_only_a_scope_of_the_credential_s_lets_its_holder_choose_an_arm(
    emulator: Emulator, jwks: ScriptedServer
) -> None:
    apply_policy(emulator, CANARY)
    door = make(emulator.url, jwks.url + "/jwks.json")
    credentials = {
        put_key(emulator).text: False,
        put_key(emulator, scopes={"S": "chat canary"}).text: True,
        seed_demo_key(emulator.dynamodb, CONFIG_TABLE): True,
        issuer.token(issuer.claims(scope="chat")): False,
        issuer.token(issuer.claims(scope="chat canary")): True,
        issuer.token(issuer.claims(canary=True, scope="chat canaries")): False,
    }
    for credential, may_choose in credentials.items():
        context = decide(door, {**bearer(credential), "x-sallyport-canary": "next"})["context"]
        assert (CANARY_SCOPE in from_context(context).scopes) is may_choose


def test_a_key_has_no_claims(emulator: Emulator) -> None:
    apply_policy(emulator, CANARY)
    assert "claims" not in decide(make(emulator.url), bearer(put_key(emulator).text))["context"]


def test_without_a_canary_no_claim_is_told(emulator: Emulator, jwks: ScriptedServer) -> None:
    door = make(emulator.url, jwks.url + "/jwks.json")
    assert "claims" not in decide(door, bearer(issuer.token(issuer.claims(plan="beta"))))["context"]
