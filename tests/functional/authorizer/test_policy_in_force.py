"""What an applied policy does at the door, and when."""

import hashlib
import json
from typing import Any

import pytest

from sallyport.identity.api_keys import NewKey, mint
from sallyport.runtime.errors import InvocationRefused
from tests.functional.authorizer.door import (
    Clock,
    apply_policy,
    bearer,
    change_key,
    code,
    decide,
    effect,
    make,
    put_key,
)
from tests.support import issuer
from tests.support.aws import CONFIG_TABLE, Emulator
from tests.support.events import Context, authorizer_event
from tests.support.servers import Peer, ScriptedServer, refused_url

ELSEWHERE, OFFICE = "192.0.2.77", "198.51.100.7"


@pytest.fixture(autouse=True)
def empty(emulator: Emulator) -> None:
    emulator.empty_tables()


@pytest.fixture
def key(emulator: Emulator) -> NewKey:
    return put_key(emulator)


def context_of(emulator: Emulator, policy: str, **attributes: Any) -> dict[str, str]:
    """Give the context of a key with these attributes under this policy."""
    apply_policy(emulator, policy)
    answer = decide(make(emulator.url), bearer(put_key(emulator, **attributes).text))
    assert effect(answer) == "Allow"
    return dict(answer["context"])


def test_an_address_that_a_document_or_a_parameter_denies_is_denied(emulator: Emulator, key: NewKey) -> None:
    apply_policy(emulator, "version: 1\naccess: {deny: [192.0.2.0/24]}\n")
    door = make(emulator.url, SALLYPORT_IP_DENY="203.0.113.0/24")
    assert code(decide(door, bearer(key.text), source_ip=ELSEWHERE)) == "ip_denied"
    assert code(decide(door, bearer(key.text), source_ip="203.0.113.9")) == "ip_denied"
    assert effect(decide(door, bearer(key.text), source_ip=OFFICE)) == "Allow"


def test_a_document_s_allow_list_replaces_the_parameter_s(emulator: Emulator, key: NewKey) -> None:
    apply_policy(emulator, "version: 1\naccess: {allow: [198.51.100.0/24]}\n")
    door = make(emulator.url, SALLYPORT_IP_ALLOW="192.0.2.0/24")
    assert code(decide(door, bearer(key.text), source_ip=ELSEWHERE)) == "ip_denied"
    assert effect(decide(door, bearer(key.text), source_ip=OFFICE)) == "Allow"


def test_a_tenant_s_own_lists_are_looked_at_after_the_credential(emulator: Emulator, key: NewKey) -> None:
    policy = "version: 1\ntenants: {acme: {allow: [198.51.100.0/24], deny: [198.51.100.66]}}\n"
    apply_policy(emulator, policy)
    door, other = make(emulator.url), put_key(emulator, tenant={"S": "other"})
    assert effect(decide(door, bearer(key.text), source_ip=OFFICE)) == "Allow"
    denied = decide(door, bearer(key.text), source_ip=ELSEWHERE)
    assert (code(denied), denied["context"]["tenant"]) == ("ip_denied", "acme")
    assert code(decide(door, bearer(key.text), source_ip="::ffff:198.51.100.66")) == "ip_denied"
    assert effect(decide(door, bearer(other.text), source_ip=ELSEWHERE)) == "Allow"
    with pytest.raises(InvocationRefused):
        decide(door, bearer(mint().text), source_ip=ELSEWHERE)


def test_a_key_s_own_list(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    key = put_key(emulator, allow={"S": "198.51.100.0/24,2001:db8::/32"})
    door = make(emulator.url)
    assert effect(decide(door, bearer(key.text), source_ip=OFFICE)) == "Allow"
    assert effect(decide(door, bearer(key.text), source_ip="2001:db8::1")) == "Allow"
    capsys.readouterr()
    assert code(decide(door, bearer(key.text), source_ip=ELSEWHERE)) == "ip_denied"
    line = json.loads(capsys.readouterr().out)
    assert (line["reason"], line["key_id"], line["tenant"]) == ("key_not_on_allow_list", key.key_id, "acme")


def test_a_key_whose_list_is_broken_lets_nobody_in(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    key = put_key(emulator, allow={"S": "everywhere"})
    with pytest.raises(InvocationRefused):
        decide(make(emulator.url), bearer(key.text))
    assert json.loads(capsys.readouterr().out)["reason"] == "key_record_broken"


def test_a_suspended_tenant_is_refused_and_told(emulator: Emulator, key: NewKey) -> None:
    apply_policy(emulator, "version: 1\ntenants: {acme: {suspended: true}}\n")
    assert code(decide(make(emulator.url), bearer(key.text))) == "tenant_suspended"


@pytest.mark.parametrize(
    ("tenant", "key", "expected"),
    [
        ("", "", ""),
        ("models: [gpt-a, gpt-b]", "", "gpt-a,gpt-b"),
        ("", "gpt-b", "gpt-b"),
        ("models: [gpt-a, gpt-b]", "gpt-b,gpt-z", "gpt-b"),
        ("models: [gpt-a]", "gpt-z", "-"),
        ("models: []", "", "-"),
    ],
)
def test_models_are_those_that_tenant_and_key_both_allow(
    emulator: Emulator, tenant: str, key: str, expected: str
) -> None:
    attributes = {"models": {"S": key}} if key else {}
    policy = f"version: 1\ntenants: {{acme: {{{tenant}}}}}\n"
    assert context_of(emulator, policy, **attributes)["models"] == expected


@pytest.mark.parametrize(
    ("tenant", "key", "expected"),
    [
        ("", "", "us-east-1"),
        ("residency: eu", "", "eu-central-1,eu-west-1"),
        ("residency: [eu-west-1]", "", "eu-west-1"),
        ("", "eu-west-1", "eu-west-1"),
        ("residency: eu", "eu-west-1,us-east-1", "eu-west-1"),
        ("residency: eu", "us-east-1", ""),
    ],
)
def test_regions_are_those_that_tenant_and_key_both_allow_or_the_default(
    emulator: Emulator, tenant: str, key: str, expected: str
) -> None:
    attributes = {"residency": {"S": key}} if key else {}
    zones = "residency: {zones: {eu: [eu-central-1, eu-west-1]}}"
    policy = f"version: 1\n{zones}\ntenants: {{acme: {{{tenant}}}}}\n"
    assert context_of(emulator, policy, **attributes)["residency"] == expected


def test_api_keys_can_be_switched_off_by_a_document(emulator: Emulator, key: NewKey) -> None:
    trusted = "{issuer: https://issuer.example.com/, audiences: [ai], algorithms: [RS256], tenant: acme}"
    apply_policy(emulator, f"version: 1\nidentity: {{api_keys: {{enabled: false}}, issuers: [{trusted}]}}\n")
    with pytest.raises(InvocationRefused):
        decide(make(emulator.url), bearer(key.text))


def test_a_change_is_in_force_for_the_first_request_after_the_interval(emulator: Emulator, key: NewKey) -> None:
    clock = Clock()
    door = make(emulator.url, now=clock, SALLYPORT_POLICY_REFRESH_S="10")
    assert effect(decide(door, bearer(key.text), source_ip=ELSEWHERE)) == "Allow"
    apply_policy(emulator, "version: 1\naccess: {deny: [192.0.2.0/24]}\n")
    assert effect(decide(door, bearer(key.text), source_ip=ELSEWHERE)) == "Allow"
    clock.now_s += 10
    assert code(decide(door, bearer(key.text), source_ip=ELSEWHERE)) == "ip_denied"


def test_a_stored_policy_that_breaks_leaves_the_last_good_one_and_rings_the_alarm(
    emulator: Emulator, key: NewKey, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    apply_policy(emulator, "version: 1\naccess: {deny: [192.0.2.0/24]}\n")
    door = make(emulator.url, now=clock)
    pieces = [item for item in emulator.dynamodb.scan(TableName=CONFIG_TABLE)["Items"] if "policy#" in item["pk"]["S"]]
    assert pieces
    apply_policy(emulator, "version: 1\naccess: {deny: [198.51.100.0/24]}\n")
    for item in emulator.dynamodb.scan(TableName=CONFIG_TABLE)["Items"]:
        if item["pk"]["S"].startswith("policy#") and item not in pieces:
            damaged = {**item, "text": {"S": item["text"]["S"].replace("format", "Format")}}
            emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item=damaged)
    clock.now_s += 60
    capsys.readouterr()
    assert code(decide(door, bearer(key.text), source_ip=ELSEWHERE)) == "ip_denied"
    assert effect(decide(door, bearer(key.text), source_ip=OFFICE)) == "Allow"
    assert '"PolicyRefreshFailure": 1' in capsys.readouterr().out


def test_a_forwarded_address_that_comes_in_two_spellings_is_in_no_known_order(emulator: Emulator, key: NewKey) -> None:
    emulator.secrets.create_secret(Name="test/identity/two-spellings", SecretString="0123456789abcdef0123")
    apply_policy(emulator, "version: 1\naccess: {trusted_proxies: [192.0.2.0/24], origin_secret: two-spellings}\n")
    door = make(emulator.url)
    headers = {**bearer(key.text), "x-origin-verify": "0123456789abcdef0123", "X-Forwarded-For": OFFICE}
    assert effect(decide(door, headers, source_ip=ELSEWHERE)) == "Allow"
    assert code(decide(door, {**headers, "x-forwarded-for": "198.51.100.8"}, source_ip=ELSEWHERE)) == "ip_denied"


def test_where_the_origin_secret_is_required_nobody_goes_round_the_proxy(emulator: Emulator, key: NewKey) -> None:
    emulator.secrets.create_secret(Name="test/identity/required", SecretString="0123456789abcdef0123")
    access = "{trusted_proxies: [192.0.2.0/24], origin_secret: required, require_origin_secret: true}"
    apply_policy(emulator, f"version: 1\naccess: {access}\n")
    door, proof = make(emulator.url), {"x-origin-verify": "0123456789abcdef0123", "X-Forwarded-For": OFFICE}
    answer = decide(door, {**bearer(key.text), **proof}, source_ip=ELSEWHERE)
    assert (effect(answer), answer["context"]["source_ip"]) == ("Allow", OFFICE), "what limits by address count"
    assert code(decide(door, bearer(key.text), source_ip=ELSEWHERE)) == "ip_denied"
    assert code(decide(door, {**bearer(key.text), **proof}, source_ip=OFFICE)) == "ip_denied"


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "[]",
        '{"format": 1, "ip": {"allow": 1, "deny": 1}}',
        '{"format": 1, "ip": {"allow": {"count": 0, "v4": "", "v6": ""}, "deny": {"count": 1, "v4": "", "v6": ""}}}',
        '{"format": 1, "ip": {"allow": {"count": 0, "v4": "", "v6": ""}, "deny": {"count": 0, "v4": "", "v6": ""}}, '
        '"tenants": {"acme": {"residency": null, "models": null, "allow": null, "deny": null, "suspended": false}}}',
        '{"format": 2}',
        '{"format": 6, "ip": {"allow": {"count": 0, "v4": "", "v6": ""}, "deny": {"count": 0, "v4": "", "v6": ""}}}',
        '{"format": 4, "ip": {"allow": {"count": 0, "v4": "", "v6": ""}, "deny": {"count": 0, "v4": "", "v6": ""}}, '
        '"canaries": [{"match": {"claims": ["ab"]}}]}',
    ],
)
def test_a_whole_but_senseless_policy_leaves_the_last_good_one(emulator: Emulator, key: NewKey, text: str) -> None:
    clock = Clock()
    apply_policy(emulator, "version: 1\naccess: {deny: [192.0.2.0/24]}\n")
    door = make(emulator.url, now=clock)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    piece = {"pk": {"S": f"policy#{sha256}#0000"}, "sk": {"S": "piece"}, "text": {"S": text}}
    pointer = {"pk": {"S": "policy"}, "sk": {"S": "current"}, "version": {"N": "9"}, "sha256": {"S": sha256}}
    for item in (piece, {**pointer, "chunks": {"N": "1"}}):
        emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item=item)
    clock.now_s += 60
    assert code(decide(door, bearer(key.text), source_ip=ELSEWHERE)) == "ip_denied"
    assert effect(decide(door, bearer(key.text), source_ip=OFFICE)) == "Allow"
    with pytest.raises(Exception, match="no policy"):
        decide(make(emulator.url), bearer(key.text))


def test_a_new_process_with_a_broken_policy_lets_nobody_in(emulator: Emulator, key: NewKey) -> None:
    pointer = {"pk": {"S": "policy"}, "sk": {"S": "current"}, "version": {"N": "1"}, "sha256": {"S": "0"}}
    emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item={**pointer, "chunks": {"N": "1"}})
    with pytest.raises(Exception, match="no policy") as caught:
        decide(make(emulator.url), bearer(key.text))
    assert not isinstance(caught.value, InvocationRefused)


def test_a_store_that_goes_down_leaves_the_policy_in_force(emulator: Emulator, key: NewKey) -> None:
    with pytest.raises(Exception, match="no policy could be read"):
        decide(make(refused_url()), bearer(key.text))


def test_a_revocation_is_in_force_within_its_time(emulator: Emulator, key: NewKey) -> None:
    clock = Clock()
    door = make(emulator.url, now=clock, SALLYPORT_KEY_REVOCATION_S="15")
    assert effect(decide(door, bearer(key.text))) == "Allow"
    change_key(emulator, key, "revoked_at", {"N": "1"})
    clock.now_s += 14.9
    assert effect(decide(door, bearer(key.text))) == "Allow"
    clock.now_s += 0.1
    with pytest.raises(InvocationRefused):
        decide(door, bearer(key.text))


@pytest.mark.parametrize("remaining_ms", [500, 1000])
def test_with_no_time_left_nobody_is_asked_and_the_alarm_rings_before_lambda_ends_it(
    emulator: Emulator, key: NewKey, capsys: pytest.CaptureFixture[str], remaining_ms: int
) -> None:
    with ScriptedServer(Peer.wait_closed) as issuer_server:
        door = make(emulator.url, issuer_server.url + "/jwks.json", SALLYPORT_KEY_REVOCATION_S="0")
        for credential in (key.text, issuer.token()):
            context = Context(remaining_ms)
            with pytest.raises(Exception, match=r"Timeout|no time left") as caught:
                door(authorizer_event(bearer(credential)), context)
            context.finish()
            assert not isinstance(caught.value, InvocationRefused)
    assert issuer_server.connections == 0
    assert capsys.readouterr().out.count('"AuthorizerFailure": 1') == 2


def test_the_log_names_the_version_that_decided(
    emulator: Emulator, key: NewKey, capsys: pytest.CaptureFixture[str]
) -> None:
    apply_policy(emulator, "version: 1\naccess: {deny: [192.0.2.0/24]}\n")
    apply_policy(emulator, "version: 1\naccess: {deny: [192.0.2.128/25]}\n")
    decide(make(emulator.url), bearer(key.text))
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["policy_version"] == 2
